#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "datastore/base/prng.h"
#include "datastore/mvcc/history_scan.h"
#include "tests/unit/mvcc/drive.h"

/// Readers on their own threads while the writer writes, drains, compacts and hashes. Run it under
/// the thread sanitizer. Every transaction sets all keys of one pair to the same value, so a reader
/// that ever sees a pair apart has seen half a transaction.
namespace holdfast::mvcc {
namespace {

constexpr int kPairs = 300;
constexpr int kTransactions = 4000;

Bytes pair_key(std::uint64_t pair, char side) {
  return std::to_string(pair) + side;
}

void check_pairs(const Reader& reader) {
  const auto all = reader.range({.range = {Bytes(), BytesView("\0", 1)}});
  ASSERT_TRUE(all.ok()) << all.status();
  ASSERT_EQ(all->kvs.size() % 2, 0U);
  for (std::size_t i = 0; i < all->kvs.size(); i += 2) {
    const auto left = parse_key_value(all->kvs[i]);
    const auto right = parse_key_value(all->kvs[i + 1]);
    ASSERT_TRUE(left.has_value() && right.has_value());
    EXPECT_EQ(left->value, right->value);
    EXPECT_EQ(left->mod_revision, right->mod_revision);
    EXPECT_LE(left->mod_revision, reader.view().revision.value);
  }
}

void read_until(const ViewSource& views, std::uint64_t seed, const std::atomic<bool>& stop) {
  Prng dice(seed);
  Reader reader(views);
  while (!stop.load(std::memory_order_relaxed) && !::testing::Test::HasFailure()) {
    ASSERT_TRUE(reader.refresh().ok());
    check_pairs(reader);
    const std::int64_t now = reader.view().revision.value;
    const std::int64_t first = std::max<std::int64_t>(reader.view().compact_revision.value, 1);
    const std::int64_t at =
        first + static_cast<std::int64_t>(dice.below(static_cast<std::uint64_t>(now - first + 1)));
    const Bytes key = pair_key(dice.below(kPairs), 'a');
    ASSERT_TRUE(reader.get(key, at).ok());
    HistoryScan scan(Revision(std::max(first, now - 20)), Revision(now));
    ASSERT_TRUE(scan.next(reader, 1000, SIZE_MAX).ok());
    if (dice.chance(1, 8)) reader.release();
  }
}

TEST(Threads, ReadersSeeWholeTransactionsWhileTheWriterWorks) {
  testing::MemoryBackend backend;
  auto store = open_store(backend);
  std::atomic<bool> stop{false};
  std::vector<std::thread> readers;
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    readers.emplace_back([&, seed] { read_until(store->views(), seed, stop); });
  }
  std::thread hasher([&] {
    while (!stop.load(std::memory_order_relaxed) && !::testing::Test::HasFailure()) {
      HashKvJob job(store->views(), Revision(0));
      for (;;) {
        const auto answer = job.step(50);
        ASSERT_TRUE(answer.ok()) << answer.status();
        if (answer->has_value()) break;
      }
    }
  });

  Prng dice(7);
  std::unique_ptr<CompactionJob> job;
  Reader compactor(store->views());
  for (int i = 0; i < kTransactions; ++i) {
    const std::uint64_t pair = dice.below(kPairs);
    WriteTxn txn = store->write();
    if (dice.chance(1, 5)) {
      txn.delete_range({pair_key(pair, 'a'), {}});
      txn.delete_range({pair_key(pair, 'b'), {}});
    } else {
      const Bytes value(dice.below(2000), static_cast<char>('a' + i % 26));
      txn.put(pair_key(pair, 'a'), value, LeaseId());
      txn.put(pair_key(pair, 'b'), value, LeaseId());
    }
    txn.end();
    if (dice.chance(1, 3)) apply(*store);
    if (i % 200 == 199) {
      ASSERT_TRUE(store->compact(Revision(store->revision().value - 50)).ok());
    }
    if (i % 10 == 0) {
      apply(*store);
      if (job == nullptr) job = store->next_compaction();
      ASSERT_TRUE(compactor.refresh().ok());
      if (job != nullptr && job->read(compactor, 400).ok() &&
          job->write(400) == CompactionJob::Progress::kDone) {
        job.reset();
      }
    }
    if (dice.chance(1, 50)) {
      apply(*store);
      // The commit runs elsewhere, as it does in the node.
      DrainBatch batch = store->take_drain(SIZE_MAX);
      std::thread commit([&] { ASSERT_TRUE(backend.commit(batch.writes()).ok()); });
      commit.join();
      store->drained(std::move(batch));
    }
  }
  stop.store(true);
  for (std::thread& reader : readers) reader.join();
  hasher.join();
}

}  // namespace
}  // namespace holdfast::mvcc
