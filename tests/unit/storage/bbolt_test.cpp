#include <openssl/sha.h>

#include <algorithm>

#include "datastore/base/prng.h"
#include "datastore/storage/bbolt_format.h"
#include "datastore/storage/bbolt_reader.h"
#include "datastore/storage/bbolt_writer.h"
#include "tests/unit/storage/store_fixture.h"

namespace holdfast::storage {
namespace {

using absl::StatusCode;
using testing::HasSubstr;

constexpr std::size_t kPageBytes = 4096;

class BboltTest : public StoreTest {
 protected:
  void SetUp() override {
    LmdbBackend::Options fast = options();
    fast.unsafe_no_fsync = true;
    reopen(fast);
  }

  Bytes snapshot(BboltWriter::Options options = {}) {
    const auto view = read();
    auto writer = BboltWriter::plan(*view, std::move(options));
    EXPECT_TRUE(writer.ok()) << writer.status();
    Bytes file;
    const absl::Status written = writer->write([&](BytesView chunk) {
      file.append(chunk);
      return absl::OkStatus();
    });
    EXPECT_TRUE(written.ok()) << written;
    EXPECT_EQ(file.size(), writer->size_bytes());
    return file;
  }

  static Entries entries(const BboltReader& reader, BytesView bucket, BytesView from = {}) {
    auto cursor = reader.bucket(bucket);
    EXPECT_TRUE(cursor.ok()) << cursor.status();
    Entries found;
    for (cursor->seek(from); cursor->valid(); cursor->next()) {
      found.emplace_back(cursor->key(), cursor->value());
    }
    EXPECT_TRUE(cursor->status().ok()) << cursor->status();
    return found;
  }

  void expect_equal_content(const BboltReader& reader) {
    const auto view = read();
    for (std::size_t i = 0; i < ports::kBucketCount; ++i) {
      EXPECT_EQ(entries(reader, ports::kBucketNames[i]), scan(*view, static_cast<Bucket>(i)));
    }
  }

  void fill(Bucket bucket, std::size_t count, Prng& dice, std::size_t max_key,
            std::size_t max_value) {
    std::map<Bytes, Bytes> content;
    while (content.size() < count) {
      Bytes key(1 + dice.below(max_key), 'k');
      for (char& c : key) c = static_cast<char>(dice.next());
      const auto letter = static_cast<char>('a' + dice.below(26));
      content[key] = Bytes(dice.below(max_value + 1), letter);
    }
    std::vector<BackendWrite> writes;
    for (const auto& [key, value] : content) writes.push_back({bucket, key, value});
    ASSERT_TRUE(store_->commit(writes).ok());
  }
};

absl::StatusOr<std::unique_ptr<BboltReader>> reader_of(BytesView file) {
  return BboltReader::from_bytes(file, "snapshot", {});
}

TEST_F(BboltTest, EmptyStoreBecomesTenEmptyBuckets) {
  const Bytes file = snapshot();
  EXPECT_EQ(file.size() % kPageBytes, 0U);
  const auto reader = reader_of(file);
  ASSERT_TRUE(reader.ok()) << reader.status();
  BboltCursor top = (*reader)->buckets();
  std::vector<Bytes> names;
  for (top.seek({}); top.valid(); top.next()) {
    EXPECT_TRUE(top.is_bucket());
    names.emplace_back(top.key());
  }
  EXPECT_EQ(names, std::vector<Bytes>(ports::kBucketNames.begin(), ports::kBucketNames.end()));
  expect_equal_content(**reader);
}

// Sizes around a page, keys that need several branch levels, values with overflow pages.
TEST_F(BboltTest, ReaderFindsWhatWriterWrote) {
  Prng dice(5);
  fill(Bucket::kKey, 20000, dice, 18, 300);
  fill(Bucket::kAuthUsers, 300, dice, 1500, 9000);
  fill(Bucket::kAuthRoles, 200, dice, 3000, 10);
  fill(Bucket::kLease, 1, dice, 8, 0);
  fill(Bucket::kCluster, 40, dice, 20, 4096);
  const Bytes file = snapshot();
  const auto reader = reader_of(file);
  ASSERT_TRUE(reader.ok()) << reader.status();
  expect_equal_content(**reader);
}

TEST_F(BboltTest, EveryShapeOfTreeReadsBack) {
  Prng dice(9);
  for (std::size_t count = 1; count < 700; count = count * 5 / 4 + 1) {
    reopen(options());
    std::filesystem::remove_all(directory_ / "store");
    LmdbBackend::Options fast = options();
    fast.unsafe_no_fsync = true;
    reopen(fast);
    fill(Bucket::kAuthUsers, count, dice, 2500, 100);
    const Bytes file = snapshot();
    const auto reader = reader_of(file);
    ASSERT_TRUE(reader.ok()) << reader.status();
    expect_equal_content(**reader);
  }
}

TEST_F(BboltTest, SeekFindsTheFirstEntryNotBefore) {
  Prng dice(6);
  fill(Bucket::kKey, 5000, dice, 6, 100);
  const Bytes file = snapshot();
  const auto reader = reader_of(file);
  const Entries all = entries(**reader, "key");
  for (int i = 0; i < 300; ++i) {
    Bytes from(1 + dice.below(6), '\0');
    for (char& c : from) c = static_cast<char>(dice.next());
    auto cursor = (*reader)->bucket("key");
    cursor->seek(from);
    const auto expected =
        std::lower_bound(all.begin(), all.end(), from,
                         [](const auto& entry, const Bytes& key) { return entry.first < key; });
    ASSERT_EQ(cursor->valid(), expected != all.end());
    if (cursor->valid()) {
      ASSERT_EQ(cursor->key(), expected->first);
    }
  }
}

TEST_F(BboltTest, MetaOverridesReplaceAddAndRemove) {
  put(Bucket::kMeta, "consistent_index", "old");
  put(Bucket::kMeta, "kept", "as it is");
  put(Bucket::kMeta, "left out", "x");
  BboltWriter::Options options;
  options.meta_overrides = {
      {"consistent_index", "new"}, {"term", "added"}, {"left out", std::nullopt}};
  const Bytes file = snapshot(options);
  const auto reader = reader_of(file);
  EXPECT_EQ(entries(**reader, "meta"),
            (Entries{{"consistent_index", "new"}, {"kept", "as it is"}, {"term", "added"}}));
  EXPECT_EQ(*(*reader)->get("meta", "term"), "added");
  EXPECT_EQ((*reader)->get("meta", "absent").status().code(), StatusCode::kNotFound);
  EXPECT_EQ((*reader)->get("nowhere", "x").status().code(), StatusCode::kNotFound);
}

TEST_F(BboltTest, ChunksAreBoundedAndTheSnapshotIsOfOneCommit) {
  Prng dice(8);
  fill(Bucket::kKey, 5000, dice, 18, 300);
  const auto view = read();
  const Entries before = scan(*view, Bucket::kKey);
  auto writer = BboltWriter::plan(*view, {.meta_overrides = {}, .chunk_bytes = 16384});
  fill(Bucket::kKey, 5000, dice, 18, 300);  // meanwhile the store moves on
  Bytes file;
  Bytes chunk = "what was there before";
  while (true) {  // by either door
    ASSERT_TRUE(writer->next_into(&chunk).ok());
    const auto further = writer->next();
    ASSERT_TRUE(further.ok());
    EXPECT_LE(std::max(chunk.size(), further->size()), 16384U + 4 * kPageBytes);
    file.append(chunk);
    file.append(*further);
    if (further->empty()) break;
  }
  EXPECT_EQ(entries(**reader_of(file), "key"), before);
}

TEST_F(BboltTest, FailingSinkEndsTheWriting) {
  const auto view = read();
  auto writer = BboltWriter::plan(*view, {});
  EXPECT_EQ(writer->write([](BytesView) { return absl::CancelledError("enough"); }).code(),
            StatusCode::kCancelled);
}

TEST_F(BboltTest, KeyTooLongForBboltIsRefused) {
  put(Bucket::kAuthUsers, Bytes(40000, 'u'), "v");
  const auto view = read();
  EXPECT_EQ(BboltWriter::plan(*view, {}).status().code(), StatusCode::kOutOfRange);
}

TEST_F(BboltTest, DigestIsRecognisedAndVerified) {
  put(Bucket::kMeta, "k", "v");
  Bytes file = snapshot();
  EXPECT_FALSE((*reader_of(file))->has_digest());
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(file.data()), file.size(), digest);
  file.append(reinterpret_cast<const char*>(digest), sizeof digest);
  ASSERT_TRUE(reader_of(file).ok());
  EXPECT_TRUE((*reader_of(file))->has_digest());
  file.back() = static_cast<char>(file.back() ^ 1);
  const absl::Status wrong = reader_of(file).status();
  EXPECT_EQ(wrong.code(), StatusCode::kDataLoss);
  EXPECT_THAT(std::string(wrong.message()), HasSubstr("SHA-256"));
  EXPECT_TRUE(BboltReader::from_bytes(file, "x", {.verify_digest = false}).ok());
}

TEST_F(BboltTest, EitherMetaPageSuffices) {
  put(Bucket::kMeta, "k", "v");
  const Bytes file = snapshot();
  for (const std::size_t page : {0, 1}) {
    Bytes damaged = file;
    damaged[page * kPageBytes + 60] ^= 1;
    const auto reader = reader_of(damaged);
    ASSERT_TRUE(reader.ok()) << reader.status();
    EXPECT_EQ((*reader)->transaction(), 1 - page);
    EXPECT_EQ(*(*reader)->get("meta", "k"), "v");
  }
  Bytes both = file;
  both[60] ^= 1;
  both[kPageBytes + 60] ^= 1;
  EXPECT_EQ(reader_of(both).status().code(), StatusCode::kDataLoss);
}

TEST_F(BboltTest, CutOffFileIsDataLoss) {
  Prng dice(8);
  fill(Bucket::kKey, 500, dice, 18, 300);
  const Bytes file = snapshot();
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{100}, kPageBytes, file.size() - 4096}) {
    EXPECT_EQ(reader_of(BytesView(file).substr(0, size)).status().code(), StatusCode::kDataLoss);
  }
}

TEST_F(BboltTest, FileOnDiskIsMapped) {
  put(Bucket::kMeta, "k", "v");
  const Bytes file = snapshot();
  const std::string path = directory_ / "db";
  FILE* out = fopen(path.c_str(), "wb");
  ASSERT_EQ(fwrite(file.data(), 1, file.size(), out), file.size());
  fclose(out);
  const auto reader = BboltReader::open(path, {});
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_EQ(*(*reader)->get("meta", "k"), "v");
  EXPECT_EQ(BboltReader::open(path + ".absent", {}).status().code(), StatusCode::kNotFound);
}

struct Damage {
  const char* name;
  std::size_t at;  // in the root leaf, the last page
  std::uint32_t value;
  const char* expected;
};

TEST_F(BboltTest, DamagedPageIsNamed) {
  const Bytes file = snapshot();
  const std::size_t root = file.size() - kPageBytes;
  const Damage cases[] = {
      {"id", 0, 77, "says it is page 77"},
      {"flags", 8, 0x4, "not of a branch or leaf"},
      {"count", 8, 0xFFFF0002, "more elements than fit"},
      {"overflow", 12, 9, "overflows the file"},
      {"position", 16 + 4, 1U << 30, "outside of it"},
      {"position into the elements", 16 + 4, 4, "outside of it"},
      {"key size", 16 + 8, 1U << 31, "outside of it"},
  };
  for (const Damage& c : cases) {
    Bytes damaged = file;
    store_le32(damaged.data() + root + c.at, c.value);
    const auto reader = reader_of(damaged);
    ASSERT_TRUE(reader.ok()) << reader.status();
    BboltCursor top = (*reader)->buckets();
    top.seek({});
    EXPECT_EQ(top.status().code(), StatusCode::kDataLoss) << c.name;
    EXPECT_THAT(std::string(top.status().message()), HasSubstr(c.expected)) << c.name;
  }
}

// Any byte changed anywhere: wrong answers are possible (bbolt has no checksums), crashes are not.
TEST_F(BboltTest, RandomDamageNeverCrashes) {
  Prng dice(12);
  fill(Bucket::kKey, 2000, dice, 18, 100);
  fill(Bucket::kLease, 30, dice, 18, 5000);
  const Bytes file = snapshot();
  for (int round = 0; round < 300; ++round) {
    Bytes damaged = file;
    for (int i = 0; i < 20; ++i) {
      const std::size_t page = 2 + dice.below(file.size() / kPageBytes - 2);
      damaged[page * kPageBytes + dice.below(64)] = static_cast<char>(dice.next());
    }
    const auto reader = reader_of(damaged);
    if (!reader.ok()) continue;
    for (const BytesView name : ports::kBucketNames) {
      auto cursor = (*reader)->bucket(name);
      if (!cursor.ok()) continue;
      for (cursor->seek({}); cursor->valid(); cursor->next()) {
        EXPECT_LE(Bytes(cursor->value()).size(), damaged.size());
      }
      cursor->seek("some key");
    }
  }
}

}  // namespace
}  // namespace holdfast::storage
