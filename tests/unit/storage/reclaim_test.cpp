#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "datastore/base/prng.h"
#include "datastore/storage/lmdb_file.h"
#include "tests/unit/storage/store_fixture.h"

namespace holdfast::storage {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr std::uint64_t kAll = ~std::uint64_t{0} >> 1;

class ReclaimTest : public StoreTest {
 protected:
  void SetUp() override { reopen(tight()); }

  LmdbBackend::Options tight() const {
    LmdbBackend::Options tight = options();
    tight.reserve_bytes = 0;
    tight.unsafe_no_fsync = true;  // for speed; crash tests have syncs
    return tight;
  }

  /// Writes revisions [first, end) of 1000 bytes each.
  void write(std::uint64_t first, std::uint64_t end) {
    std::vector<Bytes> keys;
    std::vector<Bytes> values;
    for (std::uint64_t i = first; i < end; ++i) {
      keys.push_back(revision_key(i));
      values.push_back(Bytes(1000, static_cast<char>('a' + i % 26)));
      model_[keys.back()] = values.back();
    }
    std::vector<BackendWrite> writes;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      writes.push_back({Bucket::kKey, keys[i], values[i]});
    }
    ASSERT_TRUE(store_->commit(writes).ok());
  }

  void remove(std::uint64_t first, std::uint64_t end, std::uint64_t step = 1) {
    std::vector<Bytes> keys;
    for (std::uint64_t i = first; i < end; i += step) keys.push_back(revision_key(i));
    std::vector<BackendWrite> writes;
    for (const Bytes& key : keys) {
      writes.push_back({Bucket::kKey, key, std::nullopt});
      model_.erase(key);
    }
    ASSERT_TRUE(store_->commit(writes).ok());
  }

  /// Makes what was freed by the last commits reusable: LMDB keeps the last one's pages.
  void touch() {
    put(Bucket::kMeta, "touch", "1");
    put(Bucket::kMeta, "touch", "2");
  }

  void expect_intact() {
    EXPECT_EQ(scan(*read(), Bucket::kKey), Entries(model_.begin(), model_.end()));
  }

  std::map<Bytes, Bytes> model_;
};

TEST_F(ReclaimTest, FreedPagesGoBackToTheFileSystem) {
  write(0, 20000);
  remove(0, 20000);
  touch();
  const ports::BackendSizes before = store_->sizes();
  EXPECT_GT(before.allocated_bytes, 20 * kMiB);
  EXPECT_LT(before.used_bytes, kMiB);
  const auto released = store_->reclaim(kAll);
  ASSERT_TRUE(released.ok()) << released.status();
  const ports::BackendSizes after = store_->sizes();
  EXPECT_GT(*released, 20 * kMiB);
  EXPECT_LT(after.allocated_bytes, kMiB);
  EXPECT_EQ(after.used_bytes, before.used_bytes);
  EXPECT_EQ(*store_->reclaim(kAll), 0U);
}

TEST_F(ReclaimTest, WorkIsBoundedAndContinues) {
  write(0, 20000);
  remove(0, 20000);
  touch();
  int steps = 0;
  for (; steps < 100; ++steps) {
    const auto released = store_->reclaim(kMiB);
    ASSERT_TRUE(released.ok());
    ASSERT_LE(*released, kMiB);
    if (*released == 0) break;
  }
  EXPECT_GT(steps, 20);
  EXPECT_LT(store_->sizes().allocated_bytes, kMiB);
}

TEST_F(ReclaimTest, ReserveStaysAllocated) {
  LmdbBackend::Options reserving = tight();
  reserving.reserve_bytes = 8 * kMiB;
  reopen(reserving);
  write(0, 20000);
  remove(0, 20000);
  touch();
  ASSERT_TRUE(store_->reclaim(kAll).ok());
  EXPECT_GT(store_->sizes().allocated_bytes, 7 * kMiB);
  EXPECT_LT(store_->sizes().allocated_bytes, 10 * kMiB);
}

TEST_F(ReclaimTest, PagesThatAReaderSeesAreSpared) {
  write(0, 5000);
  const auto old = read();
  const Entries expected = scan(*old, Bucket::kKey);
  remove(0, 5000);
  write(5000, 6000);
  touch();
  ASSERT_TRUE(store_->reclaim(kAll).ok());
  EXPECT_EQ(scan(*old, Bucket::kKey), expected);
}

TEST_F(ReclaimTest, PagesPunchedReusedAndFreedAgainArePunchedAgain) {
  for (int round = 0; round < 3; ++round) {
    write(0, 10000);
    expect_intact();
    remove(0, 10000);
    touch();
    EXPECT_GT(*store_->reclaim(kAll), 5 * kMiB) << round;
    EXPECT_LT(store_->sizes().allocated_bytes, kMiB);
  }
}

TEST_F(ReclaimTest, AfterReopeningHolesAreNotPunchedAgain) {
  write(0, 10000);
  remove(0, 10000);
  touch();
  ASSERT_GT(*store_->reclaim(kAll), 0U);
  reopen(tight());
  EXPECT_EQ(*store_->reclaim(kAll), 0U);
}

// Random writes, removals, readers and reopenings between bounded reclaims; nothing may be lost.
TEST_F(ReclaimTest, StoreStaysIntactUnderRandomUse) {
  Prng dice(3);
  std::unique_ptr<BackendRead> held;
  Entries held_entries;
  for (int round = 0; round < 150; ++round) {
    const std::uint64_t first = dice.below(3000);
    if (dice.chance(1, 2)) {
      write(first, first + dice.below(500));
    } else {
      const std::uint64_t every = 1 + dice.below(3);
      remove(first, first + dice.below(1000), every);
    }
    if (dice.chance(1, 2)) {
      ASSERT_TRUE(store_->reclaim(1 + dice.below(kMiB)).ok());
    }
    if (held) {
      ASSERT_EQ(scan(*held, Bucket::kKey), held_entries);
      held.reset();
    } else if (dice.chance(1, 4)) {
      held = read();
      held_entries = scan(*held, Bucket::kKey);
    } else if (dice.chance(1, 10)) {
      reopen(tight());
    }
    if (round % 10 == 0) expect_intact();
  }
  held.reset();
  reopen(tight());
  expect_intact();
}

TEST_F(ReclaimTest, CompactStepMergesHalfEmptyPages) {
  write(0, 20000);
  for (std::uint64_t i = 0; i < 20000; ++i) {
    if (i % 3 == 0) continue;  // one of three entries of every page remains
    model_.erase(revision_key(i));
  }
  std::vector<Bytes> keys;
  for (std::uint64_t i = 0; i < 20000; ++i) {
    if (i % 3 != 0) keys.push_back(revision_key(i));
  }
  std::vector<BackendWrite> writes;
  for (const Bytes& key : keys) writes.push_back({Bucket::kKey, key, std::nullopt});
  ASSERT_TRUE(store_->commit(writes).ok());
  const std::uint64_t before = store_->sizes().used_bytes;
  Bytes from;
  int steps = 0;
  do {
    auto next = store_->compact_step(Bucket::kKey, from, 1000);
    ASSERT_TRUE(next.ok()) << next.status();
    from = *next;
    ++steps;
  } while (!from.empty());
  EXPECT_EQ(steps, 7);
  expect_intact();
  EXPECT_LT(store_->sizes().used_bytes, before / 2);
}

TEST_F(ReclaimTest, CompactStepLeavesFullPagesAlone) {
  write(0, 5000);
  const std::uint64_t before = store_->sizes().used_bytes;
  const auto transaction = [&] {
    const int fd = open(file().c_str(), O_RDONLY);
    const auto header = inspect_lmdb_file(fd, file());
    close(fd);
    return header.ok() ? header->transaction : 0;
  };
  const std::uint64_t last = transaction();
  Bytes from;
  do {
    from = *store_->compact_step(Bucket::kKey, from, 500);
  } while (!from.empty());
  EXPECT_EQ(transaction(), last);
  EXPECT_EQ(store_->sizes().used_bytes, before);
  EXPECT_TRUE(store_->compact_step(Bucket::kLease, {}, 100)->empty());
}

}  // namespace
}  // namespace holdfast::storage
