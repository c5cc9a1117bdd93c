#include "datastore/storage/lmdb_read.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "datastore/storage/lmdb_error.h"

namespace holdfast::storage {

namespace {

/// What lies in the file beside a value.
std::size_t beside_value_bytes(bool sealed) {
  return sealed ? kSealedValueBytes : kValueHeaderBytes;
}
std::size_t value_bytes(std::size_t stored_bytes, bool sealed) {
  return stored_bytes - std::min(stored_bytes, beside_value_bytes(sealed));
}

absl::Status malformed_bundle(ports::Bucket bucket, BytesView key) {
  return absl::DataLossError(
      absl::StrCat("the store is damaged: malformed bundle at ", describe_entry(bucket, key)));
}

}  // namespace

absl::StatusOr<BytesView> LmdbRead::get(ports::Bucket bucket, BytesView key) {
  if (key.size() >= kBundlePrefixBytes) return get_from_bundle(bucket, key);
  const absl::StatusOr<BytesView> stored = find(bucket, key);
  if (!stored.ok()) return stored.status();
  return value_of(bucket, key, *stored);
}

ValueOpener* LmdbRead::opener() {
  if (opener_ == nullptr && environment_->keys() != nullptr) {
    opener_ = environment_->acquire_opener();
  }
  return opener_.get();
}

absl::StatusOr<BytesView> LmdbRead::value_of(ports::Bucket bucket, BytesView key,
                                             BytesView stored) {
  ValueOpener* const opens = opener();
  if (opens == nullptr) return decode_stored(bucket, key, stored);
  const std::size_t size = value_bytes(stored.size(), /*sealed=*/true);
  char* const value = arena_.allocate(size);
  if (absl::Status s = opens->open(bucket, key, stored, value); !s.ok()) return s;
  return BytesView(value, size);
}

char* ValueArena::allocate(std::size_t bytes) {
  constexpr std::size_t kBlockBytes = 8192;
  constexpr std::size_t kLargeBytes = kBlockBytes / 4;
  if (bytes > kLargeBytes) return blocks_.emplace_back(new char[bytes]).get();
  if (bytes > left_) {
    next_ = blocks_.emplace_back(new char[kBlockBytes]).get();
    left_ = kBlockBytes;
  }
  char* const space = next_;
  next_ += bytes;
  left_ -= bytes;
  return space;
}

BytesView LmdbRead::keep(BytesView cursor_value) {
  // In a plain file it lies in the map, which stays as it is until this read ends.
  if (environment_->keys() == nullptr || cursor_value.empty()) return cursor_value;
  char* const kept = arena_.allocate(cursor_value.size());
  cursor_value.copy(kept, cursor_value.size());
  return {kept, cursor_value.size()};
}

absl::StatusOr<std::size_t> LmdbRead::size(ports::Bucket bucket, BytesView key) {
  if (key.size() >= kBundlePrefixBytes) return BackendRead::size(bucket, key);
  const absl::StatusOr<BytesView> stored = find(bucket, key);
  if (!stored.ok()) return stored.status();
  // Too short for what stands beside a value: get() says so.
  const bool sealed = environment_->keys() != nullptr;
  if (stored->size() < beside_value_bytes(sealed)) return BackendRead::size(bucket, key);
  return value_bytes(stored->size(), sealed);
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
  const absl::StatusOr<BytesView> bundle = value_of(bucket, prefix, *stored);
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
      bucket, checks_values, opener(), rc == 0 ? cursor : nullptr,
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
  read_ahead_.pass(stored.mv_data);
  const bool is_bundle = key_.size() == kBundlePrefixBytes;
  const bool sealed = opener_ != nullptr;
  if (!checks_values_ && !is_bundle && stored.mv_size >= beside_value_bytes(sealed)) {
    value_ = from_mdb(stored).substr(0, value_bytes(stored.mv_size, sealed));
    valid_ = true;
    return;
  }
  const absl::StatusOr<BytesView> value = value_of(from_mdb(stored), is_bundle);
  if (!value.ok()) return fail(value.status());
  if (is_bundle) {
    bundle_ = BundleReader(*value);
    in_bundle_ = true;
    return next_in_bundle();
  }
  value_ = *value;
  valid_ = true;
}

absl::StatusOr<BytesView> LmdbCursor::value_of(BytesView stored, bool is_bundle) {
  if (opener_ == nullptr) return decode_stored(bucket_, key_, stored);
  Bytes* into = &opened_;
  if (is_bundle) into = opened_bundles_.emplace_back(std::make_unique<Bytes>()).get();
  if (into->size() < stored.size()) into->resize(stored.size());
  if (absl::Status s = opener_->open(bucket_, key_, stored, into->data()); !s.ok()) return s;
  return BytesView(*into).substr(0, value_bytes(stored.size(), /*sealed=*/true));
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
