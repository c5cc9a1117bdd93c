#include "datastore/storage/lmdb_backend.h"

#include <fcntl.h>
#include <lmdb.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "datastore/base/check.h"
#include "datastore/storage/leaf_density.h"
#include "datastore/storage/lmdb_error.h"
#include "datastore/storage/lmdb_fill.h"
#include "datastore/storage/lmdb_format.h"
#include "datastore/storage/lmdb_read.h"
#include "datastore/storage/lmdb_write.h"

namespace holdfast::storage {

namespace {

/// What compact_step() copies and rewrites at most, whatever the number of entries.
constexpr std::size_t kMaxCompactedBytes = std::size_t{4} << 20;

/// Hands entries of a bucket to `take` as they lie in the file, from `from` on, and returns where
/// to go on; empty at the end.
absl::StatusOr<Bytes> copy_stored(MDB_txn* txn, const LmdbEnvironment& file, ports::Bucket bucket,
                                  BytesView from, std::size_t max_entries,
                                  absl::FunctionRef<void(BytesView, BytesView)> take) {
  MDB_cursor* cursor = nullptr;
  int rc = mdb_cursor_open(txn, file.databases()[static_cast<std::size_t>(bucket)], &cursor);
  if (rc != 0) return file.error(rc, "open a cursor");
  Bytes next;
  std::size_t copied = 0;
  MDB_val key = to_mdb(from);
  MDB_val stored{};
  rc = mdb_cursor_get(cursor, &key, &stored, from.empty() ? MDB_FIRST : MDB_SET_RANGE);
  for (std::size_t count = 0; rc == 0; rc = mdb_cursor_get(cursor, &key, &stored, MDB_NEXT)) {
    if (count++ == max_entries || copied >= kMaxCompactedBytes) {
      next = from_mdb(key);
      break;
    }
    copied += key.mv_size + stored.mv_size;
    take(from_mdb(key), from_mdb(stored));
  }
  mdb_cursor_close(cursor);
  if (rc != 0 && rc != MDB_NOTFOUND) return file.error(rc, "scan");
  return next;
}

}  // namespace

LmdbBackend::LmdbBackend(const Options& options, std::shared_ptr<LmdbEnvironment> environment)
    : options_(options), environment_(std::move(environment)) {
}

absl::StatusOr<std::unique_ptr<LmdbBackend>> LmdbBackend::open(const Options& options) {
  const std::string path = lmdb_file_path(options.directory);
  if (!options.read_only && access(path.c_str(), F_OK) != 0) {
    if (absl::Status s = create_lmdb_store(options); !s.ok()) return s;
  }
  absl::StatusOr<std::shared_ptr<LmdbEnvironment>> opened = LmdbEnvironment::open(options);
  if (!opened.ok()) return opened.status();
  // A crash in the midst of a replace() leaves it; the file is locked, so it is nobody else's.
  if (!options.read_only) unlink(lmdb_draft_path(options.directory).c_str());
  std::unique_ptr<LmdbBackend> backend(new LmdbBackend(options, *std::move(opened)));
  if (!options.key || backend->environment_->keys() != nullptr) return backend;
  if (!options.seal_plain) {
    return absl::DataLossError(absl::StrCat(
        "store ", path,
        " is plain, in a data directory that is encrypted: somebody put it there. Nothing was "
        "changed. Put the member's own store back, or remove this member and add it anew"));
  }
  if (options.read_only) return backend;
  if (absl::Status s = backend->seal(); !s.ok()) return s;
  return backend;
}

/// The whole content once more, sealed, in another file.
absl::Status LmdbBackend::seal() {
  constexpr std::uint64_t kEntriesBetweenReports = 1'000'000;
  const absl::StatusOr<std::unique_ptr<ports::BackendRead>> read = begin_read();
  if (!read.ok()) return read.status();
  std::uint64_t sealed = 0;
  return replace([&](ports::BackendFill& fill) -> absl::Status {
    for (std::size_t i = 0; i < ports::kBucketCount; ++i) {
      const auto bucket = static_cast<ports::Bucket>(i);
      const std::unique_ptr<ports::BackendCursor> cursor = (*read)->cursor(bucket);
      for (cursor->seek({}); cursor->valid(); cursor->next()) {
        if (absl::Status s = fill.add(bucket, cursor->key(), cursor->value()); !s.ok()) return s;
        if (++sealed % kEntriesBetweenReports == 0 && options_.on_sealing) {
          options_.on_sealing(sealed);
        }
      }
      if (absl::Status s = cursor->status(); !s.ok()) return s;
    }
    if (options_.on_sealing) options_.on_sealing(sealed);
    return absl::OkStatus();
  });
}

LmdbBackend::~LmdbBackend() {
  HOLDFAST_CHECK(!environment_->is_read());
  for (const auto& file : replaced_) HOLDFAST_CHECK(!file->is_read());
}

std::shared_ptr<LmdbEnvironment> LmdbBackend::environment() const {
  const std::lock_guard lock(environment_mutex_);
  return environment_;
}

std::shared_ptr<ports::BackendContent> LmdbBackend::content() {
  return environment();
}

ports::BackendSizes LmdbBackend::sizes() const {
  return environment()->sizes();
}

absl::Status LmdbBackend::commit(absl::Span<const ports::BackendWrite> writes) {
  let_go_of_replaced();
  LmdbEnvironment& file = *environment_;
  using Clock = std::chrono::steady_clock;
  const Clock::time_point began = Clock::now();
  LmdbWrite write(file.env(), file.databases(), path(), file.seal(), file.fd());
  if (absl::Status s = write.begin(); !s.ok()) return s;
  absl::Status status;
  for (const ports::BackendWrite& one : writes) {
    status = write.apply(one);
    if (!status.ok()) break;
  }
  const Clock::time_point filled = Clock::now();
  if (status.ok()) status = write.commit();
  if (status.ok() && options_.on_commit) options_.on_commit(filled - began, Clock::now() - filled);
  if (!status.ok()) file.puncher()->forget_punched();
  file.sizes_changed();
  return status;
}

// --- replacing the whole ------------------------------------------------------------------------

absl::Status LmdbBackend::replace(absl::FunctionRef<absl::Status(ports::BackendFill&)> fill) {
  if (options_.read_only) return lmdb_error(EACCES, "replace", path());
  let_go_of_replaced();
  const std::string draft = lmdb_draft_path(options_.directory);
  absl::Status status;
  {
    absl::StatusOr<std::unique_ptr<LmdbFill>> filling = LmdbFill::begin(draft, options_);
    if (!filling.ok()) return filling.status();
    status = fill(**filling);
    if (status.ok()) status = (*filling)->finish();
  }
  if (status.ok()) return put_in_place(draft);
  unlink(draft.c_str());
  return status;
}

/// `draft` is durable. Before the rename nothing has changed, after it there is no way back.
absl::Status LmdbBackend::put_in_place(const std::string& draft) {
  int fd = -1;
  absl::Status status = lock_lmdb_file(draft, O_RDWR, &fd);
  if (status.ok() && rename(draft.c_str(), path().c_str()) != 0) {
    status = lmdb_error(errno, "replace", path());
  }
  if (!status.ok()) {
    if (fd >= 0) close(fd);
    unlink(draft.c_str());
    return status;
  }
  if (!options_.unsafe_no_fsync) status = sync_lmdb_directory(options_.directory);
  // The reader table is the old file's, which is still read: the new one gets its own.
  unlink(lmdb_lock_path(options_.directory).c_str());
  absl::StatusOr<std::shared_ptr<LmdbEnvironment>> opened = LmdbEnvironment::open(options_, fd);
  if (status.ok()) status = opened.status();
  if (!status.ok()) {
    return absl::UnknownError(absl::StrCat(
        "store ", path(), ": the new state was put in place, but it can't be relied on: ",
        status.message(), "; restart this member"));
  }
  const std::lock_guard lock(environment_mutex_);
  replaced_.push_back(std::exchange(environment_, *std::move(opened)));
  return absl::OkStatus();
}

/// Closing the last of a large file takes a while: it is done here, not by whichever reader ends.
void LmdbBackend::let_go_of_replaced() {
  std::erase_if(replaced_, [](const auto& file) { return file.use_count() == 1; });
}

// --- space --------------------------------------------------------------------------------------

absl::StatusOr<std::uint64_t> LmdbBackend::reclaim(std::uint64_t max_bytes) {
  let_go_of_replaced();
  LmdbEnvironment& file = *environment_;
  // Nothing is written: it keeps commits away.
  LmdbWrite lock(file.env(), file.databases(), path(), nullptr, file.fd());
  if (absl::Status s = lock.begin(); !s.ok()) return s;
  const absl::StatusOr<MDB_txn*> read = file.acquire_read();
  if (!read.ok()) return read.status();
  absl::StatusOr<std::uint64_t> released =
      file.puncher()->punch(file.env(), *read, max_bytes, options_.reserve_bytes, path());
  file.release_read(*read);
  if (released.ok() && *released > 0) file.sizes_changed();
  return released;
}

absl::StatusOr<Bytes> LmdbBackend::compact_step(ports::Bucket bucket, BytesView from,
                                                std::size_t max_entries) {
  let_go_of_replaced();
  LmdbEnvironment& file = *environment_;
  LmdbWrite write(file.env(), file.databases(), path(), file.seal(), file.fd());
  if (absl::Status s = write.begin(); !s.ok()) return s;
  std::vector<std::pair<Bytes, Bytes>> entries;
  LeafDensity density(file.page_bytes());
  absl::StatusOr<Bytes> next = copy_stored(write.txn(), file, bucket, from, max_entries,
                                           [&](BytesView key, BytesView stored) {
                                             density.add(key, stored);
                                             entries.emplace_back(key, stored);
                                           });
  if (!next.ok() || !density.is_worth_merging()) return next;
  // All removed before any is put back, so that their pages empty and are merged away. As they are:
  // a sealed value that was sealed again would need another nonce.
  absl::Status status;
  for (const auto& [key, stored] : entries) {
    if (status.ok()) status = write.remove_stored(bucket, key);
  }
  for (const auto& [key, stored] : entries) {
    if (status.ok()) status = write.put_stored(bucket, key, stored);
  }
  if (status.ok()) status = write.commit();
  if (!status.ok()) file.puncher()->forget_punched();
  file.sizes_changed();
  if (!status.ok()) return status;
  return next;
}

absl::Status LmdbBackend::verify() {
  absl::StatusOr<std::unique_ptr<ports::BackendRead>> read = begin_read();
  if (!read.ok()) return read.status();
  for (std::size_t i = 0; i < ports::kBucketCount; ++i) {
    const std::unique_ptr<ports::BackendCursor> cursor =
        (*read)->cursor(static_cast<ports::Bucket>(i));
    for (cursor->seek({}); cursor->valid(); cursor->next()) {
    }
    if (absl::Status s = cursor->status(); !s.ok()) return s;
  }
  return absl::OkStatus();
}

}  // namespace holdfast::storage
