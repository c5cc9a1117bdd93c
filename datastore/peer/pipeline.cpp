#include "datastore/peer/pipeline.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "datastore/codec/raft_messages.h"
#include "datastore/peer/peer_headers.h"

namespace holdfast::peer {
namespace {

constexpr int kNoContent = 204;

absl::Status outcome(const absl::StatusOr<net::Http1Response>& answer) {
  if (!answer.ok()) return answer.status();
  if (answer->status == kNoContent) return absl::OkStatus();
  // A 403 is no proof that we were removed: etcd means it for a wrong address too.
  return absl::UnavailableError(absl::StrCat("POST /raft was answered ", answer->status));
}

}  // namespace

void Pipeline::send(raft::Message message) {
  if (waiting_.size() >= context_.options.max_pipeline_messages) {
    context_.observer.send_failed(peer_);
    context_.observer.dropped(peer_, 1, "pipeline");
    context_.port->report_unreachable(peer_);
    return;
  }
  waiting_.push_back(std::move(message));
  post_next();
}

void Pipeline::post_next() {
  while (!waiting_.empty() && in_flight_ < context_.options.max_pipeline_in_flight) {
    net::Http1Client* const client = urls_.pick();
    if (client == nullptr) return;
    net::Http1Request request;
    request.method = "POST";
    request.target = "/raft";
    request.headers = request_headers(context_.options);
    request.headers.emplace_back("content-type", "application/protobuf");
    request.body = codec::encode(waiting_.front());
    waiting_.pop_front();
    net::Http1Limits limits;
    limits.dial = context_.dial_timeout();
    limits.total = context_.options.request_timeout;
    ++in_flight_;
    const std::size_t bytes = request.body.size();
    client->fetch(std::move(request), limits,
                  [this, client, bytes, alive = std::weak_ptr<bool>(alive_)](
                      const absl::StatusOr<net::Http1Response>& answer) {
                    if (!alive.expired()) on_answer(client, bytes, answer);
                  });
  }
}

void Pipeline::on_answer(const net::Http1Client* client, std::size_t bytes,
                         const absl::StatusOr<net::Http1Response>& answer) {
  --in_flight_;
  const absl::Status status = outcome(answer);
  if (status.ok()) {
    activity_.succeeded();
    context_.observer.sent(peer_, bytes);
  } else {
    urls_.failed(client);
    activity_.failed(status);
    context_.observer.send_failed(peer_);
    context_.port->report_unreachable(peer_);
  }
  post_next();
}

}  // namespace holdfast::peer
