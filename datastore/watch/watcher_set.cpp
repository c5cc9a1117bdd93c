#include "datastore/watch/watcher_set.h"

#include <algorithm>

#include "datastore/base/check.h"

namespace holdfast::watch {
namespace {

constexpr unsigned kSlotBits = 32;

bool is_unbounded(BytesView range_end) {
  return range_end.size() == 1 && range_end[0] == '\0';
}

}  // namespace

struct WatcherSet::Group {
  std::uint64_t number = 0;
  Interest interest;
  /// Watchers in any state.
  std::size_t members = 0;
  std::vector<Subscriber> live;
  /// Of the batch being delivered.
  std::vector<std::uint32_t> events;
  /// The progress round in which it last had events.
  std::uint64_t event_round = 0;
};

bool Interest::contains(BytesView candidate) const {
  if (range_end.empty()) return candidate == key;
  return candidate >= key && (is_unbounded(range_end) || candidate < range_end);
}

bool is_valid_range(BytesView key, BytesView range_end) {
  return range_end.empty() || is_unbounded(range_end) || key < range_end;
}

WatcherSet::WatcherSet(Revision revision) : revision_(revision) {
}
WatcherSet::~WatcherSet() = default;

WatcherSet::Watcher* WatcherSet::find(WatcherId id) {
  const std::uint64_t slot = id.value & ((std::uint64_t{1} << kSlotBits) - 1);
  // A free slot has no id, and 0 is nobody's.
  if (!id || slot >= watchers_.size() || watchers_[slot].id != id) return nullptr;
  return &watchers_[slot];
}
const WatcherSet::Watcher* WatcherSet::find(WatcherId id) const {
  return const_cast<WatcherSet*>(this)->find(id);
}

WatcherSet::Group& WatcherSet::group_of(const Interest& interest) {
  std::unique_ptr<Group>& group = groups_[interest];
  if (group) return *group;
  group = std::make_unique<Group>();
  group->number = ++groups_made_;
  group->interest = interest;
  if (interest.range_end.empty()) {
    by_key_[interest.key].push_back(group.get());
  } else {
    const bool unbounded = is_unbounded(interest.range_end);
    by_range_[{interest.key, unbounded ? Bytes() : interest.range_end, unbounded}].push_back(
        group.get());
  }
  return *group;
}

void WatcherSet::release_group(Group& group) {
  if (group.members > 0) return;
  const Interest interest = group.interest;
  if (interest.range_end.empty()) {
    const auto found = by_key_.find(interest.key);
    std::erase(found->second, &group);
    if (found->second.empty()) by_key_.erase(found);
  } else {
    const bool unbounded = is_unbounded(interest.range_end);
    const IntervalMap<Groups>::Interval interval{
        interest.key, unbounded ? Bytes() : interest.range_end, unbounded};
    Groups& groups = by_range_[interval];
    std::erase(groups, &group);
    if (groups.empty()) by_range_.erase(interval);
  }
  groups_.erase(interest);
}

WatcherId WatcherSet::add(const WatchOptions& options, Revision current_revision) {
  HOLDFAST_CHECK(!delivering_);
  HOLDFAST_CHECK(is_valid_range(options.interest.key, options.interest.range_end));
  std::uint32_t slot = 0;
  if (free_slots_.empty()) {
    slot = static_cast<std::uint32_t>(watchers_.size());
    watchers_.emplace_back();
  } else {
    slot = free_slots_.back();
    free_slots_.pop_back();
  }
  Watcher& watcher = watchers_[slot];
  watcher = Watcher{};
  watcher.id = WatcherId(++ids_issued_ << kSlotBits | slot);
  watcher.cookie = options.cookie;
  watcher.progress_notify = options.progress_notify;
  // A new watcher is not quiet yet: its first notification is due a whole interval later.
  watcher.event_round = round_;
  watcher.group = &group_of(options.interest);
  ++watcher.group->members;
  watcher.next_revision = options.start_revision.value > 0
                              ? options.start_revision
                              : std::max(current_revision, revision_).next();
  ++size_;
  place(watcher);
  return watcher.id;
}

void WatcherSet::remove(WatcherId id) {
  HOLDFAST_CHECK(!delivering_);
  Watcher* watcher = find(id);
  if (watcher == nullptr) return;
  leave(*watcher);
  Group& group = *watcher->group;
  --group.members;
  free_slots_.push_back(static_cast<std::uint32_t>(watcher - watchers_.data()));
  *watcher = Watcher{};
  --size_;
  release_group(group);
}

/// Puts a watcher that is in no state where its next revision says.
void WatcherSet::place(Watcher& watcher) {
  if (watcher.next_revision <= revision_) {
    enter(watcher, State::kBehind);
  } else if (watcher.next_revision == revision_.next()) {
    enter(watcher, State::kLive);
  } else {
    enter(watcher, State::kWaiting);
  }
}

void WatcherSet::enter(Watcher& watcher, State state) {
  watcher.state = state;
  switch (state) {
    case State::kWaiting:
      waiting_.emplace(watcher.next_revision, watcher.id);
      break;
    case State::kLive:
      watcher.position = static_cast<std::uint32_t>(watcher.group->live.size());
      watcher.group->live.push_back({watcher.id, watcher.cookie});
      break;
    case State::kBehind:
      ++slow_;
      behind_[{watcher.next_revision, watcher.group->number}].insert(watcher.id);
      break;
    case State::kOffered:
    case State::kBlocked:
      ++slow_;
      break;
    case State::kFree:
      break;
  }
}

void WatcherSet::leave(Watcher& watcher) {
  switch (watcher.state) {
    case State::kWaiting:
      waiting_.erase({watcher.next_revision, watcher.id});
      break;
    case State::kLive: {
      std::vector<Subscriber>& live = watcher.group->live;
      live[watcher.position] = live.back();
      find(live[watcher.position].id)->position = watcher.position;
      live.pop_back();
      // Live means everything so far, whenever that is asked.
      watcher.next_revision = revision_.next();
      watcher.event_round = std::max(watcher.event_round, watcher.group->event_round);
      break;
    }
    case State::kBehind: {
      --slow_;
      const auto found = behind_.find({watcher.next_revision, watcher.group->number});
      found->second.erase(watcher.id);
      if (found->second.empty()) behind_.erase(found);
      break;
    }
    case State::kOffered:
    case State::kBlocked:
      --slow_;
      break;
    case State::kFree:
      break;
  }
  watcher.state = State::kFree;
}

/// Before a batch of [first, last]: who starts at its beginning joins it, who starts inside it
/// reads its part from history, which is rare and keeps deliver() free of cases.
void WatcherSet::wake_waiting(Revision first, Revision last) {
  while (!waiting_.empty() && waiting_.begin()->first <= last) {
    Watcher& watcher = *find(waiting_.begin()->second);
    leave(watcher);
    enter(watcher, watcher.next_revision <= first ? State::kLive : State::kBehind);
  }
}

void WatcherSet::note(Groups& groups, std::uint32_t index, const Event& event) {
  for (Group* group : groups) {
    if (group->live.empty() || !group->interest.wants(event.type)) continue;
    if (group->events.empty()) touched_.push_back(group);
    group->events.push_back(index);
  }
}

void WatcherSet::collect(const EventBatch& batch) {
  for (std::uint32_t index = 0; index < batch.size(); ++index) {
    const Event& event = batch[index];
    if (const auto found = by_key_.find(event.key); found != by_key_.end()) {
      note(found->second, index, event);
    }
    by_range_.stab(event.key, [&](Groups& groups) { note(groups, index, event); });
  }
}

void WatcherSet::deliver(const EventBatch& batch,
                         absl::FunctionRef<void(const Delivery&)> deliver) {
  if (batch.empty()) return;
  HOLDFAST_CHECK(batch.first_revision() > revision_);
  wake_waiting(batch.first_revision(), batch.last_revision());
  collect(batch);
  revision_ = batch.last_revision();
  delivering_ = true;
  for (Group* group : touched_) {
    group->event_round = round_;
    deliver({group->interest, group->events, group->live});
    group->events.clear();
  }
  delivering_ = false;
  touched_.clear();
  for (const auto& [id, next_revision] : std::exchange(blocked_meanwhile_, {})) {
    block(id, next_revision);
  }
}

void WatcherSet::jump_to(Revision revision) {
  HOLDFAST_CHECK(revision >= revision_);
  if (revision == revision_) return;
  for (Watcher& watcher : watchers_) {
    if (watcher.state != State::kLive && watcher.state != State::kWaiting) continue;
    if (watcher.next_revision > revision && watcher.state == State::kWaiting) continue;
    leave(watcher);
    enter(watcher, State::kBehind);
  }
  revision_ = revision;
  // Who waited for the very next revision is live now.
  while (!waiting_.empty() && waiting_.begin()->first == revision_.next()) {
    Watcher& watcher = *find(waiting_.begin()->second);
    leave(watcher);
    enter(watcher, State::kLive);
  }
}

void WatcherSet::block(WatcherId id, Revision next_revision) {
  if (delivering_) {
    // Its group is being walked.
    blocked_meanwhile_.emplace_back(id, next_revision);
    return;
  }
  Watcher* watcher = find(id);
  if (watcher == nullptr || watcher->state == State::kBlocked) return;
  leave(*watcher);
  watcher->next_revision = next_revision;
  enter(*watcher, State::kBlocked);
}

void WatcherSet::unblock(WatcherId id) {
  Watcher* watcher = find(id);
  if (watcher == nullptr || watcher->state != State::kBlocked) return;
  leave(*watcher);
  place(*watcher);
}

std::optional<CatchUp> WatcherSet::next_catch_up() {
  if (behind_.empty()) return std::nullopt;
  auto cohort = behind_.upper_bound(turn_);
  if (cohort == behind_.end()) cohort = behind_.begin();
  turn_ = cohort->first;
  const std::set<WatcherId> ids = cohort->second;
  CatchUp catch_up;
  catch_up.next_revision = turn_.first;
  catch_up.interest = find(*ids.begin())->group->interest;
  catch_up.subscribers.reserve(ids.size());
  for (const WatcherId id : ids) {
    Watcher& watcher = *find(id);
    catch_up.subscribers.push_back({id, watcher.cookie});
    leave(watcher);
    enter(watcher, State::kOffered);
  }
  return catch_up;
}

void WatcherSet::advance(WatcherId id, Revision next_revision, bool had_events) {
  Watcher* watcher = find(id);
  if (watcher == nullptr || watcher->state != State::kOffered) return;
  if (had_events) watcher->event_round = round_;
  leave(*watcher);
  watcher->next_revision = next_revision;
  place(*watcher);
}

std::vector<Subscriber> WatcherSet::quiet_watchers() {
  std::vector<Subscriber> quiet;
  for (const Watcher& watcher : watchers_) {
    if (watcher.state != State::kLive || !watcher.progress_notify) continue;
    if (std::max(watcher.event_round, watcher.group->event_round) < round_) {
      quiet.push_back({watcher.id, watcher.cookie});
    }
  }
  ++round_;
  return quiet;
}

bool WatcherSet::is_live(WatcherId id) const {
  const Watcher* watcher = find(id);
  return watcher != nullptr && watcher->state == State::kLive;
}

const Interest* WatcherSet::interest(WatcherId id) const {
  const Watcher* watcher = find(id);
  return watcher == nullptr ? nullptr : &watcher->group->interest;
}

Revision WatcherSet::next_revision(WatcherId id) const {
  const Watcher* watcher = find(id);
  if (watcher == nullptr) return Revision();
  return watcher->state == State::kLive ? revision_.next() : watcher->next_revision;
}

}  // namespace holdfast::watch
