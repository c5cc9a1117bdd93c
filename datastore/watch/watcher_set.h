#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "datastore/base/bytes.h"
#include "datastore/base/ids.h"
#include "datastore/watch/event_batch.h"
#include "datastore/watch/interval_map.h"

namespace holdfast::watch {

/// A watcher of one WatcherSet; never used twice. 0 is none.
using WatcherId = StrongId<struct WatcherIdTag, std::uint64_t>;

/// What a watcher wants. Watchers with equal values share a group, and so their events' bytes.
struct Interest {
  Bytes key;
  /// As in etcd's requests: empty is the single key, one zero byte everything from `key` on.
  Bytes range_end;
  bool no_put = false;
  bool no_delete = false;
  bool prev_kv = false;

  friend auto operator<=>(const Interest&, const Interest&) = default;

  bool wants(EventType type) const { return type == EventType::kPut ? !no_put : !no_delete; }
  bool contains(BytesView candidate) const;
};

/// Whether a watch may be created: etcd refuses an interval that is empty or upside down.
bool is_valid_range(BytesView key, BytesView range_end);

struct WatchOptions {
  Interest interest;
  /// The first revision wanted; 0 for what comes after `current_revision`.
  Revision start_revision;
  bool progress_notify = false;
  /// Handed back with each delivery, so that the owner needs no look-up.
  std::uint64_t cookie = 0;
};

/// A watcher as a delivery names it.
struct Subscriber {
  WatcherId id;
  std::uint64_t cookie = 0;
};

/// Some events of a batch for all live watchers of one interest.
struct Delivery {
  const Interest& interest;
  /// Places in the batch, ascending. Never empty.
  absl::Span<const std::uint32_t> events;
  absl::Span<const Subscriber> subscribers;
};

/// Watchers of one interest that have to be brought up to date from the same revision on.
struct CatchUp {
  Interest interest;
  /// The first revision they have not had; at most the set's revision().
  Revision next_revision;
  std::vector<Subscriber> subscribers;
};

/// Who gets which events: the watchers of one event loop.
///
/// A watcher is in one of four states:
///
///   waiting   it starts at a revision still to come
///   live      it has had everything up to revision()
///   behind    history has to be read for it, from its next revision on
///   blocked   behind, and its client can't take more for now
///
/// The owner feeds every EventBatch to deliver(), tells which watchers could not take theirs, and
/// between batches serves next_catch_up() from history. A slow watcher costs only itself.
///
/// Never reads history, encodes a response or knows a stream; never drops an event silently.
/// Costs of a batch: a hash and a stab per event, then nothing per watcher.
/// Thread: its event loop's.
class WatcherSet {
 public:
  /// `revision`: the store's when the set begins; batches that follow carry later ones.
  explicit WatcherSet(Revision revision);
  ~WatcherSet();
  WatcherSet(const WatcherSet&) = delete;
  WatcherSet& operator=(const WatcherSet&) = delete;

  /// Everything up to here has been through deliver().
  Revision revision() const { return revision_; }

  /// Adds a watcher. `current_revision`, the store's newest as its client may know it, is at least
  /// revision() even where batches are still on their way here. is_valid_range() must hold.
  WatcherId add(const WatchOptions& options, Revision current_revision);
  /// Forgets it; of an unknown one, nothing.
  void remove(WatcherId id);

  /// Passes on a batch, whose revisions follow revision(). Each delivery's events are for each of
  /// its subscribers; `deliver` may call block() on them, but not add() or remove() any.
  void deliver(const EventBatch& batch, absl::FunctionRef<void(const Delivery&)> deliver);

  /// Moves to a revision without its events (a snapshot was installed): who was live is behind.
  void jump_to(Revision revision);

  /// The watcher did not take events from `next_revision` on and cannot for now.
  void block(WatcherId id, Revision next_revision);
  /// It can again. Live at once if nothing was missed.
  void unblock(WatcherId id);

  /// The next watchers to bring up to date, taking turns; nothing when none is behind. The caller
  /// reads history from next_revision on, to revision() at most, and then tells each one's fate by
  /// advance() or block(); until then they are not offered again.
  std::optional<CatchUp> next_catch_up();
  /// The watcher has had everything before `next_revision`; live if that is past revision().
  void advance(WatcherId id, Revision next_revision, bool had_events);

  /// Live watchers with progress_notify that have had no event since the last call: each is due a
  /// notification with revision(). Call it once an interval.
  std::vector<Subscriber> quiet_watchers();

  /// Whether a progress answer with revision() is true of it: live, and started by then.
  bool is_live(WatcherId id) const;
  /// The first revision the watcher has not had; 0 for an unknown one.
  Revision next_revision(WatcherId id) const;

  /// What a watcher waits for; null for an unknown one. Until the next add() or remove().
  const Interest* interest(WatcherId id) const;

  std::size_t size() const { return size_; }
  /// How many are behind or blocked: etcd's slow watchers.
  std::size_t slow() const { return slow_; }
  std::size_t groups() const { return groups_.size(); }

 private:
  enum class State : std::uint8_t { kFree, kWaiting, kLive, kBehind, kOffered, kBlocked };
  struct Group;
  using Groups = std::vector<Group*>;
  struct Watcher {
    WatcherId id;
    State state = State::kFree;
    bool progress_notify = false;
    std::uint64_t cookie = 0;
    Group* group = nullptr;
    /// While live: the place among the group's subscribers.
    std::uint32_t position = 0;
    Revision next_revision;
    /// The progress round in which it last had events while behind.
    std::uint64_t event_round = 0;
  };
  struct KeyHash {
    using is_transparent = void;
    std::size_t operator()(BytesView key) const { return absl::Hash<BytesView>{}(key); }
  };
  /// Those behind, by what can be served together.
  using BehindKey = std::pair<Revision, std::uint64_t>;

  Watcher* find(WatcherId id);
  const Watcher* find(WatcherId id) const;
  Group& group_of(const Interest& interest);
  void release_group(Group& group);
  void enter(Watcher& watcher, State state);
  void leave(Watcher& watcher);
  void place(Watcher& watcher);
  void wake_waiting(Revision first, Revision last);
  void collect(const EventBatch& batch);
  void note(Groups& groups, std::uint32_t index, const Event& event);

  Revision revision_;
  std::size_t size_ = 0;
  std::size_t slow_ = 0;
  std::uint64_t ids_issued_ = 0;
  std::uint64_t groups_made_ = 0;
  std::uint64_t round_ = 1;
  std::vector<Watcher> watchers_;
  std::vector<std::uint32_t> free_slots_;
  std::map<Interest, std::unique_ptr<Group>> groups_;
  absl::flat_hash_map<Bytes, Groups, KeyHash, std::equal_to<>> by_key_;
  IntervalMap<Groups> by_range_;
  std::set<std::pair<Revision, WatcherId>> waiting_;
  std::map<BehindKey, std::set<WatcherId>> behind_;
  BehindKey turn_;
  /// Groups with events of the batch being delivered, in the order of their first.
  Groups touched_;
  bool delivering_ = false;
  /// What block() was told during a delivery.
  std::vector<std::pair<WatcherId, Revision>> blocked_meanwhile_;
};

}  // namespace holdfast::watch
