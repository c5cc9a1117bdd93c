#include "datastore/storage/lmdb_read.h"

#include "absl/strings/str_cat.h"
#include "datastore/storage/lmdb_error.h"

namespace holdfast::storage {

namespace {

absl::Status malformed_bundle(ports::Bucket bucket, BytesView key) {
  return absl::DataLossError(
      absl::StrCat("the store is damaged: malformed bundle at ", describe_entry(bucket, key)));
}

}  // namespace

absl::StatusOr<BytesView> LmdbRead::get(ports::Bucket bucket, BytesView key) {
  if (key.size() >= kBundlePrefixBytes) return get_from_bundle(bucket, key);
  const absl::StatusOr<BytesView> stored = find(bucket, key);
  if (!stored.ok()) return stored.status();
  return decode_stored(bucket, key, *stored);
}

absl::StatusOr<std::size_t> LmdbRead::size(ports::Bucket bucket, BytesView key) {
  if (key.size() >= kBundlePrefixBytes) return BackendRead::size(bucket, key);
  const absl::StatusOr<BytesView> stored = find(bucket, key);
  if (!stored.ok()) return stored.status();
  // Too short for its checksum: get() says so.
  if (stored->size() < kValueHeaderBytes) return BackendRead::size(bucket, key);
  return stored->size() - kValueHeaderBytes;
}

absl::StatusOr<BytesView> LmdbRead::find(ports::Bucket bucket, BytesView key) {
  if (key.empty()) return absl::NotFoundError("no entry has an empty key");
  const MDB_dbi database = environment_->databases()[static_cast<std::size_t>(bucket)];
  MDB_val name = to_mdb(key);
  MDB_val stored{};
  int rc = 0;
  if (bucket != ports::Bucket::kKey) {
    rc = mdb_get(txn_, database, &name, &stored);
  } else {
    if (revisions_ == nullptr) rc = mdb_cursor_open(txn_, database, &revisions_);
    if (rc == 0) rc = mdb_cursor_get(revisions_, &name, &stored, MDB_SET);
  }
  if (rc == MDB_NOTFOUND) return absl::NotFoundError("no such entry");
  if (rc != 0) return environment_->error(rc, "read");
  return from_mdb(stored);
}

absl::StatusOr<BytesView> LmdbRead::get_from_bundle(ports::Bucket bucket, BytesView key) {
  const BytesView prefix = key.substr(0, kBundlePrefixBytes);
  const absl::StatusOr<BytesView> stored = find(bucket, prefix);
  if (!stored.ok()) return stored.status();
  const absl::StatusOr<BytesView> bundle = decode_stored(bucket, prefix, *stored);
  if (!bundle.ok()) return bundle.status();
  BundleReader reader(*bundle);
  while (const std::optional<BundleItem> item = reader.next()) {
    if (item->key == key) return item->value;
  }
  if (reader.malformed()) return malformed_bundle(bucket, prefix);
  return absl::NotFoundError("no such entry");
}

std::unique_ptr<ports::BackendCursor> LmdbRead::cursor(ports::Bucket bucket) {
  return make_cursor(bucket, /*checks_values=*/true);
}

std::unique_ptr<ports::BackendCursor> LmdbRead::cursor_over_sizes(ports::Bucket bucket) {
  return make_cursor(bucket, /*checks_values=*/false);
}

std::unique_ptr<ports::BackendCursor> LmdbRead::make_cursor(ports::Bucket bucket,
                                                            bool checks_values) {
  MDB_cursor* cursor = nullptr;
  const int rc =
      mdb_cursor_open(txn_, environment_->databases()[static_cast<std::size_t>(bucket)], &cursor);
  return std::make_unique<LmdbCursor>(
      bucket, checks_values, rc == 0 ? cursor : nullptr,
      rc == 0 ? absl::OkStatus() : environment_->error(rc, "open a cursor"));
}

void LmdbCursor::seek(BytesView key) {
  if (cursor_ == nullptr) return;
  status_ = absl::OkStatus();
  if (key.empty()) return move(MDB_val{}, MDB_FIRST);
  if (key.size() < kBundlePrefixBytes) return move(to_mdb(key), MDB_SET_RANGE);
  // In the bundle of its prefix if there is one, else what follows.
  move(to_mdb(key.substr(0, kBundlePrefixBytes)), MDB_SET_RANGE);
  while (valid_ && key_ < key) next();
}

void LmdbCursor::next() {
  if (!valid_) return;
  if (in_bundle_) return next_in_bundle();
  move(MDB_val{}, MDB_NEXT);
}

void LmdbCursor::move(MDB_val key, MDB_cursor_op operation) {
  valid_ = false;
  in_bundle_ = false;
  MDB_val stored{};
  const int rc = mdb_cursor_get(cursor_, &key, &stored, operation);
  if (rc == MDB_NOTFOUND) return;
  if (rc != 0) return fail(lmdb_error(rc, "scan", describe_entry(bucket_, key_)));
  key_ = from_mdb(key);
  const bool is_bundle = key_.size() == kBundlePrefixBytes;
  if (!checks_values_ && !is_bundle && stored.mv_size >= kValueHeaderBytes) {
    value_ = from_mdb(stored).substr(kValueHeaderBytes);
    valid_ = true;
    return;
  }
  const absl::StatusOr<BytesView> value = decode_stored(bucket_, key_, from_mdb(stored));
  if (!value.ok()) return fail(value.status());
  if (is_bundle) {
    bundle_ = BundleReader(*value);
    in_bundle_ = true;
    return next_in_bundle();
  }
  value_ = *value;
  valid_ = true;
}

void LmdbCursor::next_in_bundle() {
  if (const std::optional<BundleItem> item = bundle_.next()) {
    key_ = item->key;
    value_ = item->value;
    valid_ = true;
    return;
  }
  if (bundle_.malformed()) return fail(malformed_bundle(bucket_, key_));
  move(MDB_val{}, MDB_NEXT);
}

void LmdbCursor::fail(absl::Status why) {
  valid_ = false;
  status_ = std::move(why);
}

}  // namespace holdfast::storage
