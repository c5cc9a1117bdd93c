#include "datastore/storage/lmdb_environment.h"

#include <fcntl.h>
#include <lmdb.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "datastore/storage/lmdb_error.h"
#include "datastore/storage/lmdb_file.h"
#include "datastore/storage/lmdb_format.h"
#include "datastore/storage/lmdb_read.h"
#include "datastore/storage/stored_value.h"

namespace holdfast::storage {

namespace {

constexpr std::size_t kMaxIdleReads = 64;

}  // namespace

LmdbEnvironment::LmdbEnvironment(const LmdbOptions& options, int locked_fd)
    : options_(options), path_(lmdb_file_path(options.directory)), fd_(locked_fd) {
}

absl::StatusOr<std::shared_ptr<LmdbEnvironment>> LmdbEnvironment::open(const LmdbOptions& options,
                                                                       int locked_fd) {
  std::shared_ptr<LmdbEnvironment> environment(new LmdbEnvironment(options, locked_fd));
  if (absl::Status s = environment->check(); !s.ok()) return s;
  return environment;
}

absl::Status LmdbEnvironment::check() {
  if (fd_ < 0) {
    if (absl::Status s = lock_file(); !s.ok()) return s;
  }
  if (absl::Status s = inspect_file(); !s.ok()) return s;
  absl::Status status = open_environment();
  if (status.ok()) status = open_databases();
  if (status.ok()) status = check_missing_pages();
  if (status.ok()) status = check_newest_revision();
  if (absl::IsDataLoss(status) && missing_from_page_ != 0) return cut_off();
  return status;
}

LmdbEnvironment::~LmdbEnvironment() {
  for (MDB_txn* txn : idle_reads_) mdb_txn_abort(txn);
  if (env_ != nullptr) mdb_env_close(env_);
  if (fd_ >= 0) close(fd_);
}

absl::Status LmdbEnvironment::lock_file() {
  return lock_lmdb_file(path_, options_.read_only ? O_RDONLY : O_RDWR, &fd_);
}

absl::Status LmdbEnvironment::inspect_file() {
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

absl::Status LmdbEnvironment::open_environment() {
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

absl::Status LmdbEnvironment::open_databases() {
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
  const absl::StatusOr<bool> sealed = check_format_record(from_mdb(record), path_);
  if (!sealed.ok()) return give_up(sealed.status());
  if (*sealed) {
    if (absl::Status s = open_seal(txn, format); !s.ok()) return give_up(s);
  }
  for (std::size_t i = 0; i < ports::kBucketCount; ++i) {
    rc = mdb_dbi_open(txn, Bytes(ports::kBucketNames[i]).c_str(), 0, &databases_[i]);
    if (rc != 0) {
      return give_up(error(rc, "open bucket " + std::string(ports::kBucketNames[i])));
    }
  }
  rc = mdb_txn_commit(txn);
  return rc == 0 ? absl::OkStatus() : error(rc, "open");
}

absl::Status LmdbEnvironment::open_seal(MDB_txn* txn, unsigned format_database) {
  if (!options_.key) {
    return absl::FailedPreconditionError(
        absl::StrCat("store ", path_,
                     " is encrypted. Nothing was changed. Set --encryption-key-file to the file "
                     "with its key"));
  }
  auto keys = std::make_unique<RunKeys>(*options_.key);
  if (absl::Status s = read_run_keys(txn, format_database, *keys, path_); !s.ok()) return s;
  keys_ = std::move(keys);
  if (!options_.read_only) seal_ = std::make_unique<FileSeal>(*keys_);
  return absl::OkStatus();
}

std::unique_ptr<ValueOpener> LmdbEnvironment::acquire_opener() {
  {
    const std::lock_guard lock(pool_mutex_);
    if (!idle_openers_.empty()) {
      std::unique_ptr<ValueOpener> opener = std::move(idle_openers_.back());
      idle_openers_.pop_back();
      return opener;
    }
  }
  return std::make_unique<ValueOpener>(*keys_);
}

void LmdbEnvironment::release_opener(std::unique_ptr<ValueOpener> opener) {
  const std::lock_guard lock(pool_mutex_);
  if (idle_openers_.size() < kMaxIdleReads) idle_openers_.push_back(std::move(opener));
}

absl::Status LmdbEnvironment::cut_off() const {
  return absl::DataLossError(absl::StrCat(
      "store ", path_, ": was cut off after page ", missing_from_page_,
      "; remove the data directory and let this member join again, or restore a snapshot"));
}

absl::Status LmdbEnvironment::check_missing_pages() {
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

absl::Status LmdbEnvironment::check_newest_revision() {
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
    if (rc == 0) status = check_stored(from_mdb(key), from_mdb(stored));
    if (rc == MDB_NOTFOUND) rc = 0;
    mdb_cursor_close(cursor);
  }
  release_read(*read);
  return rc == 0 ? status : error(rc, "read the newest revision");
}

absl::Status LmdbEnvironment::check_stored(BytesView revision, BytesView stored) const {
  if (keys_ == nullptr) return decode_stored(ports::Bucket::kKey, revision, stored).status();
  Bytes value(stored.size(), '\0');
  return ValueOpener(*keys_).open(ports::Bucket::kKey, revision, stored, value.data());
}

absl::StatusOr<std::unique_ptr<ports::BackendRead>> LmdbEnvironment::begin_read() {
  absl::StatusOr<MDB_txn*> txn = acquire_read();
  if (!txn.ok()) return txn.status();
  return std::make_unique<LmdbRead>(shared_from_this(), *txn);
}

absl::StatusOr<MDB_txn*> LmdbEnvironment::acquire_read() {
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

void LmdbEnvironment::release_read(MDB_txn* txn) {
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

ports::BackendSizes LmdbEnvironment::sizes() const {
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

absl::Status LmdbEnvironment::error(int code, std::string_view operation) const {
  return lmdb_error(code, operation, path_);
}

}  // namespace holdfast::storage
