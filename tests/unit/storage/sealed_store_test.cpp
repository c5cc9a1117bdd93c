// A sealed store: what a plain one does, nothing plain in its file, nothing changed unnoticed.

#include <lmdb.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>

#include "datastore/base/prng.h"
#include "datastore/storage/lmdb_format.h"
#include "datastore/storage/lmdb_read.h"
#include "tests/unit/storage/store_fixture.h"

namespace holdfast::storage {
namespace {

using absl::StatusCode;

const crypto::SealingKey kKey = crypto::sealing_key(crypto::Key256(Bytes(32, 'd')), "store");
constexpr BytesView kSecret = "correct horse battery staple";

class SealedStore : public StoreTest {
 protected:
  void SetUp() override { reopen(sealed()); }

  LmdbBackend::Options sealed(bool seal_plain = false) const {
    LmdbBackend::Options options = this->options();
    options.key = kKey;
    options.seal_plain = seal_plain;
    options.reserve_bytes = 0;
    return options;
  }
  Bytes file_bytes() const {
    std::ifstream in(file(), std::ios::binary);
    return Bytes(std::istreambuf_iterator<char>(in), {});
  }
  bool on_disk(BytesView text) const { return file_bytes().find(text) != Bytes::npos; }

  /// Visits every stored entry of a store that is not open; a non-null answer replaces it.
  void visit_stored(
      const std::function<std::optional<Bytes>(std::size_t, BytesView, BytesView)>& of) {
    store_.reset();
    MDB_env* env = nullptr;
    MDB_txn* txn = nullptr;
    ASSERT_EQ(mdb_env_create(&env), 0);
    mdb_env_set_maxdbs(env, 16);
    mdb_env_set_mapsize(env, 1 << 30);
    ASSERT_EQ(mdb_env_open(env, file().c_str(), MDB_NOSUBDIR | MDB_NOLOCK, 0600), 0);
    ASSERT_EQ(mdb_txn_begin(env, nullptr, 0, &txn), 0);
    for (std::size_t i = 0; i < ports::kBucketCount; ++i) {
      MDB_dbi database = 0;
      MDB_cursor* cursor = nullptr;
      ASSERT_EQ(mdb_dbi_open(txn, Bytes(ports::kBucketNames[i]).c_str(), 0, &database), 0);
      ASSERT_EQ(mdb_cursor_open(txn, database, &cursor), 0);
      MDB_val key{};
      MDB_val value{};
      while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
        const std::optional<Bytes> changed = of(i, from_mdb(key), from_mdb(value));
        if (!changed) continue;
        MDB_val put = to_mdb(*changed);
        ASSERT_EQ(mdb_cursor_put(cursor, &key, &put, MDB_CURRENT), 0);
      }
      mdb_cursor_close(cursor);
    }
    ASSERT_EQ(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
  }
};

TEST_F(SealedStore, HoldsWhatIsPutOverManyStartsAndShowsNothingOfIt) {
  const Bytes long_name(600, 'n');
  for (std::uint64_t i = 1; i <= 50; ++i) {
    put(Bucket::kKey, revision_key(i), Bytes(kSecret) + std::to_string(i));
    put(Bucket::kMeta, "consistent_index", Bytes(kSecret) + std::to_string(i));
    put(Bucket::kAuthUsers, long_name + std::to_string(i % 3), Bytes(kSecret));
    if (i % 10 == 0) reopen(sealed());
  }
  const auto reading = read();
  EXPECT_EQ(*reading->get(Bucket::kKey, revision_key(7)), Bytes(kSecret) + "7");
  EXPECT_EQ(*reading->size(Bucket::kKey, revision_key(7)), kSecret.size() + 1);
  EXPECT_EQ(*reading->get(Bucket::kMeta, "consistent_index"), Bytes(kSecret) + "50");
  EXPECT_EQ(*reading->get(Bucket::kAuthUsers, long_name + "1"), kSecret);
  EXPECT_EQ(scan(*reading, Bucket::kKey).size(), 50U);
  EXPECT_EQ(scan(*reading, Bucket::kAuthUsers).size(), 3U);
  const auto sizes = reading->cursor_over_sizes(Bucket::kKey);
  sizes->seek({});
  EXPECT_EQ(sizes->value().size(), kSecret.size() + 1);
  EXPECT_FALSE(on_disk(kSecret));
}

TEST_F(SealedStore, WhatWasReadStaysUntilItIsForgotten) {
  put(Bucket::kKey, revision_key(1), Bytes(100, 'a'));
  put(Bucket::kKey, revision_key(2), Bytes(100'000, 'b'));
  const auto reading = read();
  const BytesView first = *reading->get(Bucket::kKey, revision_key(1));
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(reading->get(Bucket::kKey, revision_key(2))->size(), 100'000U);
    ASSERT_EQ(reading->get(Bucket::kKey, revision_key(1))->size(), 100U);
  }
  EXPECT_EQ(first, Bytes(100, 'a'));
  reading->forget();
  EXPECT_EQ(*reading->get(Bucket::kKey, revision_key(1)), Bytes(100, 'a'));
}

TEST_F(SealedStore, WhatACursorStoodOnStaysWhenItIsKept) {
  put(Bucket::kKey, revision_key(1), Bytes(100, 'a'));
  put(Bucket::kKey, revision_key(2), Bytes(100'000, 'b'));
  put(Bucket::kKey, revision_key(3), Bytes());
  const auto reading = read();
  std::vector<BytesView> kept;
  const auto cursor = reading->cursor(Bucket::kKey);
  for (cursor->seek({}); cursor->valid(); cursor->next()) {
    kept.push_back(reading->keep(cursor->value()));
  }
  EXPECT_THAT(kept, testing::ElementsAre(Bytes(100, 'a'), Bytes(100'000, 'b'), Bytes()));
}

TEST_F(SealedStore, NoNonceIsUsedTwiceOverStartsRemovalsCompactionAndReplacement) {
  // By salt of the run: the file's own names for its keys.
  std::map<std::pair<std::size_t, Bytes>, Bytes> known;
  Prng dice(3);
  std::size_t seen = 0;
  std::uint64_t file_number = 0;
  for (int round = 0; round < 12; ++round) {
    for (int i = 0; i < 40; ++i) {
      // The same revision again and again, with another content: nonces do not rest on it.
      const Bytes value(dice.below(300), 'x');
      put(Bucket::kKey, revision_key(1 + dice.below(60)), value);
      put(Bucket::kMeta, "m", std::to_string(dice.next()));
      const BackendWrite removal{Bucket::kKey, "absent", std::nullopt};
      ASSERT_TRUE(store_->commit({&removal, 1}).ok());
    }
    ASSERT_TRUE(store_->compact_step(Bucket::kKey, {}, 100).ok());
    ASSERT_TRUE(store_->reclaim(1 << 20).ok());
    if (round % 4 == 3) {
      ++file_number;
      ASSERT_TRUE(store_
                      ->replace([&](ports::BackendFill& fill) {
                        return fill.add(Bucket::kKey, revision_key(1), std::to_string(dice.next()));
                      })
                      .ok());
    }
    visit_stored([&](std::size_t, BytesView, BytesView stored) {
      const auto [at, fresh] =
          known.try_emplace({file_number, Bytes(stored.substr(0, kSealedFrontBytes))}, stored);
      EXPECT_EQ(at->second, stored);
      ++seen;
      return std::nullopt;
    });
    reopen(sealed());
  }
  EXPECT_GT(known.size(), 200U);
  EXPECT_GT(seen, known.size());
}

TEST_F(SealedStore, EveryChangedBitOfAStoredValueIsFoundAndSoIsOneThatMoved) {
  put(Bucket::kKey, revision_key(1), "first");
  put(Bucket::kKey, revision_key(2), "other");
  Bytes first;
  visit_stored([&](std::size_t, BytesView key, BytesView stored) -> std::optional<Bytes> {
    if (key == revision_key(1)) first = stored;
    return std::nullopt;
  });
  for (std::size_t bit = 0; bit < first.size() * 8; ++bit) {
    visit_stored([&](std::size_t, BytesView key, BytesView) -> std::optional<Bytes> {
      if (key != revision_key(1)) return std::nullopt;
      Bytes changed = first;
      changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << bit % 8));
      return changed;
    });
    reopen(sealed());
    EXPECT_EQ(read()->get(Bucket::kKey, revision_key(1)).status().code(), StatusCode::kDataLoss);
    EXPECT_EQ(store_->verify().code(), StatusCode::kDataLoss);
  }
  visit_stored([&](std::size_t, BytesView key, BytesView) -> std::optional<Bytes> {
    if (key == revision_key(2)) return first;
    return key == revision_key(1) ? std::optional<Bytes>(first) : std::nullopt;
  });
  const absl::Status moved = LmdbBackend::open(sealed()).status();  // the newest is looked at
  EXPECT_EQ(moved.code(), StatusCode::kDataLoss);
}

TEST_F(SealedStore, WithoutItsKeyOrWithAnotherItIsRefusedAndLeftAlone) {
  put(Bucket::kKey, revision_key(1), kSecret);
  store_.reset();
  const Bytes before = file_bytes();
  const absl::Status without = LmdbBackend::open(options()).status();
  EXPECT_EQ(without.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(without.message()), testing::HasSubstr("--encryption-key-file"));
  LmdbBackend::Options other = sealed();
  other.key = crypto::sealing_key(crypto::Key256(Bytes(32, 'e')), "store");
  EXPECT_EQ(LmdbBackend::open(other).status().code(), StatusCode::kFailedPrecondition);
  other.key->id = kKey.id;
  EXPECT_EQ(LmdbBackend::open(other).status().code(), StatusCode::kDataLoss);
  EXPECT_EQ(file_bytes(), before);
  const StoreSeal seal = *find_store_seal(options().directory);
  EXPECT_TRUE(seal.exists && seal.sealed);
  EXPECT_EQ(seal.key_id, kKey.id);
}

TEST_F(SealedStore, APlainStoreIsSealedWholeWhenItIsOpenedOrRefused) {
  store_.reset();
  std::filesystem::remove_all(options().directory);
  EXPECT_FALSE(find_store_seal(options().directory)->exists);
  reopen(options());
  for (std::uint64_t i = 1; i <= 200; ++i) put(Bucket::kKey, revision_key(i), kSecret);
  for (std::uint64_t i = 1; i <= 100; ++i) {  // leaves it in free pages
    const Bytes key = revision_key(i);
    const BackendWrite removal{Bucket::kKey, key, std::nullopt};
    ASSERT_TRUE(store_->commit({&removal, 1}).ok());
  }
  put(Bucket::kAuthUsers, Bytes(500, 'u'), kSecret);
  const Entries before = scan(*read(), Bucket::kKey);
  store_.reset();
  EXPECT_TRUE(on_disk(kSecret));
  EXPECT_FALSE(find_store_seal(options().directory)->sealed);
  EXPECT_EQ(LmdbBackend::open(sealed()).status().code(), StatusCode::kDataLoss);

  LmdbBackend::Options sealing = sealed(/*seal_plain=*/true);
  std::uint64_t reported = 0;
  sealing.on_sealing = [&](std::uint64_t entries) { reported = entries; };
  reopen(sealing);
  EXPECT_EQ(reported, 101U);
  EXPECT_EQ(scan(*read(), Bucket::kKey), before);
  EXPECT_EQ(*read()->get(Bucket::kAuthUsers, Bytes(500, 'u')), kSecret);
  EXPECT_FALSE(on_disk(kSecret));
  reopen(sealed());
  EXPECT_TRUE(store_->verify().ok());
}

TEST_F(SealedStore, AReadOnlyOneIsReadWithItsKey) {
  put(Bucket::kKey, revision_key(1), kSecret);
  store_.reset();
  LmdbBackend::Options looking = sealed();
  looking.read_only = true;
  reopen(looking);
  EXPECT_EQ(*read()->get(Bucket::kKey, revision_key(1)), kSecret);
}

}  // namespace
}  // namespace holdfast::storage
