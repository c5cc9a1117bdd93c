#include "datastore/storage/lmdb_write.h"

#include <unistd.h>

#include <cerrno>
#include <utility>

#include "datastore/storage/lmdb_error.h"
#include "datastore/storage/lmdb_format.h"
#include "datastore/storage/lmdb_read.h"
#include "datastore/storage/stored_value.h"

namespace holdfast::storage {

LmdbWrite::~LmdbWrite() {
  if (key_cursor_ != nullptr) mdb_cursor_close(key_cursor_);
  if (txn_ != nullptr) mdb_txn_abort(txn_);
}

absl::Status LmdbWrite::begin() {
  return outcome(mdb_txn_begin(env_, nullptr, 0, &txn_), "begin a commit");
}

absl::Status LmdbWrite::put_stored(ports::Bucket bucket, BytesView key, BytesView stored) {
  const absl::StatusOr<char*> space = reserve(bucket, key, stored.size());
  if (!space.ok()) return space.status();
  stored.copy(*space, stored.size());
  return absl::OkStatus();
}

absl::Status LmdbWrite::apply(const ports::BackendWrite& write) {
  if (write.key.empty()) return absl::InvalidArgumentError("a stored key must not be empty");
  if (write.key.size() >= kBundlePrefixBytes) return change_long_key(write);
  return write.value ? put(write.bucket, write.key, *write.value) : remove(write.bucket, write.key);
}

absl::Status LmdbWrite::commit() {
  if (key_cursor_ != nullptr) mdb_cursor_close(key_cursor_);
  key_cursor_ = nullptr;
  MDB_txn* txn = txn_;
  txn_ = nullptr;  // LMDB frees it whatever the outcome
  const int code = mdb_txn_commit(txn);
  if (code == 0 && writes_run_) seal_->sealer.set_recorded();
  return outcome(code == EIO && was_cut_short() ? ENOSPC : code, "commit");
}

/// LMDB calls a short write EIO, and that is how a disk that fills up first shows, whatever room is
/// left a moment later. Nothing was applied then: no page of an earlier commit is touched before
/// the meta page. Any other EIO leaves a trace: LMDB refuses all further writes if it was the meta
/// page's, and Linux tells each descriptor once that pages could not be written back.
bool LmdbWrite::was_cut_short() const {
  MDB_txn* next = nullptr;
  if (mdb_txn_begin(env_, nullptr, 0, &next) != 0) return false;
  mdb_txn_abort(next);
  return witness_fd_ < 0 || ::fdatasync(witness_fd_) == 0;
}

absl::Status LmdbWrite::put(ports::Bucket bucket, BytesView key, BytesView value) {
  const std::size_t beside = seal_ != nullptr ? kSealedValueBytes : kValueHeaderBytes;
  const absl::StatusOr<char*> space = reserve(bucket, key, beside + value.size());
  if (!space.ok()) return space.status();
  if (seal_ == nullptr) {
    encode_stored(bucket, key, value, *space);
    return absl::OkStatus();
  }
  seal_->sealer.seal(bucket, key, value, *space);
  if (seal_->sealer.recorded() || std::exchange(writes_run_, true)) return absl::OkStatus();
  return outcome(write_run(txn_, seal_->sealer), "write");
}

absl::StatusOr<char*> LmdbWrite::reserve(ports::Bucket bucket, BytesView key, std::size_t bytes) {
  MDB_val space{bytes, nullptr};
  int code = 0;
  if (bucket == ports::Bucket::kKey) {
    code = put_revision(key, space);
  } else {
    MDB_val name = to_mdb(key);
    code = mdb_put(txn_, database(bucket), &name, &space, MDB_RESERVE);
  }
  if (code != 0) return outcome(code, "write");
  return static_cast<char*>(space.mv_data);
}

absl::StatusOr<BytesView> LmdbWrite::open_bundle(ports::Bucket bucket, BytesView prefix,
                                                 BytesView stored) {
  if (seal_ == nullptr) return decode_stored(bucket, prefix, stored);
  bundle_.resize(stored.size());
  if (absl::Status s = seal_->opener.open(bucket, prefix, stored, bundle_.data()); !s.ok())
    return s;
  return BytesView(bundle_).substr(0, stored.size() - kSealedValueBytes);
}

int LmdbWrite::put_revision(BytesView key, MDB_val& space) {
  if (key_cursor_ == nullptr) {
    if (const int rc = mdb_cursor_open(txn_, database(ports::Bucket::kKey), &key_cursor_); rc != 0)
      return rc;
    MDB_val last{};
    MDB_val value{};
    const int rc = mdb_cursor_get(key_cursor_, &last, &value, MDB_LAST);
    if (rc != 0 && rc != MDB_NOTFOUND) return rc;
    if (rc == 0) last_key_ = from_mdb(last);
  }
  MDB_val name = to_mdb(key);
  if (key <= last_key_) return mdb_cursor_put(key_cursor_, &name, &space, MDB_RESERVE);
  last_key_ = key;
  return mdb_cursor_put(key_cursor_, &name, &space, MDB_RESERVE | MDB_APPEND);
}

absl::Status LmdbWrite::remove(ports::Bucket bucket, BytesView key) {
  MDB_val name = to_mdb(key);
  const int rc = mdb_del(txn_, database(bucket), &name, nullptr);
  // After a removal the last key may be lower than we remember: then we append less often, no more.
  return rc == MDB_NOTFOUND ? absl::OkStatus() : outcome(rc, "remove");
}

absl::Status LmdbWrite::change_long_key(const ports::BackendWrite& write) {
  const BytesView prefix = write.key.substr(0, kBundlePrefixBytes);
  MDB_val name = to_mdb(prefix);
  MDB_val stored{};
  BytesView bundle;
  const int rc = mdb_get(txn_, database(write.bucket), &name, &stored);
  if (rc == MDB_NOTFOUND) {
    if (!write.value) return absl::OkStatus();
  } else if (rc != 0) {
    return outcome(rc, "read");
  } else {
    absl::StatusOr<BytesView> decoded = open_bundle(write.bucket, prefix, from_mdb(stored));
    if (!decoded.ok()) return decoded.status();
    bundle = *decoded;
  }
  const absl::StatusOr<Bytes> changed = change_bundle(bundle, write.key, write.value);
  if (!changed.ok()) return changed.status();
  return changed->empty() ? remove(write.bucket, prefix) : put(write.bucket, prefix, *changed);
}

absl::Status LmdbWrite::outcome(int code, std::string_view operation) const {
  return code == 0 ? absl::OkStatus() : lmdb_error(code, operation, path_);
}

}  // namespace holdfast::storage
