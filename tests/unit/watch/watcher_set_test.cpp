#include "datastore/watch/watcher_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "datastore/base/prng.h"

namespace holdfast::watch {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

struct Put {
  std::int64_t revision;
  Bytes key;
  bool deleted = false;
};

std::shared_ptr<const EventBatch> batch_of(const std::vector<Put>& puts) {
  EventBatchBuilder builder;
  for (const Put& put : puts) {
    if (put.deleted) {
      builder.add_delete(Revision(put.revision), 0, put.key);
    } else {
      builder.add_put(Revision(put.revision), 0, put.key, put.key, false);
    }
  }
  return builder.build();
}

using Received = std::map<WatcherId, std::vector<std::int64_t>>;

void deliver(WatcherSet& set, const std::vector<Put>& puts, Received& received) {
  const auto batch = batch_of(puts);
  set.deliver(*batch, [&](const Delivery& delivery) {
    for (const Subscriber& subscriber : delivery.subscribers) {
      for (const std::uint32_t index : delivery.events) {
        received[subscriber.id].push_back((*batch)[index].revision.value);
      }
    }
  });
}

WatchOptions on(Bytes key, Bytes range_end = "", std::int64_t start = 0) {
  return {.interest = {.key = std::move(key), .range_end = std::move(range_end)},
          .start_revision = Revision(start)};
}

TEST(Range, MustHoldSomething) {
  EXPECT_TRUE(is_valid_range("a", ""));
  EXPECT_TRUE(is_valid_range("a", Bytes(1, '\0')));
  EXPECT_TRUE(is_valid_range("a", "b"));
  EXPECT_FALSE(is_valid_range("b", "b"));
  EXPECT_FALSE(is_valid_range("b", "a"));
}

TEST(Deliver, ReachesKeysPrefixesAndEverythingFrom) {
  WatcherSet set(Revision(1));
  const WatcherId key = set.add(on("b"), Revision(1));
  const WatcherId range = set.add(on("a", "c"), Revision(1));
  const WatcherId from = set.add(on("b", Bytes(1, '\0')), Revision(1));
  Received received;
  deliver(set, {{2, "a"}, {3, "b"}, {4, "c"}}, received);
  EXPECT_THAT(received[key], ElementsAre(3));
  EXPECT_THAT(received[range], ElementsAre(2, 3));
  EXPECT_THAT(received[from], ElementsAre(3, 4));
  EXPECT_EQ(set.revision(), Revision(4));
}

TEST(Deliver, FiltersByType) {
  WatcherSet set(Revision(1));
  WatchOptions options = on("a");
  options.interest.no_put = true;
  const WatcherId deletes = set.add(options, Revision(1));
  options.interest.no_put = false;
  options.interest.no_delete = true;
  const WatcherId puts = set.add(options, Revision(1));
  Received received;
  deliver(set, {{2, "a"}, {3, "a", true}}, received);
  EXPECT_THAT(received[deletes], ElementsAre(3));
  EXPECT_THAT(received[puts], ElementsAre(2));
}

TEST(Deliver, OnceForAllWatchersOfOneInterest) {
  WatcherSet set(Revision(1));
  for (int i = 0; i < 100; ++i) set.add(on("a", "b"), Revision(1));
  EXPECT_EQ(set.groups(), 1U);
  int deliveries = 0;
  const auto batch = batch_of({{2, "a"}, {3, "aa"}});
  set.deliver(*batch, [&](const Delivery& delivery) {
    ++deliveries;
    EXPECT_THAT(delivery.subscribers, SizeIs(100));
    EXPECT_THAT(delivery.events, ElementsAre(0, 1));
  });
  EXPECT_EQ(deliveries, 1);
}

TEST(Start, InTheFutureWaits) {
  WatcherSet set(Revision(1));
  const WatcherId id = set.add(on("a", "", 4), Revision(1));
  EXPECT_FALSE(set.is_live(id));
  Received received;
  deliver(set, {{2, "a"}, {3, "a"}}, received);
  deliver(set, {{4, "a"}}, received);
  EXPECT_THAT(received[id], ElementsAre(4));
  EXPECT_TRUE(set.is_live(id));
}

TEST(Start, InsideABatchIsReadFromHistory) {
  WatcherSet set(Revision(1));
  const WatcherId id = set.add(on("a", "", 3), Revision(1));
  Received received;
  deliver(set, {{2, "a"}, {3, "a"}}, received);
  EXPECT_THAT(received[id], IsEmpty());
  const auto catch_up = set.next_catch_up();
  ASSERT_TRUE(catch_up.has_value());
  EXPECT_EQ(catch_up->next_revision, Revision(3));
}

TEST(Start, AfterWhatTheClientMayKnowEvenIfBatchesAreUnderWay) {
  WatcherSet set(Revision(1));
  const WatcherId id = set.add(on("a"), Revision(3));
  Received received;
  deliver(set, {{2, "a"}}, received);
  deliver(set, {{3, "a"}}, received);
  deliver(set, {{4, "a"}}, received);
  EXPECT_THAT(received[id], ElementsAre(4));
}

TEST(CatchUp, ServesWatchersOfOneInterestAndRevisionTogether) {
  WatcherSet set(Revision(10));
  const WatcherId first = set.add(on("a", "", 5), Revision(10));
  const WatcherId second = set.add(on("a", "", 5), Revision(10));
  const WatcherId other = set.add(on("a", "", 7), Revision(10));
  EXPECT_EQ(set.slow(), 3U);
  auto catch_up = set.next_catch_up();
  ASSERT_THAT(catch_up->subscribers, SizeIs(2));
  EXPECT_EQ(catch_up->subscribers[0].id, first);
  set.advance(first, Revision(11), true);
  set.advance(second, Revision(8), true);
  EXPECT_TRUE(set.is_live(first));
  catch_up = set.next_catch_up();
  EXPECT_EQ(catch_up->subscribers[0].id, other);
  set.advance(other, Revision(11), false);
  catch_up = set.next_catch_up();
  EXPECT_EQ(catch_up->subscribers[0].id, second);
  EXPECT_EQ(catch_up->next_revision, Revision(8));
  set.advance(second, Revision(11), false);
  EXPECT_EQ(set.next_catch_up(), std::nullopt);
  EXPECT_EQ(set.slow(), 0U);
}

TEST(CatchUp, MissesNothingOfBatchesThatArriveMeanwhile) {
  WatcherSet set(Revision(10));
  const WatcherId id = set.add(on("a", "", 9), Revision(10));
  ASSERT_TRUE(set.next_catch_up().has_value());
  Received received;
  deliver(set, {{11, "a"}}, received);
  set.advance(id, Revision(11), true);
  EXPECT_FALSE(set.is_live(id));
  EXPECT_EQ(set.next_catch_up()->next_revision, Revision(11));
  set.advance(id, Revision(12), true);
  EXPECT_TRUE(set.is_live(id));
  EXPECT_THAT(received[id], IsEmpty());
}

TEST(Block, ASlowWatcherLeavesTheOthersAlone) {
  WatcherSet set(Revision(1));
  const WatcherId slow = set.add(on("a"), Revision(1));
  const WatcherId quick = set.add(on("a"), Revision(1));
  const auto batch = batch_of({{2, "a"}});
  set.deliver(*batch, [&](const Delivery& delivery) {
    EXPECT_THAT(delivery.subscribers, SizeIs(2));
    set.block(slow, Revision(2));
  });
  Received received;
  deliver(set, {{3, "a"}}, received);
  EXPECT_THAT(received[quick], ElementsAre(3));
  EXPECT_THAT(received[slow], IsEmpty());
  EXPECT_EQ(set.next_catch_up(), std::nullopt);
  set.unblock(slow);
  EXPECT_EQ(set.next_catch_up()->next_revision, Revision(2));
  set.block(slow, Revision(3));
  set.unblock(slow);
  EXPECT_EQ(set.next_catch_up()->next_revision, Revision(3));
}

TEST(Block, IsLiveAgainAtOnceIfNothingWasMissed) {
  WatcherSet set(Revision(1));
  const WatcherId id = set.add(on("a"), Revision(1));
  set.block(id, Revision(2));
  set.unblock(id);
  EXPECT_TRUE(set.is_live(id));
}

TEST(Jump, MakesTheLiveReadTheGapFromHistory) {
  WatcherSet set(Revision(5));
  const WatcherId live = set.add(on("a"), Revision(5));
  const WatcherId next = set.add(on("a", "", 21), Revision(5));
  const WatcherId future = set.add(on("a", "", 30), Revision(5));
  set.jump_to(Revision(20));
  const auto catch_up = set.next_catch_up();
  EXPECT_EQ(catch_up->next_revision, Revision(6));
  EXPECT_EQ(catch_up->subscribers[0].id, live);
  EXPECT_TRUE(set.is_live(next));
  EXPECT_EQ(set.next_revision(future), Revision(30));
}

TEST(Progress, OnlyTheLiveAndQuietAreDue) {
  WatcherSet set(Revision(1));
  WatchOptions options = on("a");
  options.progress_notify = true;
  const WatcherId busy = set.add(options, Revision(1));
  options.interest.key = "b";
  const WatcherId quiet = set.add(options, Revision(1));
  options.start_revision = Revision(100);
  set.add(options, Revision(1));
  set.add(on("b"), Revision(1));
  EXPECT_THAT(set.quiet_watchers(), IsEmpty());
  Received received;
  deliver(set, {{2, "a"}}, received);
  std::vector<Subscriber> due = set.quiet_watchers();
  ASSERT_THAT(due, SizeIs(1));
  EXPECT_EQ(due[0].id, quiet);
  due = set.quiet_watchers();
  ASSERT_THAT(due, SizeIs(2));
  EXPECT_EQ(due[0].id, busy);
}

TEST(Remove, FromEveryState) {
  WatcherSet set(Revision(5));
  const WatcherId live = set.add(on("a"), Revision(5));
  const WatcherId waiting = set.add(on("a", "z", 100), Revision(5));
  const WatcherId offered = set.add(on("a", Bytes(1, '\0'), 2), Revision(5));
  ASSERT_TRUE(set.next_catch_up().has_value());
  const WatcherId behind = set.add(on("a", "z", 2), Revision(5));
  const WatcherId blocked = set.add(on("b"), Revision(5));
  set.block(blocked, Revision(6));
  for (const WatcherId id : {live, waiting, behind, offered, blocked}) {
    set.remove(id);
    set.remove(id);
    EXPECT_EQ(set.next_revision(id), Revision());
  }
  set.advance(offered, Revision(6), true);
  EXPECT_EQ(set.size(), 0U);
  EXPECT_EQ(set.slow(), 0U);
  EXPECT_EQ(set.groups(), 0U);
  EXPECT_NE(set.add(on("a"), Revision(5)), blocked);
}

/// A watcher's owner in miniature: reads history in slices, now and then can't take more.
class Model {
 public:
  explicit Model(std::uint64_t seed) : prng_(seed) {}

  void run() {
    for (int step = 0; step < 1000; ++step) {
      switch (prng_.below(6)) {
        case 0:
          add();
          break;
        case 1:
          if (prng_.chance(1, 3)) remove();
          break;
        case 2:
          catch_up();
          break;
        case 3:
          unblock_some(3);
          break;
        default:
          write();
      }
    }
    unblock_some(1);
    while (set_.slow() > 0) {
      catch_up();
      unblock_some(1);
    }
    for (const auto& [id, watcher] : watchers_) EXPECT_EQ(watcher.seen, expected(watcher));
  }

 private:
  struct Watcher {
    Interest interest;
    std::int64_t from;
    std::vector<std::int64_t> seen;
    bool blocked = false;
  };

  Bytes random_key() { return Bytes(1, static_cast<char>('a' + prng_.below(6))); }

  void add() {
    Interest interest{.key = random_key(), .no_put = prng_.chance(1, 5)};
    if (prng_.chance(1, 2)) interest.range_end = interest.key + Bytes("\xff");
    if (prng_.chance(1, 8)) interest.range_end = Bytes(1, '\0');
    const auto start = static_cast<std::int64_t>(prng_.below(history_.size() + 5));
    const WatcherId id =
        set_.add({.interest = interest, .start_revision = Revision(start)}, set_.revision());
    watchers_[id] = {.interest = interest, .from = start > 0 ? start : set_.revision().value + 1};
  }
  void remove() {
    if (watchers_.empty()) return;
    auto victim = watchers_.begin();
    std::advance(victim, prng_.below(watchers_.size()));
    set_.remove(victim->first);
    watchers_.erase(victim);
  }
  void write() {
    std::vector<Put> puts;
    for (std::uint64_t i = 0; i <= prng_.below(4); ++i) {
      history_.push_back({.revision = static_cast<std::int64_t>(history_.size()) + 2,
                          .key = random_key(),
                          .deleted = prng_.chance(1, 4)});
      puts.push_back(history_.back());
    }
    const auto batch = batch_of(puts);
    set_.deliver(*batch, [&](const Delivery& delivery) {
      for (const Subscriber& subscriber : delivery.subscribers) {
        Watcher& watcher = watchers_.at(subscriber.id);
        if (prng_.chance(1, 10)) {
          watcher.blocked = true;
          set_.block(subscriber.id, (*batch)[delivery.events[0]].revision);
          continue;
        }
        for (const std::uint32_t i : delivery.events) {
          watcher.seen.push_back((*batch)[i].revision.value);
        }
      }
    });
  }
  void catch_up() {
    const auto task = set_.next_catch_up();
    if (!task) return;
    const std::int64_t begin = task->next_revision.value;
    const std::int64_t end =
        std::min(begin + 1 + static_cast<std::int64_t>(prng_.below(5)), set_.revision().value + 1);
    for (const Subscriber& subscriber : task->subscribers) {
      Watcher& watcher = watchers_.at(subscriber.id);
      if (prng_.chance(1, 6)) {
        watcher.blocked = true;
        set_.block(subscriber.id, Revision(begin));
        continue;
      }
      bool had_events = false;
      for (std::int64_t revision = begin; revision < end; ++revision) {
        if (!matches(watcher, revision)) continue;
        had_events = true;
        watcher.seen.push_back(revision);
      }
      set_.advance(subscriber.id, Revision(end), had_events);
    }
  }
  void unblock_some(std::uint64_t one_in) {
    for (auto& [id, watcher] : watchers_) {
      if (!watcher.blocked || !prng_.chance(1, one_in)) continue;
      watcher.blocked = false;
      set_.unblock(id);
    }
  }
  bool matches(const Watcher& watcher, std::int64_t revision) const {
    if (revision < 2) return false;
    const Put& put = history_[static_cast<std::size_t>(revision - 2)];
    return watcher.interest.contains(put.key) &&
           watcher.interest.wants(put.deleted ? EventType::kDelete : EventType::kPut);
  }
  std::vector<std::int64_t> expected(const Watcher& watcher) const {
    std::vector<std::int64_t> revisions;
    for (const Put& put : history_) {
      if (put.revision >= watcher.from && matches(watcher, put.revision)) {
        revisions.push_back(put.revision);
      }
    }
    return revisions;
  }

  Prng prng_;
  WatcherSet set_{Revision(1)};
  std::vector<Put> history_;
  std::map<WatcherId, Watcher> watchers_;
};

TEST(Property, EveryWatcherSeesEveryEventOfItsOnceInOrder) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(seed);
    Model(seed).run();
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace holdfast::watch
