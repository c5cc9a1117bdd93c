#include "datastore/storage/lmdb_backend.h"

#include <fcntl.h>
#include <lmdb.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "datastore/base/check.h"
#include "datastore/storage/free_pages.h"
#include "datastore/storage/leaf_density.h"
#include "datastore/storage/lmdb_error.h"
#include "datastore/storage/lmdb_file.h"
#include "datastore/storage/lmdb_format.h"
#include "datastore/storage/lmdb_read.h"
#include "datastore/storage/lmdb_write.h"

namespace holdfast::storage {

namespace {

constexpr std::size_t kMaxIdleReads = 64;
/// What compact_step() copies and rewrites at most, whatever the number of entries.
constexpr std::size_t kMaxCompactedBytes = std::size_t{4} << 20;

}  // namespace

LmdbBackend::LmdbBackend(const Options& options, std::string path)
    : options_(options), path_(std::move(path)) {
}

absl::StatusOr<std::unique_ptr<LmdbBackend>> LmdbBackend::open(const Options& options) {
  const std::string path = options.directory + "/data.mdb";
  if (!options.read_only && access(path.c_str(), F_OK) != 0) {
    if (absl::Status s = create_lmdb_store(options.directory, path); !s.ok()) return s;
  }
  std::unique_ptr<LmdbBackend> backend(new LmdbBackend(options, path));
  if (absl::Status s = backend->lock_file(); !s.ok()) return s;
  if (absl::Status s = backend->inspect_file(); !s.ok()) return s;
  absl::Status status = backend->open_environment();
  if (status.ok()) status = backend->open_databases();
  if (status.ok()) status = backend->check_missing_pages();
  if (status.ok()) status = backend->check_newest_revision();
  if (absl::IsDataLoss(status) && backend->missing_from_page_ != 0) return backend->cut_off();
  if (!status.ok()) return status;
  return backend;
}

LmdbBackend::~LmdbBackend() {
  HOLDFAST_CHECK(open_reads_.load() == 0);
  {
    const std::lock_guard lock(pool_mutex_);
    for (MDB_txn* txn : idle_reads_) mdb_txn_abort(txn);
  }
  if (env_ != nullptr) mdb_env_close(env_);
  if (fd_ >= 0) close(fd_);
}

absl::Status LmdbBackend::lock_file() {
  fd_ = ::open(path_.c_str(), (options_.read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
  if (fd_ < 0) return error(errno, "open");
  if (flock(fd_, LOCK_EX | LOCK_NB) != 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        "store ", path_, ": in use by another process; stop it first, or use another directory"));
  }
  return absl::OkStatus();
}

absl::Status LmdbBackend::inspect_file() {
  const absl::StatusOr<LmdbFileHeader> header = inspect_lmdb_file(fd_, path_);
  if (!header.ok()) return header.status();
  if (header->missing_pages() == 0) return absl::OkStatus();
  missing_from_page_ = header->page_count - header->missing_pages();
  if (options_.read_only) return check_missing_pages();
  // Without this the first read past the end would be a SIGBUS. The new pages read as zeros, which
  // LMDB takes for damage; check_missing_pages() then tells the two cases apart.
  if (ftruncate(fd_, static_cast<off_t>(header->page_count * header->page_bytes)) != 0) {
    return error(errno, "extend");
  }
  return absl::OkStatus();
}

absl::Status LmdbBackend::open_environment() {
  if (const int rc = mdb_env_create(&env_); rc != 0) return error(rc, "open");
  int rc = mdb_env_set_mapsize(env_, options_.map_bytes);
  if (rc == 0) rc = mdb_env_set_maxdbs(env_, ports::kBucketCount + 1);
  if (rc == 0) rc = mdb_env_set_maxreaders(env_, options_.max_readers);
  if (rc != 0) return error(rc, "open");
  unsigned flags = MDB_NOTLS | MDB_NORDAHEAD;
  if (options_.read_only) flags |= MDB_RDONLY;
  if (options_.unsafe_no_fsync) flags |= MDB_NOSYNC;
  rc = mdb_env_open(env_, options_.directory.c_str(), flags, kLmdbFileMode);
  if (rc != 0) return error(rc, "open");
  // Readers a dead process left behind would keep pages from being reused.
  int dead = 0;
  mdb_reader_check(env_, &dead);
  MDB_stat stat{};
  mdb_env_stat(env_, &stat);
  page_bytes_ = stat.ms_psize;
  if (!options_.read_only) puncher_ = std::make_unique<HolePuncher>(fd_, stat.ms_psize);
  return absl::OkStatus();
}

absl::Status LmdbBackend::open_databases() {
  MDB_txn* txn = nullptr;
  if (const int rc = mdb_txn_begin(env_, nullptr, MDB_RDONLY, &txn); rc != 0) {
    return error(rc, "open");
  }
  const auto give_up = [&](absl::Status why) {
    mdb_txn_abort(txn);
    return why;
  };
  MDB_dbi format = 0;
  MDB_val name = to_mdb(kFormatKey);
  MDB_val record{};
  int rc = mdb_dbi_open(txn, kFormatDatabase, 0, &format);
  if (rc == 0) rc = mdb_get(txn, format, &name, &record);
  if (rc == MDB_NOTFOUND) {
    return give_up(absl::FailedPreconditionError(
        absl::StrCat("store ", path_, ": an LMDB file, but not holdfast's; check the path")));
  }
  if (rc != 0) return give_up(error(rc, "open"));
  if (absl::Status s = check_format_record(from_mdb(record), path_); !s.ok()) return give_up(s);
  for (std::size_t i = 0; i < ports::kBucketCount; ++i) {
    rc = mdb_dbi_open(txn, Bytes(ports::kBucketNames[i]).c_str(), 0, &databases_[i]);
    if (rc != 0) {
      return give_up(error(rc, "open bucket " + std::string(ports::kBucketNames[i])));
    }
  }
  rc = mdb_txn_commit(txn);
  return rc == 0 ? absl::OkStatus() : error(rc, "open");
}

absl::Status LmdbBackend::cut_off() const {
  return absl::DataLossError(absl::StrCat(
      "store ", path_, ": was cut off after page ", missing_from_page_,
      "; remove the data directory and let this member join again, or restore a snapshot"));
}

absl::Status LmdbBackend::check_missing_pages() {
  if (missing_from_page_ == 0) return absl::OkStatus();
  if (env_ == nullptr) return cut_off();
  const absl::StatusOr<MDB_txn*> read = acquire_read();
  if (!read.ok()) return read.status();
  MDB_envinfo info{};
  mdb_env_info(env_, &info);
  std::uint64_t free_pages = 0;
  const int rc = for_each_free_record(
      *read, [&](std::uint64_t, const std::uint64_t* pages, std::uint64_t count) {
        for (std::uint64_t i = 0; i < count; ++i) free_pages += pages[i] >= missing_from_page_;
      });
  release_read(*read);
  const bool all_free = rc == 0 && free_pages >= info.me_last_pgno + 1 - missing_from_page_;
  return all_free ? absl::OkStatus() : cut_off();
}

absl::Status LmdbBackend::check_newest_revision() {
  absl::StatusOr<MDB_txn*> read = acquire_read();
  if (!read.ok()) return read.status();
  MDB_cursor* cursor = nullptr;
  MDB_val key{};
  MDB_val stored{};
  constexpr auto kKey = static_cast<std::size_t>(ports::Bucket::kKey);
  int rc = mdb_cursor_open(*read, databases_[kKey], &cursor);
  absl::Status status;
  if (rc == 0) {
    rc = mdb_cursor_get(cursor, &key, &stored, MDB_LAST);
    if (rc == 0)
      status = decode_stored(ports::Bucket::kKey, from_mdb(key), from_mdb(stored)).status();
    if (rc == MDB_NOTFOUND) rc = 0;
    mdb_cursor_close(cursor);
  }
  release_read(*read);
  return rc == 0 ? status : error(rc, "read the newest revision");
}

absl::Status LmdbBackend::commit(absl::Span<const ports::BackendWrite> writes) {
  LmdbWrite write(env_, databases_, path_);
  if (absl::Status s = write.begin(); !s.ok()) return s;
  absl::Status status;
  for (const ports::BackendWrite& one : writes) {
    status = write.apply(one);
    if (!status.ok()) break;
  }
  if (status.ok()) status = write.commit();
  if (!status.ok()) puncher_->forget_punched();
  generation_.fetch_add(1, std::memory_order_release);
  return status;
}

absl::StatusOr<std::unique_ptr<ports::BackendRead>> LmdbBackend::begin_read() {
  absl::StatusOr<MDB_txn*> txn = acquire_read();
  if (!txn.ok()) return txn.status();
  return std::make_unique<LmdbRead>(*this, *txn);
}

absl::StatusOr<MDB_txn*> LmdbBackend::acquire_read() {
  MDB_txn* txn = nullptr;
  {
    const std::lock_guard lock(pool_mutex_);
    if (!idle_reads_.empty()) {
      txn = idle_reads_.back();
      idle_reads_.pop_back();
    }
  }
  const int rc =
      txn != nullptr ? mdb_txn_renew(txn) : mdb_txn_begin(env_, nullptr, MDB_RDONLY, &txn);
  if (rc != 0) {
    if (txn != nullptr) mdb_txn_abort(txn);
    return error(rc, "begin a read");
  }
  open_reads_.fetch_add(1, std::memory_order_relaxed);
  return txn;
}

void LmdbBackend::release_read(MDB_txn* txn) {
  open_reads_.fetch_sub(1, std::memory_order_relaxed);
  mdb_txn_reset(txn);
  {
    const std::lock_guard lock(pool_mutex_);
    if (idle_reads_.size() < kMaxIdleReads) {
      idle_reads_.push_back(txn);
      return;
    }
  }
  mdb_txn_abort(txn);
}

ports::BackendSizes LmdbBackend::sizes() const {
  const std::uint64_t generation = generation_.load(std::memory_order_acquire);
  const std::lock_guard lock(sizes_mutex_);
  if (sizes_generation_ == generation) return sizes_;
  MDB_txn* txn = nullptr;
  if (mdb_txn_begin(env_, nullptr, MDB_RDONLY, &txn) != 0) return sizes_;
  std::uint64_t free_pages = 0;
  const int rc = for_each_free_record(
      txn, [&](std::uint64_t, const std::uint64_t*, std::uint64_t count) { free_pages += count; });
  mdb_txn_abort(txn);
  MDB_envinfo info{};
  MDB_stat stat{};
  struct stat file{};
  mdb_env_info(env_, &info);
  mdb_env_stat(env_, &stat);
  if (rc != 0 || fstat(fd_, &file) != 0) return sizes_;
  const std::uint64_t pages = info.me_last_pgno + 1;
  sizes_.allocated_bytes = static_cast<std::uint64_t>(file.st_blocks) * 512;
  sizes_.used_bytes = (pages - std::min(pages, free_pages)) * stat.ms_psize;
  sizes_generation_ = generation;
  return sizes_;
}

absl::StatusOr<std::uint64_t> LmdbBackend::reclaim(std::uint64_t max_bytes) {
  LmdbWrite lock(env_, databases_, path_);  // nothing is written: it keeps commits away
  if (absl::Status s = lock.begin(); !s.ok()) return s;
  const absl::StatusOr<MDB_txn*> read = acquire_read();
  if (!read.ok()) return read.status();
  absl::StatusOr<std::uint64_t> released =
      puncher_->punch(env_, *read, max_bytes, options_.reserve_bytes, path_);
  release_read(*read);
  if (released.ok() && *released > 0) generation_.fetch_add(1, std::memory_order_release);
  return released;
}

absl::StatusOr<Bytes> LmdbBackend::compact_step(ports::Bucket bucket, BytesView from,
                                                std::size_t max_entries) {
  Bytes next;
  std::vector<std::pair<Bytes, Bytes>> entries;
  LeafDensity density(page_bytes_);
  {
    absl::StatusOr<std::unique_ptr<ports::BackendRead>> read = begin_read();
    if (!read.ok()) return read.status();
    const std::unique_ptr<ports::BackendCursor> cursor = (*read)->cursor(bucket);
    std::size_t copied = 0;
    for (cursor->seek(from); cursor->valid() && entries.size() < max_entries; cursor->next()) {
      if (copied >= kMaxCompactedBytes) break;
      density.add(cursor->key(), cursor->value());
      copied += cursor->key().size() + cursor->value().size();
      entries.emplace_back(cursor->key(), cursor->value());
    }
    if (cursor->valid()) next = cursor->key();
    if (absl::Status s = cursor->status(); !s.ok()) return s;
  }
  if (!density.is_worth_merging()) return next;
  // All removed before any is put back, so that their pages empty and are merged away.
  std::vector<ports::BackendWrite> writes;
  writes.reserve(entries.size() * 2);
  for (const auto& [key, value] : entries) writes.push_back({bucket, key, std::nullopt});
  for (const auto& [key, value] : entries) writes.push_back({bucket, key, value});
  if (absl::Status s = commit(writes); !s.ok()) return s;
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

absl::Status LmdbBackend::error(int code, std::string_view operation) const {
  return lmdb_error(code, operation, path_);
}

}  // namespace holdfast::storage
