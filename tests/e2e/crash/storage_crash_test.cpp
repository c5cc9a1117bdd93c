// The LMDB store after power losses. A random workload runs with its writes and syncs recorded;
// then crash images are made: all that was synced, and of the rest a random part, dropped, torn and
// reordered. Each image must open and hold exactly one of the commits from the last durable one on.
//
//   HOLDFAST_CRASH_IMAGES  how many images (default 2000)
//   HOLDFAST_SEED          the first seed (default 1)

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>
#include <memory>

#include "datastore/base/crc32c.h"
#include "datastore/storage/lmdb_backend.h"
#include "tests/e2e/crash/file_trace.h"
#include "tests/unit/storage/temp_directory.h"

namespace holdfast::storage {
namespace {

using ports::BackendWrite;
using ports::Bucket;
using Kind = FileOperation::Kind;

constexpr int kImagesPerSeed = 200;
constexpr int kCommitsPerSeed = 60;

std::uint64_t number_from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

Bytes read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return Bytes((std::istreambuf_iterator<char>(in)), {});
}

/// A checksum of everything in the store, and the commit number that bucket meta claims.
struct Content {
  std::uint32_t checksum = 0;
  std::uint64_t commit = 0;
};

absl::StatusOr<Content> content_of(LmdbBackend& store) {
  Content content;
  const auto read = store.begin_read();
  if (!read.ok()) return read.status();
  for (std::size_t i = 0; i < ports::kBucketCount; ++i) {
    content.checksum = crc32c(content.checksum, ports::kBucketNames[i]);
    const auto cursor = (*read)->cursor(static_cast<Bucket>(i));
    for (cursor->seek({}); cursor->valid(); cursor->next()) {
      content.checksum = crc32c(crc32c(content.checksum, cursor->key()), cursor->value());
    }
    if (!cursor->status().ok()) return cursor->status();
  }
  const auto number = (*read)->get(Bucket::kMeta, "commit");
  if (number.ok()) content.commit = load_le64(number->data());
  return content;
}

/// Commits random changes; remembers, for each commit, the whole content, and the operations
/// recorded when it began and when it was reported durable.
class Workload {
 public:
  struct Commit {
    std::size_t begun_at = 0;
    std::size_t done_at = 0;
    std::uint32_t checksum = 0;
  };

  Workload(LmdbBackend& store, std::uint64_t seed) : store_(store), dice_(seed) {}

  void run() {
    remember(0);
    for (int i = 1; i <= kCommitsPerSeed; ++i) {
      const std::size_t begun_at = FileTrace::operations().size();
      ASSERT_TRUE(commit(static_cast<std::uint64_t>(i)).ok());
      remember(begun_at);
      if (dice_.chance(1, 4)) compact();
      if (dice_.chance(1, 3)) {
        ASSERT_TRUE(store_.reclaim(1 + dice_.below(400000)).ok());
      }
    }
  }

  absl::Status commit(std::uint64_t number) {
    std::vector<std::pair<Bytes, Bytes>> entries;
    std::vector<bool> removes;
    const std::uint64_t count = 1 + dice_.below(80);
    for (std::uint64_t i = 0; i < count; ++i) {
      Bytes key(17, '\0');
      // Mostly ascending, as revisions are; removals of any, as compaction does.
      const bool removal = dice_.chance(2, 5);
      store_be64(key.data(), removal ? dice_.below(next_revision_ + 1) : next_revision_++);
      removes.push_back(removal);
      const std::uint64_t size = dice_.chance(1, 20) ? dice_.below(20000) : dice_.below(400);
      entries.emplace_back(key, Bytes(size, static_cast<char>('a' + number % 26)));
    }
    Bytes commit_number(8, '\0');
    store_le64(commit_number.data(), number);
    const Bytes lease = "lease-" + std::to_string(dice_.below(20));
    std::vector<BackendWrite> writes;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      writes.push_back({Bucket::kKey, entries[i].first,
                        removes[i] ? std::nullopt : std::optional<BytesView>(entries[i].second)});
    }
    writes.push_back({Bucket::kLease, lease, commit_number});
    writes.push_back({Bucket::kMeta, "commit", commit_number});
    return store_.commit(writes);
  }

  const std::vector<Commit>& commits() const { return commits_; }

 private:
  /// Changes no content: an image from before, amid or after it holds the same commit.
  void compact() {
    Bytes from;
    do {
      auto next = store_.compact_step(Bucket::kKey, from, 1 + dice_.below(300));
      ASSERT_TRUE(next.ok()) << next.status();
      from = *std::move(next);
    } while (!from.empty());
  }

  void remember(std::size_t begun_at) {
    const auto content = content_of(store_);
    ASSERT_TRUE(content.ok()) << content.status();
    commits_.push_back({begun_at, FileTrace::operations().size(), content->checksum});
  }

  LmdbBackend& store_;
  Prng dice_;
  std::uint64_t next_revision_ = 0;
  std::vector<Commit> commits_;
};

LmdbBackend::Options tight(const std::string& directory, bool sealed) {
  LmdbBackend::Options options;
  options.directory = directory;
  options.reserve_bytes = 0;  // punch as much as possible
  if (sealed) options.key = crypto::sealing_key(crypto::Key256(Bytes(32, 'k')), "store");
  return options;
}

/// Checks one image; returns the commit found in it.
std::uint64_t check_image(const std::string& directory, bool sealed, const Bytes& image,
                          const std::vector<Workload::Commit>& commits, std::uint64_t durable,
                          std::uint64_t begun) {
  const std::string path = directory + "/data.mdb";
  std::filesystem::remove(path);  // ext4 waits for the disk when a file is cut to 0 and rewritten
  std::ofstream(path, std::ios::binary) << image;
  LmdbBackend::Options options = tight(directory, sealed);
  options.unsafe_no_fsync = true;
  auto store = LmdbBackend::open(options);
  EXPECT_TRUE(store.ok()) << store.status();
  if (!store.ok()) return 0;
  const auto content = content_of(**store);
  EXPECT_TRUE(content.ok()) << content.status();
  if (!content.ok()) return 0;
  EXPECT_GE(content->commit, durable) << "a durable commit is lost";
  EXPECT_LE(content->commit, begun) << "a commit from the future";
  EXPECT_EQ(content->checksum, commits[content->commit].checksum) << "not the commit it claims";
  // And it goes on from there.
  Workload more(**store, 99);
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(more.commit(1000).ok());
    EXPECT_TRUE((*store)->reclaim(1 << 20).ok());
  }
  EXPECT_TRUE((*store)->verify().ok());
  return content->commit;
}

void crash_one_workload(std::uint64_t seed, int images) {
  const bool sealed = seed % 2 == 0;
  TempDirectory directory;
  std::vector<FileOperation> operations;
  std::vector<Workload::Commit> commits;
  Bytes base;
  {
    auto store = LmdbBackend::open(tight(directory / "store", sealed));
    ASSERT_TRUE(store.ok()) << store.status();
    base = read_file((*store)->path());
    FileTrace::start((*store)->path());
    Workload workload(**store, seed);
    workload.run();
    FileTrace::stop();
    commits = workload.commits();
    operations = std::exchange(FileTrace::operations(), {});
  }
  ASSERT_GT(std::count_if(operations.begin(), operations.end(),
                          [](const FileOperation& o) { return o.kind == Kind::kPunch; }),
            0);

  Prng dice(seed * 7919);
  std::vector<std::size_t> points(static_cast<std::size_t>(images));
  for (std::size_t& point : points) point = dice.below(operations.size() + 1);
  std::sort(points.begin(), points.end());
  CrashImage disk(base);
  std::size_t synced = 0;  // operations before this one are durable
  std::size_t seen = 0;
  std::filesystem::create_directory(directory / "image");
  for (const std::size_t point : points) {
    for (; seen < point; ++seen) {
      if (operations[seen].kind == Kind::kSync) {
        disk.make_durable(operations, synced, seen);
        synced = seen + 1;
      } else if (operations[seen].kind == Kind::kSyncedWrite && synced == seen) {
        disk.make_durable(operations, synced, seen + 1);
        synced = seen + 1;
      }
    }
    std::uint64_t durable = 0;
    std::uint64_t begun = 0;
    for (std::size_t i = 1; i < commits.size(); ++i) {
      if (commits[i].done_at <= point) durable = i;
      if (commits[i].begun_at < point) begun = i;
    }
    check_image(directory / "image", sealed, disk.draw(operations, synced, point, dice), commits,
                durable, begun);
    if (testing::Test::HasFailure()) {
      std::printf("seed %llu, crash before operation %zu of %zu\n",
                  static_cast<unsigned long long>(seed), point, operations.size());
      return;
    }
  }
}

TEST(StorageCrash, EveryImageHoldsTheDurableCommits) {
  const auto images = static_cast<int>(number_from_environment("HOLDFAST_CRASH_IMAGES", 2000));
  const std::uint64_t first_seed = number_from_environment("HOLDFAST_SEED", 1);
  int made = 0;
  for (std::uint64_t seed = first_seed; made < images && !HasFailure(); ++seed) {
    const int now = std::min(kImagesPerSeed, images - made);
    crash_one_workload(seed, now);
    made += now;
  }
  std::printf("images: %d crash images of the store checked, seeds from %llu\n", made,
              static_cast<unsigned long long>(first_seed));
}

/// On a plain store and on a sealed one.
class StorageFaults : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    store_ = *LmdbBackend::open(tight(directory_ / "store", GetParam()));
    workload_ = std::make_unique<Workload>(*store_, 5);
    ASSERT_TRUE(workload_->commit(1).ok());
    FileTrace::start(store_->path());
  }
  void TearDown() override { FileTrace::stop(); }

  TempDirectory directory_;
  std::unique_ptr<LmdbBackend> store_;
  std::unique_ptr<Workload> workload_;
};

TEST_P(StorageFaults, FullDiskAppliesNothingAndTheStoreGoesOn) {
  const Content before = *content_of(*store_);
  for (int nth = 0; nth < 5; ++nth) {
    int left = nth;
    bool failed = false;
    FileTrace::set_fault([&](Kind kind) {
      if (kind != Kind::kWrite || left-- > 0) return 0;
      failed = true;
      return ENOSPC;
    });
    const absl::Status full = workload_->commit(2);
    if (!failed) break;  // fewer writes than that: it went through
    EXPECT_TRUE(absl::IsResourceExhausted(full)) << full;
    EXPECT_EQ(content_of(*store_)->checksum, before.checksum);
  }
  FileTrace::set_fault(nullptr);
  EXPECT_TRUE(workload_->commit(3).ok());
  EXPECT_TRUE(store_->verify().ok());
  EXPECT_EQ(content_of(*store_)->commit, 3U);
}

// However much room there is when the failure is looked at: others may have given some back.
TEST_P(StorageFaults, AWriteThatIsCutShortIsAFullDisk) {
  const Content before = *content_of(*store_);
  FileTrace::set_fault([](Kind kind) { return kind == Kind::kWrite ? FileTrace::kCutShort : 0; });
  const absl::Status full = workload_->commit(2);
  EXPECT_TRUE(absl::IsResourceExhausted(full)) << full;
  EXPECT_EQ(content_of(*store_)->checksum, before.checksum);
  FileTrace::set_fault(nullptr);
  EXPECT_TRUE(workload_->commit(3).ok());
  EXPECT_TRUE(store_->verify().ok());
}

TEST_P(StorageFaults, FailedSyncIsReportedAsUnknown) {
  FileTrace::set_fault([](Kind kind) { return kind == Kind::kSync ? EIO : 0; });
  const absl::Status failed = workload_->commit(2);
  EXPECT_TRUE(absl::IsUnknown(failed)) << failed;
}

TEST_P(StorageFaults, FailedMetaWriteIsReportedAsUnknown) {
  FileTrace::set_fault([](Kind kind) { return kind == Kind::kSyncedWrite ? EIO : 0; });
  const absl::Status failed = workload_->commit(2);
  EXPECT_TRUE(absl::IsUnknown(failed)) << failed;
}

TEST_P(StorageFaults, FileSystemWithoutHolesSaysSo) {
  ASSERT_TRUE(store_->commit({}).ok());
  for (int i = 2; i < 30; ++i) ASSERT_TRUE(workload_->commit(static_cast<std::uint64_t>(i)).ok());
  FileTrace::set_fault([](Kind kind) { return kind == Kind::kPunch ? EOPNOTSUPP : 0; });
  EXPECT_TRUE(absl::IsUnimplemented(store_->reclaim(1 << 20).status()));
}

/// Replaces the content by 20 MB; what is written to the new file is traced, and fails as told.
absl::Status replace(LmdbBackend& store, std::function<int(Kind)> fault) {
  const Bytes value(20000, 'n');
  const absl::Status status = store.replace([&](ports::BackendFill& fill) -> absl::Status {
    FileTrace::start(store.path() + ".new");
    FileTrace::set_fault(std::move(fault));
    for (std::uint64_t i = 1; i <= 1000; ++i) {
      Bytes key(17, '\0');
      store_be64(key.data(), i);
      if (absl::Status s = fill.add(Bucket::kKey, key, value); !s.ok()) return s;
    }
    return absl::OkStatus();
  });
  FileTrace::stop();  // another file may get the same inode
  return status;
}

// So that a crash leaves the old content or the new one: nothing but a rename lies between them.
TEST_P(StorageFaults, AReplacementIsSyncedWholeBeforeItTakesItsPlace) {
  ASSERT_TRUE(replace(*store_, nullptr).ok());
  const std::vector<FileOperation>& operations = FileTrace::operations();
  ASSERT_GT(operations.size(), 3U);
  EXPECT_EQ(operations.back().kind, Kind::kSync);
}

TEST_P(StorageFaults, FullDiskWhileReplacingChangesNothing) {
  const Content before = *content_of(*store_);
  for (int nth : {0, 1, 5}) {
    const absl::Status full = replace(*store_, [left = nth](Kind kind) mutable {
      return kind == Kind::kWrite && left-- <= 0 ? ENOSPC : 0;
    });
    EXPECT_TRUE(absl::IsResourceExhausted(full)) << full;
    EXPECT_EQ(content_of(*store_)->checksum, before.checksum);
  }
  EXPECT_TRUE(replace(*store_, nullptr).ok());
}

TEST_P(StorageFaults, AReplacementThatCannotBeSyncedIsReportedAsUnknownAndNotPutInPlace) {
  const Content before = *content_of(*store_);
  const absl::Status failed =
      replace(*store_, [](Kind kind) { return kind == Kind::kSync ? EIO : 0; });
  EXPECT_TRUE(absl::IsUnknown(failed)) << failed;
  EXPECT_EQ(content_of(*store_)->checksum, before.checksum);
}

INSTANTIATE_TEST_SUITE_P(PlainAndSealed, StorageFaults, testing::Bool());

}  // namespace
}  // namespace holdfast::storage
