#pragma once

#include <lmdb.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datastore/ports/kv_backend.h"
#include "datastore/storage/lmdb_environment.h"
#include "datastore/storage/read_ahead.h"
#include "datastore/storage/stored_value.h"

namespace holdfast::storage {

inline MDB_val to_mdb(BytesView bytes) {
  return MDB_val{bytes.size(), const_cast<char*>(bytes.data())};  // LMDB only reads it
}
inline BytesView from_mdb(const MDB_val& value) {
  return BytesView(static_cast<const char*>(value.mv_data), value.mv_size);
}

/// Where opened values lie until they are not needed.
class ValueArena {
 public:
  char* allocate(std::size_t bytes);
  void clear() {
    blocks_.clear();
    left_ = 0;
  }

 private:
  std::vector<std::unique_ptr<char[]>> blocks_;
  char* next_ = nullptr;
  std::size_t left_ = 0;
};

/// A pooled read transaction; hands it back when it ends. Keeps its file open.
class LmdbRead final : public ports::BackendRead {
 public:
  LmdbRead(std::shared_ptr<LmdbEnvironment> environment, MDB_txn* txn)
      : environment_(std::move(environment)), txn_(txn) {}
  ~LmdbRead() override {
    if (revisions_ != nullptr) mdb_cursor_close(revisions_);
    if (opener_ != nullptr) environment_->release_opener(std::move(opener_));
    environment_->release_read(txn_);
  }
  LmdbRead(const LmdbRead&) = delete;
  LmdbRead& operator=(const LmdbRead&) = delete;

  absl::StatusOr<BytesView> get(ports::Bucket bucket, BytesView key) override;
  absl::StatusOr<std::size_t> size(ports::Bucket bucket, BytesView key) override;
  std::unique_ptr<ports::BackendCursor> cursor(ports::Bucket bucket) override;
  std::unique_ptr<ports::BackendCursor> cursor_over_sizes(ports::Bucket bucket) override;
  BytesView keep(BytesView cursor_value) override;
  void forget() override { arena_.clear(); }

 private:
  /// What is stored under a key that is no bundle's, checksum and all.
  absl::StatusOr<BytesView> find(ports::Bucket bucket, BytesView key);
  absl::StatusOr<BytesView> get_from_bundle(ports::Bucket bucket, BytesView key);
  /// The value inside: in the file, or opened, in the arena.
  absl::StatusOr<BytesView> value_of(ports::Bucket bucket, BytesView key, BytesView stored);
  ValueOpener* opener();
  std::unique_ptr<ports::BackendCursor> make_cursor(ports::Bucket bucket, bool checks_values);

  const std::shared_ptr<LmdbEnvironment> environment_;
  MDB_txn* const txn_;
  /// Looks up revisions: the next one asked for is often on the same page, where a lookup from the
  /// root would cost three times as much.
  MDB_cursor* revisions_ = nullptr;
  std::unique_ptr<ValueOpener> opener_;
  ValueArena arena_;
};

/// Walks one database of a read transaction, unrolling bundles. `opener` is null for a plain file.
class LmdbCursor final : public ports::BackendCursor {
 public:
  LmdbCursor(ports::Bucket bucket, bool checks_values, ValueOpener* opener, MDB_cursor* cursor,
             absl::Status status)
      : bucket_(bucket),
        checks_values_(checks_values),
        opener_(opener),
        cursor_(cursor),
        status_(std::move(status)) {}
  ~LmdbCursor() override {
    if (cursor_ != nullptr) mdb_cursor_close(cursor_);
  }
  LmdbCursor(const LmdbCursor&) = delete;
  LmdbCursor& operator=(const LmdbCursor&) = delete;

  void seek(BytesView key) override;
  bool valid() const override { return valid_; }
  void next() override;
  BytesView key() const override { return key_; }
  BytesView value() const override { return value_; }
  absl::Status status() const override { return status_; }

 private:
  void move(MDB_val key, MDB_cursor_op operation);
  void next_in_bundle();
  absl::StatusOr<BytesView> value_of(BytesView stored, bool is_bundle);
  void fail(absl::Status why);

  const ports::Bucket bucket_;
  const bool checks_values_;
  ValueOpener* const opener_;
  MDB_cursor* const cursor_;
  absl::Status status_;
  ReadAhead read_ahead_;
  bool valid_ = false;
  bool in_bundle_ = false;
  BundleReader bundle_;
  /// The value it stands on, opened.
  Bytes opened_;
  /// Keys in bundles stay valid as long as others: a handful.
  std::vector<std::unique_ptr<Bytes>> opened_bundles_;
  BytesView key_;
  BytesView value_;
};

}  // namespace holdfast::storage
