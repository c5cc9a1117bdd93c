#include "datastore/storage/lmdb_backend.h"

#include <fcntl.h>
#include <lmdb.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "datastore/base/crc32c.h"
#include "datastore/base/prng.h"
#include "datastore/storage/lmdb_error.h"
#include "datastore/storage/lmdb_format.h"
#include "tests/unit/storage/store_fixture.h"

namespace holdfast::storage {
namespace {

using absl::StatusCode;
using testing::AllOf;
using testing::HasSubstr;

class LmdbBackendTest : public StoreTest {
 protected:
  /// Changes one byte in the middle of `text` wherever it stands in the file, freed pages included.
  void damage(const std::string& text) {
    std::ifstream in(file(), std::ios::binary);
    const std::string all((std::istreambuf_iterator<char>(in)), {});
    std::size_t at = all.find(text);
    ASSERT_NE(at, std::string::npos);
    const int fd = open(file().c_str(), O_WRONLY);
    for (; at != std::string::npos; at = all.find(text, at + 1)) {
      ASSERT_EQ(pwrite(fd, "#", 1, static_cast<off_t>(at + text.size() / 2)), 1);
    }
    close(fd);
  }
};

TEST_F(LmdbBackendTest, NewStoreHasTenEmptyBuckets) {
  const auto view = read();
  for (std::size_t i = 0; i < ports::kBucketCount; ++i) {
    EXPECT_TRUE(scan(*view, static_cast<Bucket>(i)).empty());
  }
}

TEST_F(LmdbBackendTest, CommitAppliesWritesInOrderAndSurvivesReopening) {
  const std::vector<BackendWrite> writes = {
      {Bucket::kMeta, "a", "first"},          {Bucket::kMeta, "a", "second"},
      {Bucket::kMeta, "b", "gone"},           {Bucket::kMeta, "b", std::nullopt},
      {Bucket::kMeta, "empty", ""},           {Bucket::kAuth, "a", "other bucket"},
      {Bucket::kMeta, "never", std::nullopt},
  };
  ASSERT_TRUE(store_->commit(writes).ok());
  for (int round = 0; round < 2; ++round) {
    if (round == 1) reopen();
    const auto view = read();
    EXPECT_EQ(scan(*view, Bucket::kMeta), (Entries{{"a", "second"}, {"empty", ""}}));
    EXPECT_EQ(scan(*view, Bucket::kAuth), (Entries{{"a", "other bucket"}}));
    EXPECT_EQ(*view->get(Bucket::kMeta, "a"), "second");
    EXPECT_EQ(view->get(Bucket::kMeta, "b").status().code(), StatusCode::kNotFound);
  }
}

TEST_F(LmdbBackendTest, FailedCommitAppliesNothing) {
  const std::vector<BackendWrite> writes = {{Bucket::kMeta, "a", "1"}, {Bucket::kMeta, "", "2"}};
  EXPECT_EQ(store_->commit(writes).code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(scan(*read(), Bucket::kMeta).empty());
}

TEST_F(LmdbBackendTest, ReadStaysAtItsCommit) {
  put(Bucket::kMeta, "k", "old");
  const auto before = read();
  put(Bucket::kMeta, "k", "new");
  EXPECT_EQ(*before->get(Bucket::kMeta, "k"), "old");
  EXPECT_EQ(*read()->get(Bucket::kMeta, "k"), "new");
}

TEST_F(LmdbBackendTest, RevisionsMayArriveInAnyOrder) {
  Prng dice(7);
  std::map<Bytes, Bytes> model;
  for (int round = 0; round < 50; ++round) {
    std::vector<BackendWrite> writes;
    std::vector<Bytes> keys;
    keys.reserve(40);
    for (int i = 0; i < 40; ++i) keys.push_back(revision_key(dice.below(2000)));
    for (const Bytes& key : keys) {
      if (dice.chance(1, 4)) {
        model.erase(key);
        writes.push_back({Bucket::kKey, key, std::nullopt});
      } else {
        model[key] = key;
        writes.push_back({Bucket::kKey, key, key});
      }
    }
    ASSERT_TRUE(store_->commit(writes).ok());
    ASSERT_EQ(scan(*read(), Bucket::kKey), Entries(model.begin(), model.end()));
  }
}

// Keys of every length around LMDB's and the bundles' bounds, with shared prefixes, against a map.
TEST_F(LmdbBackendTest, LongKeysKeepByteOrder) {
  Prng dice(11);
  const std::size_t lengths[] = {1, 3, 478, 479, 480, 481, 482, 511, 512, 700, 3000};
  std::map<Bytes, Bytes> model;
  const auto random_key = [&] {
    Bytes key(lengths[dice.below(std::size(lengths))], 'p');
    key[dice.below(key.size())] = static_cast<char>('n' + dice.below(4));
    key.back() = static_cast<char>(dice.below(4) + 0xfe);  // also bytes above 0x7f
    return key;
  };
  for (int round = 0; round < 300; ++round) {
    const Bytes key = random_key();
    const Bytes value(dice.below(5000), 'v');
    const bool removes = dice.chance(1, 3);
    const BackendWrite write{Bucket::kAuthUsers, key,
                             removes ? std::nullopt : std::optional<BytesView>(value)};
    ASSERT_TRUE(store_->commit({&write, 1}).ok());
    if (removes) {
      model.erase(key);
    } else {
      model[key] = value;
    }
    const auto view = read();
    const auto found = view->get(Bucket::kAuthUsers, key);
    ASSERT_EQ(found.ok(), !removes) << found.status();
    const Bytes from = random_key();
    ASSERT_EQ(scan(*view, Bucket::kAuthUsers, from), Entries(model.lower_bound(from), model.end()));
  }
  ASSERT_EQ(scan(*read(), Bucket::kAuthUsers), Entries(model.begin(), model.end()));
  EXPECT_TRUE(store_->verify().ok());
}

TEST_F(LmdbBackendTest, DamagedValueIsDataLossNamingBucketAndKey) {
  put(Bucket::kLease, "lease-7", "a value that will be damaged on disk");
  put(Bucket::kLease, "lease-8", "untouched");
  store_.reset();
  damage("a value that will be damaged");
  reopen();
  const auto view = read();
  const absl::Status wrong = view->get(Bucket::kLease, "lease-7").status();
  EXPECT_EQ(wrong.code(), StatusCode::kDataLoss);
  EXPECT_THAT(std::string(wrong.message()), AllOf(HasSubstr("bucket lease"), HasSubstr("lease-7")));
  EXPECT_EQ(*view->get(Bucket::kLease, "lease-8"), "untouched");
  const auto cursor = view->cursor(Bucket::kLease);
  cursor->seek({});
  EXPECT_FALSE(cursor->valid());
  EXPECT_EQ(cursor->status(), wrong);
  cursor->seek("lease-8");
  EXPECT_TRUE(cursor->valid());
  EXPECT_EQ(store_->verify(), wrong);
}

TEST_F(LmdbBackendTest, DamagedNewestRevisionIsFoundOnOpening) {
  put(Bucket::kKey, revision_key(5), "the newest value of all");
  store_.reset();
  damage("the newest value");
  EXPECT_EQ(LmdbBackend::open(options()).status().code(), StatusCode::kDataLoss);
}

TEST_F(LmdbBackendTest, SecondOpenerIsRefused) {
  const absl::Status refused = LmdbBackend::open(options()).status();
  EXPECT_EQ(refused.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("in use by another process"));
}

TEST_F(LmdbBackendTest, ReadOnlyStoreReadsAndRefusesCommits) {
  put(Bucket::kMeta, "k", "v");
  LmdbBackend::Options read_only = options();
  read_only.read_only = true;
  reopen(read_only);
  EXPECT_EQ(*read()->get(Bucket::kMeta, "k"), "v");
  const BackendWrite write{Bucket::kMeta, "k", "w"};
  EXPECT_EQ(store_->commit({&write, 1}).code(), StatusCode::kPermissionDenied);
  EXPECT_EQ(store_->reclaim(1 << 20).status().code(), StatusCode::kPermissionDenied);
}

TEST_F(LmdbBackendTest, ReadOnlyOpeningOfNothingCreatesNothing) {
  LmdbBackend::Options read_only = options();
  read_only.directory = directory_ / "absent";
  read_only.read_only = true;
  EXPECT_EQ(LmdbBackend::open(read_only).status().code(), StatusCode::kNotFound);
  EXPECT_FALSE(std::filesystem::exists(read_only.directory));
}

TEST_F(LmdbBackendTest, ForeignFileIsRefusedAndLeftAlone) {
  store_.reset();
  const std::string content(20000, 'x');
  std::ofstream(file(), std::ios::binary | std::ios::trunc) << content;
  const absl::Status refused = LmdbBackend::open(options()).status();
  EXPECT_EQ(refused.code(), StatusCode::kDataLoss);
  std::ifstream in(file(), std::ios::binary);
  EXPECT_EQ(std::string((std::istreambuf_iterator<char>(in)), {}), content);
}

TEST_F(LmdbBackendTest, CutOffFileIsRefused) {
  const Bytes value(4 << 20, 'v');
  put(Bucket::kMeta, "k", value);
  store_.reset();
  std::filesystem::resize_file(file(), 1 << 20);
  const absl::Status refused = LmdbBackend::open(options()).status();
  EXPECT_EQ(refused.code(), StatusCode::kDataLoss);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("cut off"));
}

TEST_F(LmdbBackendTest, HalfCreatedStoreOfACrashIsMadeAnew) {
  store_.reset();
  std::filesystem::rename(file(), file() + ".new");
  std::filesystem::resize_file(file() + ".new", 5000);
  reopen();
  put(Bucket::kMeta, "k", "v");
  EXPECT_FALSE(std::filesystem::exists(file() + ".new"));
}

struct FormatCase {
  std::uint32_t version;
  std::uint32_t cipher;
  const char* expected;
};

TEST_F(LmdbBackendTest, NewerFormatAndUnknownCipherAreRefused) {
  for (const FormatCase& c : {FormatCase{2, 0, "has format 2"}, FormatCase{1, 3, "cipher 3"}}) {
    store_.reset();
    Bytes record(12, '\0');
    store_le32(record.data(), c.version);
    store_le32(record.data() + 4, c.cipher);
    store_le32(record.data() + 8, crc32c(0, BytesView(record).substr(0, 8)));
    MDB_env* env = nullptr;
    MDB_txn* txn = nullptr;
    MDB_dbi dbi = 0;
    ASSERT_EQ(mdb_env_create(&env), 0);
    ASSERT_EQ(mdb_env_set_maxdbs(env, 2), 0);
    ASSERT_EQ(mdb_env_open(env, (directory_ / "store").c_str(), 0, 0600), 0);
    ASSERT_EQ(mdb_txn_begin(env, nullptr, 0, &txn), 0);
    ASSERT_EQ(mdb_dbi_open(txn, "holdfast", 0, &dbi), 0);
    MDB_val key{6, const_cast<char*>("format")};
    MDB_val value{record.size(), record.data()};
    ASSERT_EQ(mdb_put(txn, dbi, &key, &value, 0), 0);
    ASSERT_EQ(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
    const absl::Status refused = LmdbBackend::open(options()).status();
    EXPECT_EQ(refused.code(), StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(refused.message()), HasSubstr(c.expected));
  }
}

TEST_F(LmdbBackendTest, FullMapIsResourceExhaustedAndTheStoreStaysUsable) {
  LmdbBackend::Options small = options();
  small.map_bytes = 1 << 20;
  reopen(small);
  put(Bucket::kMeta, "k", "v");
  const Bytes big(2 << 20, 'v');
  const BackendWrite write{Bucket::kMeta, "big", big};
  const absl::Status full = store_->commit({&write, 1});
  EXPECT_EQ(full.code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(scan(*read(), Bucket::kMeta), (Entries{{"k", "v"}}));
  put(Bucket::kMeta, "k", "w");
  EXPECT_TRUE(store_->verify().ok());
}

TEST_F(LmdbBackendTest, ManyReadersAtOnceAreRefusedNotBroken) {
  LmdbBackend::Options few = options();
  few.directory = directory_ / "few";
  few.max_readers = 3;
  reopen(few);
  std::vector<std::unique_ptr<BackendRead>> reads;
  absl::Status refused;
  while (refused.ok() && reads.size() < 1000) {
    auto one = store_->begin_read();
    refused = one.status();
    if (one.ok()) reads.push_back(*std::move(one));
  }
  EXPECT_EQ(refused.code(), StatusCode::kResourceExhausted);
  reads.clear();
  EXPECT_TRUE(store_->begin_read().ok());
}

// Each commit writes one number into many entries: a reader must see one number everywhere.
TEST_F(LmdbBackendTest, ReadersOnManyThreadsSeeWholeCommits) {
  std::atomic<bool> stop{false};
  std::atomic<int> torn{0};
  std::atomic<int> rounds{0};
  put(Bucket::kMeta, "ready", "0");
  std::vector<std::thread> readers;
  for (int t = 0; t < 3; ++t) {
    readers.emplace_back([&] {
      while (!stop) {
        const auto view = store_->begin_read();
        if (!view.ok()) continue;
        const Entries entries = scan(**view, Bucket::kLease);
        for (const auto& [key, value] : entries) torn += value != entries.front().second;
        (void)store_->sizes();
        ++rounds;
      }
    });
  }
  for (int i = 0; i < 200; ++i) {
    const Bytes value = std::to_string(i);
    std::vector<Bytes> keys;
    for (int k = 0; k < 50; ++k) keys.push_back("k" + std::to_string(k));
    std::vector<BackendWrite> writes;
    for (const Bytes& key : keys) writes.push_back({Bucket::kLease, key, value});
    ASSERT_TRUE(store_->commit(writes).ok());
    if (i % 10 == 0) {
      ASSERT_TRUE(store_->reclaim(1 << 20).ok());
    }
  }
  while (rounds < 10) std::this_thread::yield();
  stop = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(torn, 0);
}

}  // namespace
}  // namespace holdfast::storage
