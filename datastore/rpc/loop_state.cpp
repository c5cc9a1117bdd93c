#include "datastore/rpc/loop_state.h"

#include <utility>

#include "datastore/base/errors.h"
#include "datastore/rpc/watch_hub.h"

namespace holdfast::rpc {
namespace {

using std::chrono::milliseconds;

/// A reader in use is renewed this often, an idle one released: neither pins pages for longer.
constexpr milliseconds kReaderAge{200};
constexpr milliseconds kStatusAge{100};

}  // namespace

LoopState::LoopState(net::EventLoop& loop, node::Node& node, const Options& options,
                     Observer& observer)
    : loop_(loop),
      node_(node),
      options_(options),
      observer_(observer),
      reader_(node.views()),
      reader_timer_([](void* self) { static_cast<LoopState*>(self)->tend_reader(); }, this) {
  const auto cluster = node.cluster();
  cluster_ = cluster->cluster;
  self_ = cluster->self;
  watches_ = std::make_unique<WatchHub>(*this);
  loop_.on_turn_end([this] { end_turn(); });
}

LoopState::~LoopState() = default;

codec::ResponseHeader LoopState::header(Revision revision) const {
  return header(revision, node_.term());
}

codec::ResponseHeader LoopState::header(Revision revision, Term term) const {
  return {.cluster = cluster_, .member = self_, .revision = revision, .raft_term = term};
}

Revision LoopState::newest_revision() const {
  const auto view = node_.views().get();
  return view == nullptr ? Revision() : view->revision;
}

codec::ResponseHeader LoopState::header_now() const {
  return header(newest_revision());
}

absl::StatusOr<mvcc::Reader*> LoopState::reader() {
  if (absl::Status status = reader_.refresh(); !status.ok()) return status;
  reader_used_ = true;
  if (!reader_timer_.armed()) loop_.arm(reader_timer_, kReaderAge);
  return &reader_;
}

void LoopState::tend_reader() {
  if (!std::exchange(reader_used_, false)) return reader_.release();
  // An error leaves the reader empty; the next reader() reports it.
  if (reader_.renew().ok()) loop_.arm(reader_timer_, kReaderAge);
}

bool LoopState::admit_size(const net::CallRef& call, std::uint64_t id, codec::CommandField field,
                           std::size_t request_bytes) {
  if (codec::internal_size_bytes(id, field, request_bytes) <= options_.max_request_bytes) {
    return true;
  }
  report_proposal(field, loop_.now(), false);
  call->finish(errors::request_too_large());
  return false;
}

void LoopState::report_proposal(codec::CommandField field, net::EventLoop::Clock::time_point since,
                                bool applied) {
  observer_.proposal_finished(loop_.index(), field, loop_.now() - since, applied);
}

void LoopState::propose(net::CallRef call, codec::CommandField field, BytesView request,
                        Encode encode) {
  const std::uint64_t id = node_.next_request_id();
  if (!admit_size(call, id, field, request.size())) return;
  proposals_.push_back({.id = id,
                        .entry = codec::encode_internal(id, field, request),
                        .done = [this, call = std::move(call), encode, field,
                                 since = loop_.now()](node::Applied applied) {
                          report_proposal(field, since, applied.index.value != 0);
                          if (!applied.outcome.status.ok()) {
                            return call->finish(applied.outcome.status);
                          }
                          if (call->active()) call->send_and_finish(encode(*this, applied));
                        }});
}

void LoopState::propose(net::CallRef call, codec::CommandField field, BytesView request,
                        Done done) {
  const std::uint64_t id = node_.next_request_id();
  if (!admit_size(call, id, field, request.size())) return;
  proposals_.push_back({.id = id,
                        .entry = codec::encode_internal(id, field, request),
                        .done = [this, call = std::move(call), done = std::move(done), field,
                                 since = loop_.now()](node::Applied applied) mutable {
                          report_proposal(field, since, applied.index.value != 0);
                          if (!applied.outcome.status.ok())
                            return call->finish(applied.outcome.status);
                          done(std::move(call), std::move(applied));
                        }});
}

bool LoopState::is_readable_now(bool serializable) {
  const auto current = reader();
  const std::uint64_t enough =
      node::Node::kViewIsLinearizable | (serializable ? node::Node::kViewHasState : 0);
  return current.ok() && ((*current)->view().flags & enough) != 0;
}

void LoopState::when_linearizable(absl::AnyInvocable<void(absl::Status)> ready) {
  when_readable(/*serializable=*/false, std::move(ready));
}

void LoopState::when_readable(bool serializable, absl::AnyInvocable<void(absl::Status)> ready) {
  if (is_readable_now(serializable)) return ready(absl::OkStatus());
  waiting_reads_.push_back(std::move(ready));
}

void LoopState::end_turn() {
  if (!proposals_.empty()) node_.propose(std::exchange(proposals_, {}), *this);
  if (waiting_reads_.empty()) return;
  node_.read_index(
      [batch = std::exchange(waiting_reads_, {})](absl::Status status) mutable {
        for (auto& ready : batch) ready(status);
      },
      *this);
}

const node::NodeStatus& LoopState::recent_status() {
  if (status_at_ == net::EventLoop::Clock::time_point{} || loop_.now() - status_at_ >= kStatusAge) {
    status_ = node_.status();
    status_at_ = loop_.now();
  }
  return status_;
}

}  // namespace holdfast::rpc
