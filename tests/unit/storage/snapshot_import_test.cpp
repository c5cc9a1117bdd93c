#include "datastore/storage/snapshot_import.h"

#include "datastore/storage/bbolt_writer.h"
#include "tests/unit/storage/store_fixture.h"

namespace holdfast::storage {
namespace {

using absl::StatusCode;

Bytes be64(std::uint64_t number) {
  Bytes bytes(8, '\0');
  store_be64(bytes.data(), number);
  return bytes;
}

class SnapshotImportTest : public StoreTest {
 protected:
  void SetUp() override {
    reopen();
    for (std::uint64_t i = 2; i <= 9; ++i) put(Bucket::kKey, revision_key(i), be64(i));
    put(Bucket::kLease, "lease", "l");
    put(Bucket::kMembers, "old", "member");
    put(Bucket::kMembersRemoved, "gone", "member");
    put(Bucket::kMeta, "consistent_index", be64(40));
    put(Bucket::kMeta, "term", be64(3));
    write_file();
    LmdbBackend::Options options;
    options.directory = directory_ / "restored";
    restored_ = *LmdbBackend::open(options);
  }

  void write_file() {
    file_.clear();
    const auto view = read();
    auto writer = BboltWriter::plan(*view, {});
    ASSERT_TRUE(writer
                    ->write([&](BytesView chunk) {
                      file_.append(chunk);
                      return absl::OkStatus();
                    })
                    .ok());
  }

  absl::StatusOr<ImportResult> import(const RestoreOptions& options) {
    const auto reader = BboltReader::from_bytes(file_, "snapshot", {});
    EXPECT_TRUE(reader.ok());
    return import_snapshot(**reader, *restored_, options);
  }
  Entries restored(Bucket bucket) { return scan(**restored_->begin_read(), bucket); }

  Bytes file_;
  std::unique_ptr<LmdbBackend> restored_;
};

TEST_F(SnapshotImportTest, WithoutOptionsAllBucketsAreEqual) {
  const auto result = import({});
  ASSERT_TRUE(result.ok()) << result.status();
  for (std::size_t i = 0; i < ports::kBucketCount; ++i) {
    EXPECT_EQ(restored(static_cast<Bucket>(i)), scan(*read(), static_cast<Bucket>(i)));
  }
  EXPECT_EQ(result->latest, Revision(9));
  EXPECT_EQ(result->consistent_index, Index(40));
  EXPECT_EQ(result->entries, 13U);
  EXPECT_TRUE(result->ignored_buckets.empty());
}

TEST_F(SnapshotImportTest, NewClusterGetsItsOwnMembersAndIndex) {
  RestoreOptions options;
  options.membership.emplace().members = {{"new", "m1"}};
  options.consistent_index = Index(1);
  options.term = Term(1);
  options.conf_state = "{\"voters\":[1]}";
  const auto result = import(options);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(restored(Bucket::kMembers), (Entries{{"new", "m1"}}));
  EXPECT_TRUE(restored(Bucket::kMembersRemoved).empty());
  EXPECT_EQ(restored(Bucket::kLease), (Entries{{"lease", "l"}}));
  EXPECT_EQ(restored(Bucket::kMeta), (Entries{{"confState", "{\"voters\":[1]}"},
                                              {"consistent_index", be64(1)},
                                              {"term", be64(1)}}));
  EXPECT_EQ(result->consistent_index, Index(1));
}

TEST_F(SnapshotImportTest, BumpAddsAnEmptyRevisionAndMayCompactUpToIt) {
  RestoreOptions options;
  options.bump_revision = 1000;
  options.mark_compacted = true;
  const auto result = import(options);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->latest, Revision(1009));
  EXPECT_EQ(restored(Bucket::kKey).back(), (std::pair<Bytes, Bytes>(revision_key(1009), "")));
  const auto read = *restored_->begin_read();
  EXPECT_EQ(*read->get(Bucket::kMeta, "scheduledCompactRev"), revision_key(1009));
}

TEST_F(SnapshotImportTest, ContradictingOptionsAreRefused) {
  RestoreOptions options;
  options.mark_compacted = true;
  EXPECT_EQ(import(options).status().code(), StatusCode::kInvalidArgument);
  options.bump_revision = ~std::uint64_t{0};
  EXPECT_EQ(import(options).status().code(), StatusCode::kOutOfRange);
}

TEST_F(SnapshotImportTest, StoreWithContentIsRefused) {
  ASSERT_TRUE(import({}).ok());
  EXPECT_EQ(import({}).status().code(), StatusCode::kFailedPrecondition);
}

// --- a follower takes over its leader's state ---------------------------------------------------

class InstallTest : public SnapshotImportTest {
 protected:
  void SetUp() override {
    SnapshotImportTest::SetUp();
    const BackendWrite write{Bucket::kMeta, "own", "of the follower"};
    ASSERT_TRUE(restored_->commit({&write, 1}).ok());
  }
  absl::StatusOr<ImportResult> install(Index index, Term term) {
    const auto reader = BboltReader::from_bytes(file_, "snapshot", {});
    if (!reader.ok()) return reader.status();
    return install_snapshot(**reader, *restored_, index, term);
  }
  void expect_unchanged() {
    EXPECT_EQ(restored(Bucket::kMeta), (Entries{{"own", "of the follower"}}));
    EXPECT_TRUE(restored(Bucket::kKey).empty());
  }
};

TEST_F(InstallTest, AllBucketsBecomeTheLeaders) {
  const auto result = install(Index(40), Term(3));
  ASSERT_TRUE(result.ok()) << result.status();
  for (std::size_t i = 0; i < ports::kBucketCount; ++i) {
    EXPECT_EQ(restored(static_cast<Bucket>(i)), scan(*read(), static_cast<Bucket>(i)));
  }
  EXPECT_EQ(result->latest, Revision(9));
  EXPECT_EQ(result->entries, 13U);
}

TEST_F(InstallTest, ASnapshotOfAnotherMomentChangesNothing) {
  EXPECT_EQ(install(Index(41), Term(3)).status().code(), StatusCode::kDataLoss);
  EXPECT_EQ(install(Index(40), Term(4)).status().code(), StatusCode::kDataLoss);
  expect_unchanged();
}

TEST_F(InstallTest, DamageAnywhereIsFoundOrHarmless) {
  const Bytes whole = file_;
  for (std::size_t page = 0; page * 4096 < whole.size(); ++page) {
    file_ = whole;
    std::fill_n(file_.begin() + static_cast<std::ptrdiff_t>(page * 4096), 4096, '\x5a');
    const auto result = install(Index(40), Term(3));
    // A meta page has a twin, and nobody needs the list of free pages.
    EXPECT_EQ(result.ok(), page < 3) << page << ": " << result.status();
    if (!result.ok()) {
      EXPECT_EQ(result.status().code(), StatusCode::kDataLoss);
    }
  }
}

TEST_F(InstallTest, ASnapshotWithoutMembersIsRefused) {
  const BackendWrite write{Bucket::kMembers, "old", std::nullopt};
  ASSERT_TRUE(store_->commit({&write, 1}).ok());
  write_file();
  EXPECT_EQ(install(Index(40), Term(3)).status().code(), StatusCode::kDataLoss);
  expect_unchanged();
}

}  // namespace
}  // namespace holdfast::storage
