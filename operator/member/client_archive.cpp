#include <string_view>
#include <vector>

#include "datastore/proto/archive.grpc.pb.h"
#include "operator/member/client.h"
#include "operator/member/connection.h"
#include "operator/member/stream_call.h"

namespace holdfast::member {
namespace {

/// A member has something to say every second.
constexpr std::chrono::milliseconds kLogStall{10'000};

}  // namespace

absl::Status Client::follow_log(std::uint64_t after_index,
                                const std::function<absl::Status(const LogPiece&)>& take) const {
  const std::shared_ptr<const Line> line = connection_->line();
  const absl::StatusOr<std::string> token = connection_->token(*line);
  if (!token.ok()) {
    connection_->hang_up_after(token.status(), line);
    return token.status();
  }
  const auto archive = v1::Archive::NewStub(line->channel);
  v1::FollowRequest request;
  request.set_after_index(after_index);
  v1::FollowResponse response;  // outlives the call, which may still be reading into it
  StreamCall<v1::FollowResponse> call(*token, kLogStall, [&](auto* context, auto* queue) {
    return archive->AsyncFollow(context, request, queue, nullptr);
  });
  while (call.next(&response)) {
    LogPiece piece{.cluster_id = response.cluster_id(), .member_id = response.member_id()};
    piece.entries.assign(response.entries().begin(), response.entries().end());
    if (absl::Status status = take(piece); !status.ok()) return status;
  }
  absl::Status status = status_from(call.finish(), connection_->endpoint);
  connection_->reconsider(status, *token);
  connection_->hang_up_after(status, line);
  return status;
}

}  // namespace holdfast::member
