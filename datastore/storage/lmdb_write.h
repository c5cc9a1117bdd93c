#pragma once

#include <lmdb.h>

#include <array>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "datastore/ports/kv_backend.h"

namespace holdfast::storage {

/// One LMDB write transaction: begun by begin(), applied by put() and remove(), made durable by
/// commit(), otherwise dropped. Errors are lmdb_error's.
class LmdbWrite {
 public:
  using Databases = std::array<MDB_dbi, ports::kBucketCount>;

  /// All three must outlive it; `path` is for messages.
  LmdbWrite(MDB_env* env, const Databases& databases, const std::string& path)
      : env_(env), databases_(databases), path_(path) {}
  ~LmdbWrite();
  LmdbWrite(const LmdbWrite&) = delete;
  LmdbWrite& operator=(const LmdbWrite&) = delete;

  absl::Status begin();
  /// Sets or removes one entry; a missing one to remove is no error.
  absl::Status apply(const ports::BackendWrite& write);
  absl::Status commit();
  MDB_txn* txn() const { return txn_; }

 private:
  absl::Status put(ports::Bucket bucket, BytesView key, BytesView value);
  absl::Status remove(ports::Bucket bucket, BytesView key);
  absl::Status change_long_key(const ports::BackendWrite& write);
  absl::Status outcome(int code, std::string_view operation) const;
  int put_revision(BytesView key, MDB_val& space);
  MDB_dbi database(ports::Bucket bucket) const {
    return databases_[static_cast<std::size_t>(bucket)];
  }

  MDB_env* const env_;
  const Databases& databases_;
  const std::string& path_;
  MDB_txn* txn_ = nullptr;
  // Of bucket `key`: revisions arrive in ascending order, and appending skips the search from the
  // root and fills pages to the brim.
  MDB_cursor* key_cursor_ = nullptr;
  Bytes last_key_;
};

}  // namespace holdfast::storage
