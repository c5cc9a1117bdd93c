#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "datastore/base/prng.h"
#include "datastore/mvcc/history_scan.h"
#include "tests/unit/mvcc/drive.h"

/// A store takes over another one's state in place, as a follower does with its leader's.
namespace holdfast::mvcc {
namespace {

void put(Store& store, BytesView key, BytesView value) {
  WriteTxn txn = store.write();
  txn.put(key, value, LeaseId());
  txn.end();
  apply(store);
}

std::optional<Bytes> value_of(const Reader& reader, BytesView key, std::int64_t revision = 0) {
  const auto stored = reader.get(key, revision);
  EXPECT_TRUE(stored.ok()) << stored.status();
  if (!stored.ok() || !stored->has_value()) return std::nullopt;
  return Bytes(parse_key_value(**stored)->value);
}

class ReloadTest : public ::testing::Test {
 protected:
  void put_on_both(BytesView key, BytesView value) {
    put(*leader_, key, value);
    put(*follower_, key, value);
  }
  /// The leader's state of now becomes the content of the follower's backend.
  void send_state() {
    while (drain(*leader_, leader_backend_)) {
    }
    ASSERT_TRUE(testing::replace_with(follower_backend_, leader_backend_).ok());
  }

  testing::MemoryBackend leader_backend_;
  testing::MemoryBackend follower_backend_;
  std::unique_ptr<Store> leader_ = open_store(leader_backend_);
  std::unique_ptr<Store> follower_ = open_store(follower_backend_);
};

TEST_F(ReloadTest, BecomesTheOtherStore) {
  put_on_both("a", "1");
  put(*leader_, "a", "2");
  put(*leader_, "b", "1");
  ASSERT_TRUE(leader_->compact(Revision(3)).ok());
  apply(*leader_);
  finish_compactions(*leader_, leader_backend_);
  send_state();

  ASSERT_TRUE(follower_->reload().ok());
  EXPECT_EQ(follower_->revision(), leader_->revision());
  EXPECT_EQ(follower_->compact_revision(), leader_->compact_revision());
  EXPECT_EQ(follower_->applied_index(), leader_->applied_index());
  EXPECT_EQ(follower_->applied_term(), leader_->applied_term());
  EXPECT_EQ(follower_->indexed_keys(), 2U);
  Reader reader(follower_->views());
  ASSERT_TRUE(reader.refresh().ok());
  EXPECT_EQ(value_of(reader, "a"), "2");
  EXPECT_EQ(hash_kv(*follower_, 0)->hash.hash, hash_kv(*leader_, 0)->hash.hash);

  put(*follower_, "c", "after");
  EXPECT_TRUE(drain(*follower_, follower_backend_));
  ASSERT_TRUE(reader.refresh().ok());
  EXPECT_EQ(value_of(reader, "c"), "after");
}

TEST_F(ReloadTest, DropsWhatWasNotDrained) {
  put_on_both("a", "1");
  send_state();
  EXPECT_GT(follower_->pending_bytes(), 0U);
  ASSERT_TRUE(follower_->reload().ok());
  EXPECT_EQ(follower_->pending_bytes(), 0U);
  EXPECT_FALSE(drain(*follower_, follower_backend_));
}

TEST_F(ReloadTest, AnOldViewReadsOnAndRenewsUntilTheNewOneIsPublished) {
  put_on_both("a", "1");
  put_on_both("a", "2");
  EXPECT_TRUE(drain(*follower_, follower_backend_));
  Reader held(follower_->views());
  ASSERT_TRUE(held.refresh().ok());
  put(*leader_, "a", "3");
  ASSERT_TRUE(leader_->compact(Revision(4)).ok());
  apply(*leader_);
  finish_compactions(*leader_, leader_backend_);
  send_state();

  // The backend has the new content, the store does not know of it yet.
  Reader late(follower_->views());
  ASSERT_TRUE(late.refresh().ok());
  EXPECT_EQ(value_of(late, "a"), "2");
  ASSERT_TRUE(held.renew().ok());
  EXPECT_EQ(value_of(held, "a", 2), "1");

  ASSERT_TRUE(follower_->reload().ok());
  EXPECT_EQ(value_of(held, "a", 2), "1");
  ASSERT_TRUE(held.refresh().ok());
  EXPECT_EQ(value_of(held, "a"), "3");
  EXPECT_TRUE(absl::IsOutOfRange(held.get("a", 2).status()));
}

TEST_F(ReloadTest, ARefreshedReaderNeverPairsTheNewViewWithTheOldContent) {
  put_on_both("a", "1");
  EXPECT_TRUE(drain(*follower_, follower_backend_));
  Reader reader(follower_->views());
  ASSERT_TRUE(reader.refresh().ok());
  put(*leader_, "b", "1");
  send_state();
  ASSERT_TRUE(follower_->reload().ok());
  ASSERT_TRUE(reader.refresh().ok());
  EXPECT_EQ(value_of(reader, "b"), "1");
}

TEST_F(ReloadTest, CompactionsQueuedBeforeAreForgottenAndTheNewStatesTakenUp) {
  for (int i = 0; i < 4; ++i) put_on_both("a", std::to_string(i));
  ASSERT_TRUE(follower_->compact(Revision(3)).ok());
  apply(*follower_);
  ASSERT_TRUE(leader_->compact(Revision(4)).ok());
  apply(*leader_);
  put(*leader_, "z", "");
  send_state();
  ASSERT_TRUE(follower_->reload().ok());
  EXPECT_EQ(follower_->compact_revision(), Revision(4));
  auto job = follower_->next_compaction();
  ASSERT_NE(job, nullptr);
  EXPECT_EQ(job->revision(), Revision(4));
  follower_->abandon_compaction(std::move(job));
}

TEST_F(ReloadTest, AnOlderStateIsRefused) {
  put_on_both("a", "1");
  send_state();
  put(*follower_, "b", "1");
  EXPECT_TRUE(absl::IsDataLoss(follower_->reload()));
}

TEST_F(ReloadTest, ReportsLeasesAsOpenDoes) {
  WriteTxn txn = leader_->write();
  txn.put("a", "1", LeaseId(7));
  txn.end();
  apply(*leader_);
  send_state();
  std::vector<std::pair<Bytes, LeaseId>> leases;
  ASSERT_TRUE(follower_
                  ->reload({.on_lease = [&](BytesView key,
                                            LeaseId lease) { leases.emplace_back(key, lease); }})
                  .ok());
  ASSERT_EQ(leases.size(), 1U);
  EXPECT_EQ(leases[0].first, "a");
  EXPECT_EQ(leases[0].second, LeaseId(7));
}

using ReloadDeathTest = ReloadTest;

TEST_F(ReloadDeathTest, ADrainThatIsOutIsABug) {
  put_on_both("a", "1");
  DrainBatch batch = follower_->take_drain(SIZE_MAX);
  send_state();
  EXPECT_DEATH(follower_->reload().IgnoreError(), "in_flight");
  follower_->drain_failed(std::move(batch));
}

/// Each transaction sets both keys of a pair to one value; a reader that sees them apart, or an
/// error, has mixed two states.
void read_pairs_until(const ViewSource& views, std::uint64_t seed, const std::atomic<bool>& stop) {
  Prng dice(seed);
  Reader reader(views);
  while (!stop.load(std::memory_order_relaxed) && !::testing::Test::HasFailure()) {
    ASSERT_TRUE((dice.chance(1, 3) ? reader.renew() : reader.refresh()).ok());
    const auto all = reader.range({.range = {Bytes(), BytesView("\0", 1)}});
    ASSERT_TRUE(all.ok()) << all.status();
    ASSERT_EQ(all->kvs.size() % 2, 0U);
    for (std::size_t i = 0; i < all->kvs.size(); i += 2) {
      EXPECT_EQ(parse_key_value(all->kvs[i])->value, parse_key_value(all->kvs[i + 1])->value);
    }
    const std::int64_t first = std::max<std::int64_t>(reader.view().compact_revision.value, 1);
    HistoryScan scan(Revision(first), reader.view().revision);
    const auto past = scan.next(reader, 100, SIZE_MAX);
    ASSERT_TRUE(past.ok()) << past.status();
    if (dice.chance(1, 4)) reader.release();
  }
}

TEST_F(ReloadTest, ReadersOnThreadsNeverSeeTwoStatesMixed) {
  std::atomic<bool> stop{false};
  std::vector<std::thread> readers;
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    readers.emplace_back([&, seed] { read_pairs_until(follower_->views(), seed, stop); });
  }
  Prng dice(3);
  const auto put_pair = [](Store& store, std::uint64_t pair, int value) {
    WriteTxn txn = store.write();
    txn.put(std::to_string(pair) + "a", std::to_string(value), LeaseId());
    txn.put(std::to_string(pair) + "b", std::to_string(value), LeaseId());
    txn.end();
    apply(store);
  };
  for (int round = 0; round < 30; ++round) {
    for (int i = 0; i < 20; ++i) {
      const std::uint64_t pair = dice.below(50);
      put_pair(*leader_, pair, round);
      put_pair(*follower_, pair, round);
      if (dice.chance(1, 8)) drain(*follower_, follower_backend_);
    }
    for (int i = 0; i < 30; ++i) put_pair(*leader_, dice.below(50), round);
    ASSERT_TRUE(leader_->compact(Revision(leader_->revision().value - 10)).ok());
    apply(*leader_);
    finish_compactions(*leader_, leader_backend_);
    send_state();
    ASSERT_TRUE(follower_->reload().ok());
  }
  stop.store(true);
  for (std::thread& reader : readers) reader.join();
}

}  // namespace
}  // namespace holdfast::mvcc
