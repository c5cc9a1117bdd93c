#include <memory>
#include <utility>
#include <vector>

#include "datastore/codec/raft_messages.h"
#include "datastore/proto/archive.pb.h"
#include "datastore/rpc/service.h"

namespace holdfast::rpc {
namespace {

/// Data of one response's entries; one entry may be larger.
constexpr std::size_t kMaxEntriesBytes = 1 << 20;
/// The longest time without a response.
constexpr std::chrono::seconds kPatience{1};
/// Responses are made ahead of the client up to here. A client that takes none falls behind the
/// log, and pins nothing.
constexpr std::size_t kMaxQueuedBytes = std::size_t{4} << 20;

/// One Follow call: asks the node, sends what it answers, asks again. Shared with the question that
/// is under way.
class FollowStream : public std::enable_shared_from_this<FollowStream> {
 public:
  FollowStream(LoopState& state, net::CallRef call) : state_(state), call_(std::move(call)) {}

  void on_request(BytesView bytes) {
    holdfast::v1::FollowRequest request;
    if (!request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
      return call_->finish(malformed_request(absl::InvalidArgumentError("FollowRequest")));
    }
    if (absl::Status status = state_.authorize(*call_, Access::kAdministrators); !status.ok()) {
      return call_->finish(status);
    }
    after_ = Index(request.after_index());
    send({});
    ask();
  }

  void on_writable() {
    if (std::exchange(waits_for_client_, false)) ask();
  }

 private:
  void ask() {
    state_.node().applied_entries(
        after_, kMaxEntriesBytes, kPatience,
        [self = shared_from_this()](absl::StatusOr<std::vector<raft::Entry>> entries) {
          self->answer(std::move(entries));
        },
        state_);
  }

  void answer(absl::StatusOr<std::vector<raft::Entry>> entries) {
    if (!call_->active()) return;
    if (!entries.ok()) return call_->finish(entries.status());
    if (absl::Status status = state_.authorize(*call_, Access::kAdministrators); !status.ok()) {
      return call_->finish(status);
    }
    send(*entries);
    if (!entries->empty()) after_ = entries->back().index;
    if (call_->queued_bytes() <= kMaxQueuedBytes) return ask();
    waits_for_client_ = true;
  }

  void send(const std::vector<raft::Entry>& entries) {
    const auto cluster = state_.node().cluster();
    holdfast::v1::FollowResponse response;
    response.set_cluster_id(cluster->cluster.value);
    response.set_member_id(cluster->self.value);
    for (const raft::Entry& entry : entries) response.add_entries(codec::encode(entry));
    call_->send(net::Message(response.SerializeAsString()));
  }

  LoopState& state_;
  const net::CallRef call_;
  Index after_;
  bool waits_for_client_ = false;
};

class FollowHandler final : public net::GrpcHandler {
 public:
  FollowHandler(LoopState& state, net::CallRef call)
      : stream_(std::make_shared<FollowStream>(state, std::move(call))) {}
  void on_message(BytesView message) override { stream_->on_request(message); }
  void on_writable() override { stream_->on_writable(); }

 private:
  const std::shared_ptr<FollowStream> stream_;
};

}  // namespace

void register_archive(net::GrpcServices& services, Loops& loops) {
  add_stream(
      services, loops, "/holdfast.v1.Archive/Follow", net::MethodKind::kServerStreaming,
      [](LoopState& state, net::CallRef call) {
        return std::make_unique<FollowHandler>(state, std::move(call));
      },
      Learners::kServe)
      .endless = true;
}

}  // namespace holdfast::rpc
