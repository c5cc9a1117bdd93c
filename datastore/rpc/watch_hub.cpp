#include "datastore/rpc/watch_hub.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "datastore/base/errors.h"
#include "datastore/codec/responses.h"
#include "datastore/rpc/door.h"
#include "datastore/rpc/loop_state.h"
#include "datastore/rpc/service.h"

namespace holdfast::rpc {
namespace {

using std::chrono::milliseconds;

/// The watch_id of answers that are about no watch, or about all of a stream.
constexpr std::int64_t kNoWatch = -1;
constexpr std::string_view kEmptyRange = "mvcc: watcher range is empty";
constexpr std::string_view kDuplicateId = "mvcc: duplicate watch ID provided on the WatchStream";
/// Of the room for big answers, the part that all backlogs of a loop may have.
constexpr std::size_t kBacklogShare = 8;
/// After the pool refused a slice of history.
constexpr milliseconds kRetryDelay{20};

/// Some events as elements of a WatchResponse's list, made once for every watch that gets them.
struct EncodedEvents {
  net::Slice all;
  /// Each event's part of `all`, in order.
  std::vector<BytesView> each;
};

/// Copies the events one after the other; `frame(i, out)` appends the i-th.
template <class Frame>
EncodedEvents copy_events(std::size_t count, Frame frame) {
  auto bytes = std::make_shared<Bytes>();
  std::vector<std::size_t> ends;
  ends.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    frame(i, *bytes);
    ends.push_back(bytes->size());
  }
  EncodedEvents events;
  events.each.reserve(count);
  std::size_t begin = 0;
  for (std::size_t end : ends) {
    events.each.push_back(BytesView(*bytes).substr(begin, end - begin));
    begin = end;
  }
  events.all = net::Slice(std::shared_ptr<const Bytes>(std::move(bytes)));
  return events;
}

/// Neighbours in the batch are shared as they lie there.
EncodedEvents share_events(const std::shared_ptr<const watch::EventBatch>& batch,
                           absl::Span<const std::uint32_t> places) {
  if (places.back() - places.front() + 1 != places.size()) {
    return copy_events(places.size(),
                       [&](std::size_t i, Bytes& out) { out.append((*batch)[places[i]].framed); });
  }
  EncodedEvents events;
  events.each.reserve(places.size());
  for (std::uint32_t place : places) events.each.push_back((*batch)[place].framed);
  const char* begin = events.each.front().data();
  const char* end = events.each.back().data() + events.each.back().size();
  events.all = net::Slice(batch, BytesView(begin, static_cast<std::size_t>(end - begin)));
  return events;
}

EncodedEvents share_history(const HistorySlice& slice, bool prev_kv) {
  const auto& batch = *slice.events;
  return copy_events(batch.size(), [&](std::size_t i, Bytes& out) {
    if (prev_kv && !slice.previous[i].empty()) {
      watch::append_framed_with_previous(batch[i], slice.previous[i], out);
    } else {
      out.append(batch[i].framed);
    }
  });
}

/// Lives as long as the status.
std::string_view text_of(const absl::Status& status) {
  return {status.message().data(), status.message().size()};
}

/// With the value before, if there was one.
void append_with_previous(const mvcc::Reader& reader, const watch::Event& event, Bytes& out) {
  if (!event.created) {
    const auto previous = reader.previous(event.key, {event.revision.value, event.sub});
    if (previous.ok() && previous->has_value()) {
      return watch::append_framed_with_previous(event, **previous, out);
    }
  }
  out.append(event.framed);
}

/// Sends the events in responses of fewer than `max_bytes`, but at least one event each.
void send_fragments(net::GrpcCall& call, codec::WatchResponse response, const EncodedEvents& events,
                    std::size_t max_bytes) {
  response.fragment = true;
  const std::size_t head_bytes = codec::encode_watch_response(response).size();
  for (std::size_t i = 0; i < events.each.size();) {
    const char* begin = events.each[i].data();
    std::size_t bytes = events.each[i].size();
    ++i;
    while (i < events.each.size() && head_bytes + bytes + events.each[i].size() < max_bytes) {
      bytes += events.each[i++].size();
    }
    response.fragment = i < events.each.size();
    call.send(net::Message(codec::encode_watch_response(response),
                           net::Slice(events.all.owner, BytesView(begin, bytes))));
  }
}

}  // namespace

namespace {

/// As Go prints a gRPC error: so etcd puts it, and clients compare the whole.
std::string refusal_text(const absl::Status& why) {
  const char* const code = absl::IsUnauthenticated(why)   ? "Unauthenticated"
                           : absl::IsInvalidArgument(why) ? "InvalidArgument"
                                                          : "PermissionDenied";
  return absl::StrCat("rpc error: code = ", code, " desc = ", why.message());
}

/// Who makes the call, if it may watch [key, range_end); empty while authentication is disabled.
/// Errors: those with which etcd cancels a watch at once.
absl::StatusOr<Bytes> permitted_user(LoopState& state, const net::GrpcCall& call, BytesView key,
                                     BytesView range_end) {
  if (!state.auth_enabled()) return Bytes();
  const absl::StatusOr<Caller> who = state.caller(call);
  if (!who.ok()) return who.status();
  absl::Status status = state.auth().check_read(who->identity(), key, range_end);
  if (!status.ok()) return status;
  return who->user;
}

}  // namespace

// --- one stream ----------------------------------------------------------------------------------

WatchStream::WatchStream(WatchHub& hub, net::CallRef call) : hub_(hub), call_(std::move(call)) {
  hub_.streams_.insert(this);
  hub_.state_.observer().watch_stream_opened(hub_.state_.loop().index());
}

WatchStream::~WatchStream() {
  close();
}

void WatchStream::close() {
  if (hub_.streams_.erase(this) == 0) return;
  hub_.forget(*this);
  hub_.state_.observer().watch_stream_closed(hub_.state_.loop().index());
}

void WatchStream::on_cancelled() {
  close();
}

void WatchStream::on_message(BytesView message) {
  if (!hub_.set_.has_value()) {
    hub_.early_requests_.emplace_back(this, Bytes(message));
    return;
  }
  codec::WatchRequest request;
  if (absl::Status status = codec::decode(message, &request); !status.ok()) {
    call_->finish(malformed_message(status));
    return close();
  }
  if (std::holds_alternative<codec::WatchProgressRequest>(request)) {
    return hub_.answer_progress(*this);
  }
  const auto began = net::EventLoop::Clock::now();
  if (const auto* create_request = std::get_if<codec::WatchCreateRequest>(&request)) {
    create(*create_request);
  } else if (const auto* cancel_request = std::get_if<codec::WatchCancelRequest>(&request)) {
    cancel(cancel_request->watch_id);
  }
  hub_.state_.observer().watch_request_answered(hub_.state_.loop().index(),
                                                net::EventLoop::Clock::now() - began);
}

void WatchStream::refuse(std::string_view reason) {
  call_->send(codec::encode_watch_response({.header = hub_.state_.header_now(),
                                            .watch_id = kNoWatch,
                                            .created = true,
                                            .canceled = true,
                                            .cancel_reason = reason}));
}

std::int64_t WatchStream::choose_id() {
  while (watches_.contains(next_id_)) ++next_id_;
  return next_id_++;
}

void WatchStream::create(const codec::WatchCreateRequest& request) {
  // No key is the smallest key.
  const BytesView key = request.range.key.empty() ? BytesView("\0", 1) : request.range.key;
  if (request.start_revision < 0) return refuse(text_of(errors::compacted()));
  const auto user = permitted_user(hub_.state_, *call_, key, request.range.end);
  if (!user.ok()) return refuse(refusal_text(user.status()));
  if (!watch::is_valid_range(key, request.range.end)) return refuse(kEmptyRange);
  if (request.watch_id != 0 && watches_.contains(request.watch_id)) return refuse(kDuplicateId);

  auto watch = std::make_unique<Watch>();
  watch->id = request.watch_id != 0 ? request.watch_id : choose_id();
  watch->stream = this;
  watch->fragment = request.fragment;
  watch->user = *user;
  const Revision current = std::max(hub_.state_.newest_revision(), hub_.set_->revision());
  watch->watcher = hub_.set_->add({.interest = {.key = Bytes(key),
                                                .range_end = Bytes(request.range.end),
                                                .no_put = request.no_put,
                                                .no_delete = request.no_delete,
                                                .prev_kv = request.prev_kv},
                                   .start_revision = Revision(request.start_revision),
                                   .progress_notify = request.progress_notify,
                                   .cookie = reinterpret_cast<std::uint64_t>(watch.get())},
                                  current);
  call_->send(codec::encode_watch_response(
      {.header = hub_.state_.header(current), .watch_id = watch->id, .created = true}));
  watches_.emplace(watch->id, std::move(watch));
  hub_.catch_up();
  hub_.report();
}

void WatchStream::review() {
  for (const auto& [id, watch] : watches_) {
    const absl::Status status = check_still_permitted(*watch);
    if (status.ok()) continue;
    const absl::Status why(status.code(), refusal_text(status));
    hub_.end_watch(*watch, why, Revision());
  }
}

absl::Status WatchStream::check_still_permitted(const Watch& watch) {
  const watch::Interest* interest = hub_.set_->interest(watch.watcher);
  if (interest == nullptr) return absl::OkStatus();  // it has ended
  if (watch.user.empty()) {
    // Made while nobody was asked: whoever made it may be somebody all the same.
    return permitted_user(hub_.state_, *call_, interest->key, interest->range_end).status();
  }
  const auth::AuthState& auth = hub_.state_.auth();
  return auth.check_read({watch.user, auth.revision()}, interest->key, interest->range_end);
}

void WatchStream::cancel(std::int64_t id) {
  const auto found = watches_.find(id);
  if (found == watches_.end()) return;
  hub_.set_->remove(found->second->watcher);
  watches_.erase(found);
  blocked_.erase(id);
  call_->send(codec::encode_watch_response(
      {.header = hub_.state_.header_now(), .watch_id = id, .canceled = true}));
  hub_.report();
}

void WatchStream::on_writable() {
  for (std::int64_t id : std::exchange(blocked_, {})) {
    const auto found = watches_.find(id);
    if (found != watches_.end()) hub_.set_->unblock(found->second->watcher);
  }
  hub_.catch_up();
}

bool WatchStream::all_live() const {
  return std::all_of(watches_.begin(), watches_.end(), [this](const auto& entry) {
    return hub_.set_->is_live(entry.second->watcher);
  });
}

// --- all streams of a loop -----------------------------------------------------------------------

WatchHub::WatchHub(LoopState& state)
    : state_(state),
      progress_timer_([](void* self) { static_cast<WatchHub*>(self)->notify_progress(); }, this),
      retry_timer_([](void* self) { static_cast<WatchHub*>(self)->catch_up(); }, this) {
}

WatchHub::~WatchHub() = default;

std::unique_ptr<net::GrpcHandler> WatchHub::open_stream(net::CallRef call) {
  start();
  return std::make_unique<WatchStream>(*this, std::move(call));
}

void WatchHub::start() {
  if (std::exchange(subscribed_, true)) return;
  state_.node().subscribe(
      [this](Revision revision) { on_started(revision); },
      [this](std::shared_ptr<const watch::EventBatch> batch) { on_batch(batch); }, state_);
}

void WatchHub::on_started(Revision revision) {
  if (!set_.has_value()) return begin(revision);
  review_permissions();
  // No batch carries what the member skipped: history does, or a compaction took it and the watch
  // ends with the revision of that.
  set_->jump_to(revision);
  catch_up();
  answer_waiting_progress();
  report();
}

void WatchHub::begin(Revision revision) {
  set_.emplace(revision);
  arm_progress_timer();
  for (auto& [stream, request] : std::exchange(early_requests_, {})) {
    if (streams_.contains(stream)) stream->on_message(request);
  }
}

void WatchHub::forget(WatchStream& stream) {
  std::erase_if(early_requests_, [&](const auto& early) { return early.first == &stream; });
  std::erase_if(waiting_progress_, [&](const auto& wait) { return wait.stream == &stream; });
  if (!set_.has_value()) return;
  for (const auto& [id, watch] : stream.watches_) set_->remove(watch->watcher);
  stream.watches_.clear();
  report();
}

void WatchHub::report() {
  const std::pair<std::size_t, std::size_t> now = {set_->size(), set_->slow()};
  if (std::exchange(reported_, now) == now) return;
  state_.observer().watchers_changed(state_.loop().index(), now.first, now.second);
}

Watch* WatchHub::find(const watch::Subscriber& subscriber) {
  // The set knows no watcher whose Watch is gone.
  if (!set_->next_revision(subscriber.id)) return nullptr;
  return reinterpret_cast<Watch*>(subscriber.cookie);
}

bool WatchHub::takes_more(Watch& watch, Revision next_revision) {
  if (watch.stream->call_->queued_bytes() <= max_backlog_bytes()) return true;
  set_->block(watch.watcher, next_revision);
  watch.stream->blocked_.insert(watch.id);
  return false;
}

std::size_t WatchHub::max_backlog_bytes() const {
  const MemoryBudget* memory = state_.options().memory;
  if (memory == nullptr || !memory->limited()) return kMaxBacklogBytes;
  if (memory->pressure() != MemoryPressure::kNone) return kMinBacklogBytes;
  const std::size_t share =
      memory->room_bytes() / kBacklogShare / std::max<std::size_t>(streams_.size(), 1);
  return std::clamp(share, kMinBacklogBytes, kMaxBacklogBytes);
}

// --- live ----------------------------------------------------------------------------------------

namespace {

/// Sends `events` to one watch, in fragments if it asked for them and they are many.
void send_events(const LoopState& state, const Watch& watch, net::GrpcCall& call, Revision revision,
                 const EncodedEvents& events, std::size_t max_bytes) {
  const codec::WatchResponse response = {.header = state.header(revision), .watch_id = watch.id};
  Bytes head = codec::encode_watch_response(response);
  if (watch.fragment && events.each.size() > 1 &&
      head.size() + events.all.bytes.size() >= max_bytes) {
    return send_fragments(call, response, events, max_bytes);
  }
  call.send(net::Message(std::move(head), events.all));
}

}  // namespace

void WatchHub::review_permissions() {
  const std::uint64_t version = state_.node().auth().version();
  if (std::exchange(reviewed_auth_, version) == version || !state_.auth_enabled()) return;
  for (WatchStream* stream : streams_) stream->review();
}

void WatchHub::on_batch(const std::shared_ptr<const watch::EventBatch>& batch) {
  review_permissions();
  if (batch == nullptr) return report();
  set_->deliver(*batch, [&](const watch::Delivery& delivery) { deliver(batch, delivery); });
  catch_up();
  answer_waiting_progress();
  report();
}

void WatchHub::deliver(const std::shared_ptr<const watch::EventBatch>& batch,
                       const watch::Delivery& delivery) {
  const auto began = net::EventLoop::Clock::now();
  const absl::Span<const std::uint32_t> places = delivery.events;
  mvcc::Reader* reader = nullptr;
  if (delivery.interest.prev_kv) {
    // Without the store there is no prev_kv, as in etcd.
    if (auto current = state_.reader(); current.ok()) reader = *current;
  }
  const EncodedEvents events = reader == nullptr
                                   ? share_events(batch, places)
                                   : copy_events(places.size(), [&](std::size_t i, Bytes& out) {
                                       append_with_previous(*reader, (*batch)[places[i]], out);
                                     });
  const Revision first = (*batch)[places.front()].revision;
  const Revision last = (*batch)[places.back()].revision;
  const std::size_t max_bytes = state_.options().max_request_bytes + kMessageOverheadBytes;
  std::size_t sent = 0;
  for (const watch::Subscriber& subscriber : delivery.subscribers) {
    Watch& watch = *reinterpret_cast<Watch*>(subscriber.cookie);
    if (!takes_more(watch, first)) continue;
    send_events(state_, watch, *watch.stream->call_, last, events, max_bytes);
    ++sent;
  }
  report_sent(sent, places.size(), began);
}

// --- behind --------------------------------------------------------------------------------------

void WatchHub::catch_up() {
  if (!set_.has_value()) return;
  while (catch_ups_ < kMaxCatchUps && !retry_timer_.armed()) {
    auto work = set_->next_catch_up();
    if (!work.has_value()) return;
    start_catch_up(std::make_shared<const watch::CatchUp>(*std::move(work)));
  }
}

void WatchHub::start_catch_up(std::shared_ptr<const watch::CatchUp> work) {
  ++catch_ups_;
  HistoryLimits limits;
  limits.max_bytes = std::min(limits.max_bytes, max_backlog_bytes());
  const absl::Status status =
      state_.node().run_read([this, work, limits, target = set_->revision()](mvcc::Reader& reader) {
        if (!reader.holding()) {
          return state_.post([this, work] {
            --catch_ups_;
            put_back(*work);
          });
        }
        const mvcc::ReadView& view = reader.view();
        PastRead past = {.slice = read_history(reader, work->interest, work->next_revision,
                                               std::min(target, view.revision), limits),
                         .target = target,
                         .compacted = view.compact_revision};
        state_.post([this, work, past = std::move(past)] { finish_catch_up(*work, past); });
      });
  if (status.ok()) return;
  --catch_ups_;
  put_back(*work);
}

void WatchHub::put_back(const watch::CatchUp& work) {
  for (const watch::Subscriber& subscriber : work.subscribers) {
    if (find(subscriber) != nullptr) set_->advance(subscriber.id, work.next_revision, false);
  }
  state_.loop().arm(retry_timer_, kRetryDelay);
}

/// `watches` were sent `events` events each.
void WatchHub::report_sent(std::size_t watches, std::size_t events,
                           net::EventLoop::Clock::time_point since) {
  if (watches == 0 || events == 0) return;
  state_.observer().events_sent(state_.loop().index(), watches, events,
                                net::EventLoop::Clock::now() - since);
}

void WatchHub::finish_catch_up(const watch::CatchUp& work, const PastRead& past) {
  const auto began = net::EventLoop::Clock::now();
  --catch_ups_;
  review_permissions();
  EncodedEvents events;
  std::size_t sent = 0;
  Revision shown = past.target;
  if (past.slice.ok()) {
    if (past.slice->events != nullptr) {
      events = share_history(*past.slice, work.interest.prev_kv);
    }
    if (past.slice->next <= past.target) shown = Revision(past.slice->next.value - 1);
  }
  const std::size_t max_bytes = state_.options().max_request_bytes + kMessageOverheadBytes;
  for (const watch::Subscriber& subscriber : work.subscribers) {
    Watch* watch = find(subscriber);
    if (watch == nullptr) continue;
    if (!past.slice.ok()) {
      end_watch(*watch, past.slice.status(), past.compacted);
      continue;
    }
    if (!events.each.empty()) {
      if (!takes_more(*watch, work.next_revision)) continue;
      send_events(state_, *watch, *watch->stream->call_, shown, events, max_bytes);
      ++sent;
    }
    set_->advance(watch->watcher, past.slice->next, !events.each.empty());
  }
  report_sent(sent, events.each.size(), began);
  catch_up();
  answer_waiting_progress();
  report();
}

void WatchHub::end_watch(Watch& watch, const absl::Status& why, Revision compacted) {
  codec::WatchResponse response = {.watch_id = watch.id, .canceled = true};
  if (why == errors::compacted()) {
    // etcd tells neither a revision nor a reason here, only how far the compaction went.
    response.header = state_.header(Revision());
    response.compact_revision = compacted;
  } else {
    response.header = state_.header_now();
    response.cancel_reason = text_of(why);
  }
  watch.stream->call_->send(codec::encode_watch_response(response));
  set_->remove(std::exchange(watch.watcher, {}));
}

// --- progress ------------------------------------------------------------------------------------

void WatchHub::answer_progress(WatchStream& stream) {
  const Revision newest = state_.newest_revision();
  // Events that are on their way here belong before the answer.
  if (set_->revision() < newest) {
    waiting_progress_.push_back({&stream, newest});
    return;
  }
  send_progress(stream);
}

void WatchHub::send_progress(const WatchStream& stream) {
  if (stream.watches_.empty() || !stream.all_live()) return;
  const auto began = net::EventLoop::Clock::now();
  stream.call_->send(codec::encode_watch_response(
      {.header = state_.header(set_->revision()), .watch_id = kNoWatch}));
  state_.observer().progress_sent(state_.loop().index(), net::EventLoop::Clock::now() - began);
}

void WatchHub::answer_waiting_progress() {
  for (const WaitingProgress& waiting : std::exchange(waiting_progress_, {})) {
    if (set_->revision() < waiting.revision) {
      waiting_progress_.push_back(waiting);
    } else {
      send_progress(*waiting.stream);
    }
  }
}

void WatchHub::arm_progress_timer() {
  const milliseconds interval = state_.options().watch_progress_notify_interval;
  if (interval.count() > 0) state_.loop().arm(progress_timer_, interval);
}

void WatchHub::notify_progress() {
  for (const watch::Subscriber& subscriber : set_->quiet_watchers()) {
    const Watch& watch = *reinterpret_cast<const Watch*>(subscriber.cookie);
    watch.stream->call_->send(codec::encode_watch_response(
        {.header = state_.header(set_->revision()), .watch_id = watch.id}));
  }
  arm_progress_timer();
}

void register_watch(net::GrpcServices& services, Loops& loops) {
  add_stream(services, loops, "/etcdserverpb.Watch/Watch", net::MethodKind::kBidiStreaming,
             [](LoopState& state, net::CallRef call) {
               return state.watches().open_stream(std::move(call));
             })
      .endless = true;
}

}  // namespace holdfast::rpc
