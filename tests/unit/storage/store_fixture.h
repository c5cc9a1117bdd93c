#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "datastore/storage/lmdb_backend.h"
#include "tests/unit/storage/temp_directory.h"

namespace holdfast::storage {

using ports::BackendRead;
using ports::BackendWrite;
using ports::Bucket;
using Entries = std::vector<std::pair<Bytes, Bytes>>;

/// The 17 bytes of a main revision and sub 0.
inline Bytes revision_key(std::uint64_t main) {
  Bytes key(17, '\0');
  store_be64(key.data(), main);
  key[8] = '_';
  return key;
}

/// All entries of a bucket, in cursor order.
inline Entries scan(BackendRead& read, Bucket bucket, BytesView from = {}) {
  Entries entries;
  const auto cursor = read.cursor(bucket);
  for (cursor->seek(from); cursor->valid(); cursor->next()) {
    entries.emplace_back(cursor->key(), cursor->value());
  }
  EXPECT_TRUE(cursor->status().ok()) << cursor->status();
  return entries;
}

class StoreTest : public testing::Test {
 protected:
  void SetUp() override { reopen(); }

  LmdbBackend::Options options() const {
    LmdbBackend::Options options;
    options.directory = directory_ / "store";
    return options;
  }
  void reopen() { reopen(options()); }
  void reopen(const LmdbBackend::Options& options) {
    store_.reset();
    auto opened = LmdbBackend::open(options);
    ASSERT_TRUE(opened.ok()) << opened.status();
    store_ = *std::move(opened);
  }
  void put(Bucket bucket, BytesView key, BytesView value) {
    const BackendWrite write{bucket, key, value};
    ASSERT_TRUE(store_->commit({&write, 1}).ok());
  }
  std::unique_ptr<BackendRead> read() { return *store_->begin_read(); }
  std::string file() const { return directory_ / "store/data.mdb"; }

  TempDirectory directory_;
  std::unique_ptr<LmdbBackend> store_;
};

}  // namespace holdfast::storage
