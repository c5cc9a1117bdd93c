#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "datastore/base/bytes.h"
#include "datastore/base/ids.h"
#include "datastore/watch/event_batch.h"
#include "datastore/watch/watcher_set.h"

namespace holdfast::rpc {

class LoopState;

/// One loop's events of keys, for services that wait on them themselves (locks, elections) where
/// clients have WatchHub. It reads no history: a follower reads the store when it is told to begin,
/// and from then on misses nothing.
///
/// Costs nothing before the first follower: only then does it listen to the node. Loop thread only.
class KeyFeed {
 public:
  class Follower {
   public:
    virtual ~Follower() = default;
    /// From now on every event is told whose revision is not in a view taken now or later. That
    /// view is good if it has reached `revision`. Called again where events have been skipped,
    /// because a leader's state has replaced this member's. May follow and unfollow.
    virtual void on_begin(Revision revision) = 0;
    /// One event of its keys, in order; views taken before it may have had it. The event is valid
    /// during the call only. May follow and unfollow.
    virtual void on_event(const watch::Event& event) = 0;
  };

  explicit KeyFeed(LoopState& state);
  ~KeyFeed();

  /// Lets `follower`, which follows nothing yet, follow `interest`. on_begin() comes later in any
  /// case. The follower outlives that, or unfollows.
  void follow(watch::Interest interest, Follower& follower);
  /// Of who follows nothing, nothing.
  void unfollow(Follower& follower);

 private:
  struct Following {
    watch::Interest interest;
    /// None before the feed has begun.
    watch::WatcherId id;
  };

  void start();
  void on_started(Revision revision);
  void begin(Follower& follower);
  void on_batch(const std::shared_ptr<const watch::EventBatch>& batch);
  bool still_follows(Follower* follower, watch::WatcherId id) const;

  LoopState& state_;
  bool subscribed_ = false;
  /// Nothing before the subscription has begun.
  std::optional<watch::WatcherSet> set_;
  absl::flat_hash_map<Follower*, Following> followers_;
};

}  // namespace holdfast::rpc
