#pragma once

#include <lmdb.h>

#include <array>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datastore/ports/kv_backend.h"
#include "datastore/storage/value_seal.h"

namespace holdfast::storage {

/// One LMDB write transaction: begun by begin(), applied by put() and remove(), made durable by
/// commit(), otherwise dropped. Errors are lmdb_error's.
class LmdbWrite {
 public:
  using Databases = std::array<MDB_dbi, ports::kBucketCount>;

  /// All must outlive it; `path` is for messages, `seal` null for a plain file. `witness_fd` is a
  /// descriptor of the file that nobody syncs, so that it still can tell of a failure; -1 where
  /// commit() does not sync.
  LmdbWrite(MDB_env* env, const Databases& databases, const std::string& path, FileSeal* seal,
            int witness_fd)
      : env_(env), databases_(databases), path_(path), seal_(seal), witness_fd_(witness_fd) {}
  ~LmdbWrite();
  LmdbWrite(const LmdbWrite&) = delete;
  LmdbWrite& operator=(const LmdbWrite&) = delete;

  absl::Status begin();
  /// Sets or removes one entry; a missing one to remove is no error.
  absl::Status apply(const ports::BackendWrite& write);
  /// Removes and puts back an entry as it lies in the file: its value is not looked at.
  absl::Status remove_stored(ports::Bucket bucket, BytesView key) { return remove(bucket, key); }
  absl::Status put_stored(ports::Bucket bucket, BytesView key, BytesView stored);
  absl::Status commit();
  MDB_txn* txn() const { return txn_; }

 private:
  absl::Status put(ports::Bucket bucket, BytesView key, BytesView value);
  /// Space for `bytes` of value under `key`, to be filled before the next call.
  absl::StatusOr<char*> reserve(ports::Bucket bucket, BytesView key, std::size_t bytes);
  absl::StatusOr<BytesView> open_bundle(ports::Bucket bucket, BytesView prefix, BytesView stored);
  absl::Status remove(ports::Bucket bucket, BytesView key);
  absl::Status change_long_key(const ports::BackendWrite& write);
  absl::Status outcome(int code, std::string_view operation) const;
  bool was_cut_short() const;
  int put_revision(BytesView key, MDB_val& space);
  MDB_dbi database(ports::Bucket bucket) const {
    return databases_[static_cast<std::size_t>(bucket)];
  }

  MDB_env* const env_;
  const Databases& databases_;
  const std::string& path_;
  FileSeal* const seal_;
  const int witness_fd_;
  Bytes bundle_;
  /// This transaction holds the record of the seal's run.
  bool writes_run_ = false;
  MDB_txn* txn_ = nullptr;
  // Of bucket `key`: revisions arrive in ascending order, and appending skips the search from the
  // root and fills pages to the brim.
  MDB_cursor* key_cursor_ = nullptr;
  Bytes last_key_;
};

}  // namespace holdfast::storage
