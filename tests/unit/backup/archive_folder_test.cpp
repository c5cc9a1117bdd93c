#include "operator/backup/archive_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "datastore/base/prng.h"
#include "tests/unit/backup/stored_objects.h"

namespace holdfast::backup {
namespace {

using testing::HasSubstr;

StoredSegment segment(std::uint64_t first, std::uint64_t last) {
  return {{Index(first), Index(last)}, "any"};
}

TEST(UnbrokenAfter, EndsAtTheLastGap) {
  EXPECT_EQ(unbroken_after({segment(5, 9)}), 4U);
  EXPECT_EQ(unbroken_after({segment(1, 4), segment(5, 9)}), 0U);
  EXPECT_EQ(unbroken_after({segment(1, 4), segment(6, 9), segment(10, 10)}), 5U);
}

TEST(UnbrokenAfter, OverlapsAreNoGap) {
  EXPECT_EQ(unbroken_after({segment(1, 4), segment(3, 9), segment(8, 12)}), 0U);
}

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

/// Segments of ten entries each, from 1 to 50.
class PruneTest : public ::testing::Test {
 protected:
  PruneTest() {
    for (std::uint64_t after = 0; after < 50; after += 10) segments_.push_back(store(after, 10));
  }

  std::string store(std::uint64_t after, std::uint64_t count) {
    return put_segment(objects_, after, {{kNow, after + count, kNow, 1}});
  }
  std::string backup(const std::string& name, std::uint64_t index,
                     const std::string& cluster = kCluster) {
    return manifest_name(put_backup(objects_, name, index, 1, kNow, cluster));
  }
  Pruned prune() { return prune_archive(objects_, kLog, kCluster); }
  /// Which segments are left, as "12345".
  std::string left() const {
    std::string left;
    for (std::size_t i = 0; i < segments_.size(); ++i) {
      if (objects_.has(segments_[i])) left += std::to_string(i + 1);
    }
    return left;
  }

  StoredObjects objects_;
  std::vector<std::string> segments_;
};

TEST_F(PruneTest, OnlyWhatEndsAtTheOldestBackupOrBeforeGoes) {
  backup("newer", 45);
  backup("older", 30);
  const Pruned pruned = prune();
  EXPECT_TRUE(pruned.status.ok()) << pruned.status;
  EXPECT_EQ(left(), "45");
  EXPECT_EQ(pruned.removed, 3);
  EXPECT_EQ(pruned.last_index, 30U);
}

TEST_F(PruneTest, ASegmentThatReachesBeyondTheBackupStays) {
  backup("only", 29);
  prune();
  EXPECT_EQ(left(), "345");
}

TEST_F(PruneTest, TheLastOneStaysAndSoDoesAllWithoutABackup) {
  prune();
  EXPECT_EQ(left(), "12345");
  backup("late", 1000);
  prune();
  EXPECT_EQ(left(), "5");
}

TEST_F(PruneTest, BackupsOfOtherClustersDoNotCount) {
  backup("other", 5, "c2");
  backup("of-old-cluster-without-index", 0, "c3");
  prune();
  EXPECT_EQ(left(), "12345");
  backup("ours", 20);
  prune();
  EXPECT_EQ(left(), "345");
}

TEST_F(PruneTest, AnythingThatCannotBeReadOrSaysNoEntryKeepsAllAndIsNamed) {
  backup("ours", 40);
  const std::string silent = backup("silent", 0);
  EXPECT_THAT(std::string(prune().status.message()), HasSubstr(silent));
  EXPECT_EQ(left(), "12345");
  ASSERT_TRUE(objects_.remove(silent).ok());
  for (const Bytes& text : {Bytes("not a manifest"), Bytes(kMaxManifestBytes + 1, ' ')}) {
    objects_.put("apps/db/foreign.manifest.json", text);
    EXPECT_THAT(std::string(prune().status.message()), HasSubstr("foreign.manifest.json"));
    EXPECT_EQ(left(), "12345");
  }
  ASSERT_TRUE(objects_.remove("apps/db/foreign.manifest.json").ok());
  EXPECT_TRUE(prune().status.ok());
  EXPECT_EQ(left(), "5");
}

TEST_F(PruneTest, AManifestThatIsListedAndNotFoundKeepsAll) {
  backup("newer", 40);
  const std::string older = backup("older", 10);
  objects_.hidden_.insert(older);
  EXPECT_THAT(std::string(prune().status.message()), HasSubstr(older));
  EXPECT_EQ(left(), "12345");
  objects_.hidden_.clear();
  prune();
  EXPECT_EQ(left(), "2345");
}

TEST_F(PruneTest, ARefusedRemovalIsToldAndTriedAgain) {
  backup("ours", 40);
  objects_.refuses_removal_of_.insert(segments_[1]);
  Pruned pruned = prune();
  EXPECT_TRUE(absl::IsUnavailable(pruned.status));
  EXPECT_EQ(left(), "25");
  EXPECT_EQ(pruned.removed, 3);
  EXPECT_EQ(pruned.last_index, 40U);
  objects_.refuses_removal_of_.clear();
  pruned = prune();
  EXPECT_TRUE(pruned.status.ok());
  EXPECT_EQ(left(), "5");
  EXPECT_EQ(pruned.removed, 1);
}

TEST_F(PruneTest, ATargetThatRefusesAllIsNotAskedForEver) {
  backup("ours", 1000);
  for (std::uint64_t after = 50; after < 200; after += 10) segments_.push_back(store(after, 10));
  for (const std::string& name : segments_) objects_.refuses_removal_of_.insert(name);
  objects_.removals_ = 0;
  EXPECT_FALSE(prune().status.ok());
  EXPECT_EQ(objects_.removals_, 3);
}

TEST_F(PruneTest, WhatIsForeignStays) {
  const std::vector<std::string> foreign = {
      "apps/db/log-c1/head.json", "apps/db/log-c1/notes.txt",
      "apps/db/log-c1/0000000000000001-0000000000000002.entries.part",
      "apps/db/log-c1/deeper/0000000000000001-0000000000000002.entries",
      "apps/db/log-c2/0000000000000001-0000000000000002.entries"};
  for (const std::string& name : foreign) objects_.put(name, "foreign");
  backup("ours", 1000);
  prune();
  EXPECT_EQ(left(), "5");
  for (const std::string& name : foreign) EXPECT_TRUE(objects_.has(name)) << name;
}

/// The log of a cluster that another took the place of, last told of two hours ago.
class PruneFormerTest : public PruneTest {
 protected:
  PruneFormerTest() {
    backup("ours", 30);
    for (std::uint64_t after = 0; after < 30; after += 10) {
      former_.push_back(put_segment(objects_, after, {{kNow, after + 10, kNow, 1}}, kFormer));
    }
    put_head(kNow - absl::Hours(2));
  }
  void put_head(absl::Time until) {
    ArchiveHead head{.cluster_id = "f1", .end_index = 30};
    head.until = until;
    objects_.put(kHead, write_head(head));
  }
  Pruned prune_former() { return prune_former_archives(objects_, kLog, kCluster, kNow); }
  bool is_whole() const {
    return objects_.has(kHead) &&
           std::ranges::all_of(former_, [this](const auto& name) { return objects_.has(name); });
  }

  static constexpr const char* kFormer = "apps/db/log-f1";
  static constexpr const char* kHead = "apps/db/log-f1/head.json";
  std::vector<std::string> former_;
};

TEST_F(PruneFormerTest, WithoutABackupOfItAllGoes) {
  const Pruned pruned = prune_former();
  EXPECT_TRUE(pruned.status.ok()) << pruned.status;
  EXPECT_EQ(pruned.removed, 3);
  for (const std::string& name : objects_.names()) EXPECT_FALSE(name.starts_with(kFormer)) << name;
  EXPECT_EQ(objects_.removed_folders_, std::vector<std::string>{kFormer});
  EXPECT_EQ(left(), "12345") << "and nothing of ours";
}

TEST_F(PruneFormerTest, WhatABackupOfItNeedsStaysAsLongAsThatIsKept) {
  const std::string before = backup("before", 15, "f1");
  EXPECT_EQ(prune_former().removed, 1);
  EXPECT_FALSE(objects_.has(former_[0]));
  EXPECT_TRUE(objects_.has(former_[1]) && objects_.has(former_[2]) && objects_.has(kHead));
  ASSERT_TRUE(objects_.remove(before).ok());
  EXPECT_EQ(prune_former().removed, 2);
  EXPECT_FALSE(objects_.has(kHead));
}

TEST_F(PruneFormerTest, OneThatSomebodyMayBeAtStays) {
  put_head(kNow - absl::Minutes(59));
  EXPECT_EQ(prune_former().removed, 0);
  EXPECT_TRUE(is_whole());
  ASSERT_TRUE(objects_.remove(kHead).ok());
  EXPECT_EQ(prune_former().removed, 0);
  EXPECT_TRUE(objects_.has(former_[0]));
}

TEST_F(PruneFormerTest, WhereNoBackupOfOursIsShownNothingGoes) {
  ASSERT_TRUE(objects_.remove(manifest_name("apps/db/ours.db")).ok());
  EXPECT_EQ(prune_former().removed, 0);
  EXPECT_TRUE(is_whole());
}

TEST_F(PruneFormerTest, WhatCannotBeToldKeepsAll) {
  objects_.put("apps/db/foreign.manifest.json", "not a manifest");
  EXPECT_FALSE(prune_former().status.ok());
  EXPECT_TRUE(is_whole());
}

TEST_F(PruneFormerTest, WhatIsForeignStaysAndARefusalIsTriedAgain) {
  objects_.put("apps/db/log-f1/notes.txt", "foreign");
  objects_.put("apps/db/login/head.json", "foreign");
  objects_.refuses_removal_of_.insert(former_[1]);
  EXPECT_FALSE(prune_former().status.ok());
  EXPECT_TRUE(objects_.has(former_[1]) && objects_.has(kHead));
  objects_.refuses_removal_of_.clear();
  EXPECT_TRUE(prune_former().status.ok());
  EXPECT_FALSE(objects_.has(kHead));
  EXPECT_TRUE(objects_.has("apps/db/log-f1/notes.txt") && objects_.has("apps/db/login/head.json"));
  EXPECT_TRUE(objects_.removed_folders_.empty());
}

/// Archivers, backups, retention and a target that fails, in any order.
class PruneModel {
 public:
  explicit PruneModel(std::uint64_t seed) : dice_(seed) {}

  void step() {
    switch (dice_.below(6)) {
      case 0:
      case 1:
        return archive();
      case 2:
        return back_up();
      case 3:
        return let_a_backup_go();
      default:
        return prune_under_faults();
    }
  }
  /// Nothing fails any more: what no backup needs goes.
  void end() {
    objects_.refuses_removal_of_.clear();
    objects_.hidden_.clear();
    prune();
    if (backups_.empty()) return;
    const auto older = [](const auto& left, const auto& right) {
      return left.second < right.second;
    };
    const std::uint64_t oldest = std::ranges::min_element(backups_, older)->second;
    for (const auto& [name, last] : stored_) {
      EXPECT_TRUE(last > oldest || last == end_ || !objects_.has(name)) << name;
    }
  }

 private:
  /// Overlapping now and then, as of an archiver that died.
  void archive() {
    const std::uint64_t after = end_ - std::min(end_, dice_.below(3));
    end_ += 1 + dice_.below(5);
    stored_[put_segment(objects_, after, {{kNow, end_, kNow, 1}})] = end_;
  }
  void back_up() {
    const std::uint64_t index = 1 + dice_.below(end_ + 1);
    const std::string name = api::str_cat("backup-", made_++);
    backups_[manifest_name(put_backup(objects_, name, index, 1, kNow))] = index;
  }
  void let_a_backup_go() {
    if (backups_.empty()) return;
    const auto chosen = static_cast<std::ptrdiff_t>(dice_.below(backups_.size()));
    const auto gone = std::next(backups_.begin(), chosen);
    ASSERT_TRUE(objects_.remove(gone->first).ok());
    backups_.erase(gone);
  }
  void prune_under_faults() {
    objects_.refuses_removal_of_.clear();
    objects_.hidden_.clear();
    for (const auto& [name, last] : stored_) {
      if (dice_.below(4) == 0) objects_.refuses_removal_of_.insert(name);
    }
    for (const auto& [name, index] : backups_) {
      if (dice_.below(8) == 0) objects_.hidden_.insert(name);
    }
    prune();
  }
  /// From every backup that is there, all that was stored after it stays.
  void prune() {
    const std::set<std::string> before = objects_.names();
    prune_archive(objects_, kLog, kCluster);
    for (const auto& [name, last] : stored_) {
      const auto needs = [end = last](const auto& backup) { return end > backup.second; };
      const bool is_needed = backups_.empty() || std::ranges::any_of(backups_, needs);
      EXPECT_TRUE(!is_needed || !before.contains(name) || objects_.has(name)) << name;
    }
  }

  Prng dice_;
  StoredObjects objects_;
  std::map<std::string, std::uint64_t> backups_;  ///< entries that they are of
  std::map<std::string, std::uint64_t> stored_;   ///< segments' last entries
  std::uint64_t end_ = 0;
  int made_ = 0;
};

TEST(PruneModelTest, NoKeptBackupEverLosesItsLogAndTheRestGoes) {
  for (std::uint64_t seed = 1; seed <= 300 && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    PruneModel model(seed);
    for (int step = 0; step < 60; ++step) model.step();
    model.end();
  }
}

}  // namespace
}  // namespace holdfast::backup
