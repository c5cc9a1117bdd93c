#include "operator/backup/archive_pruner.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "tests/unit/backup/stored_objects.h"

namespace holdfast::backup {
namespace {

using std::chrono::milliseconds;

TEST(ArchivePrunerTest, RemovesNowAndThenAndTellsItOnce) {
  StoredObjects objects;
  const absl::Time now = absl::FromUnixSeconds(1'800'000'000);
  std::string last;
  for (std::uint64_t after = 0; after < 30; after += 10) {
    last = put_segment(objects, after, {{now, after + 10, now, 1}});
  }
  put_backup(objects, "only", 30, 1, now);
  const auto log = telemetry::Logger::none();
  {
    ArchivePruner pruner(objects, kLog, milliseconds(1), *log);
    EXPECT_EQ(pruner.take_removed().removed, 0) << "not before it is started";
    pruner.start(kCluster);
    pruner.start(kCluster);
    Pruned removed;
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (removed.removed == 0 && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(milliseconds(1));
      removed = pruner.take_removed();
    }
    EXPECT_EQ(removed.removed, 2);
    EXPECT_EQ(removed.last_index, 20U);
    EXPECT_EQ(pruner.take_removed().removed, 0);
  }
  EXPECT_TRUE(objects.has(last));
}

}  // namespace
}  // namespace holdfast::backup
