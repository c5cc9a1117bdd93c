#include "datastore/storage/lmdb_fill.h"

#include <fcntl.h>
#include <lmdb.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "datastore/storage/lmdb_error.h"
#include "datastore/storage/lmdb_format.h"
#include "datastore/storage/stored_value.h"

namespace holdfast::storage {

namespace {

/// Content of one commit: its pages are in memory until then.
constexpr std::size_t kCommitBytes = std::size_t{8} << 20;

}  // namespace

absl::StatusOr<std::unique_ptr<LmdbFill>> LmdbFill::begin(const std::string& draft,
                                                          const LmdbOptions& options) {
  unlink(draft.c_str());
  std::unique_ptr<LmdbFill> fill(new LmdbFill(draft, !options.unsafe_no_fsync));
  if (absl::Status s = fill->open(options); !s.ok()) return s;
  return fill;
}

LmdbFill::~LmdbFill() {
  write_.reset();
  if (env_ != nullptr) mdb_env_close(env_);
}

absl::Status LmdbFill::open(const LmdbOptions& options) {
  if (options.key) {
    keys_ = std::make_unique<RunKeys>(*options.key);
    seal_ = std::make_unique<FileSeal>(*keys_);
  }
  int rc = mdb_env_create(&env_);
  if (rc == 0) rc = mdb_env_set_mapsize(env_, options.map_bytes);
  if (rc == 0) rc = mdb_env_set_maxdbs(env_, ports::kBucketCount + 1);
  // No lock: the file is this object's alone. No sync: finish() syncs it all.
  constexpr unsigned kFlags = MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOSYNC | MDB_NORDAHEAD;
  if (rc == 0) rc = mdb_env_open(env_, draft_.c_str(), kFlags, kLmdbFileMode);
  if (rc == 0) rc = write_empty_store(env_, &databases_, keys_.get(), seal_.get());
  return rc == 0 ? absl::OkStatus() : lmdb_error(rc, "create", draft_);
}

absl::Status LmdbFill::add(ports::Bucket bucket, BytesView key, BytesView value) {
  Bytes& last = last_keys_[static_cast<std::size_t>(bucket)];
  if (key <= last) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the new content of the store is not in order at ", describe_entry(bucket, key)));
  }
  last = key;
  if (!write_.has_value()) {
    write_.emplace(env_, databases_, draft_, seal_.get(), -1);
    if (absl::Status s = write_->begin(); !s.ok()) return s;
  }
  if (absl::Status s = write_->apply({bucket, key, value}); !s.ok()) return s;
  uncommitted_bytes_ += key.size() + value.size();
  return uncommitted_bytes_ < kCommitBytes ? absl::OkStatus() : commit();
}

absl::Status LmdbFill::commit() {
  if (!write_.has_value()) return absl::OkStatus();
  absl::Status status = write_->commit();
  write_.reset();
  uncommitted_bytes_ = 0;
  // The disk begins at once: a gigabyte written at the end would hold up everybody's syncs.
  int fd = -1;
  if (status.ok() && mdb_env_get_fd(env_, &fd) == 0) {
    sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
  }
  return status;
}

absl::Status LmdbFill::finish() {
  absl::Status status = commit();
  if (status.ok() && sync_) {
    if (const int rc = mdb_env_sync(env_, 1); rc != 0) status = lmdb_error(rc, "sync", draft_);
  }
  mdb_env_close(std::exchange(env_, nullptr));
  return status;
}

}  // namespace holdfast::storage
