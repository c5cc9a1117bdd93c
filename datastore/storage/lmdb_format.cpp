#include "datastore/storage/lmdb_format.h"

#include <fcntl.h>
#include <lmdb.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "datastore/base/crc32c.h"
#include "datastore/ports/kv_backend.h"
#include "datastore/storage/lmdb_error.h"
#include "datastore/storage/lmdb_read.h"

namespace holdfast::storage {

namespace {

constexpr std::uint32_t kFormatVersion = 1;
constexpr std::uint32_t kCipherNone = 0;
constexpr std::size_t kFormatBytes = 12;

Bytes format_record() {
  Bytes record(kFormatBytes, '\0');
  store_le32(record.data(), kFormatVersion);
  store_le32(record.data() + 4, kCipherNone);
  store_le32(record.data() + 8, crc32c(0, BytesView(record).substr(0, 8)));
  return record;
}

}  // namespace

int write_empty_store(MDB_env* env, std::array<unsigned, ports::kBucketCount>* databases) {
  MDB_txn* txn = nullptr;
  if (const int rc = mdb_txn_begin(env, nullptr, 0, &txn); rc != 0) return rc;
  const Bytes record = format_record();
  MDB_val name = to_mdb(kFormatKey);
  MDB_val value = to_mdb(record);
  MDB_dbi database = 0;
  int rc = mdb_dbi_open(txn, kFormatDatabase, MDB_CREATE, &database);
  if (rc == 0) rc = mdb_put(txn, database, &name, &value, 0);
  for (std::size_t i = 0; rc == 0 && i < ports::kBucketCount; ++i) {
    rc = mdb_dbi_open(txn, Bytes(ports::kBucketNames[i]).c_str(), MDB_CREATE, &(*databases)[i]);
  }
  if (rc == 0) return mdb_txn_commit(txn);
  mdb_txn_abort(txn);
  return rc;
}

absl::Status lock_lmdb_file(const std::string& path, int access, int* fd) {
  *fd = open(path.c_str(), access | O_CLOEXEC);
  if (*fd < 0) return lmdb_error(errno, "open", path);
  if (flock(*fd, LOCK_EX | LOCK_NB) == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "store ", path, ": in use by another process; stop it first, or use another directory"));
}

absl::Status sync_lmdb_directory(const std::string& directory) {
  const int fd =
      open(directory.empty() ? "." : directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const int code = fd < 0 || fsync(fd) != 0 ? errno : 0;
  if (fd >= 0) close(fd);
  return code == 0 ? absl::OkStatus() : lmdb_error(code, "sync the directory", directory);
}

absl::Status check_format_record(BytesView record, const std::string& path) {
  if (record.size() != kFormatBytes ||
      load_le32(record.data() + 8) != crc32c(0, record.substr(0, 8))) {
    return absl::DataLossError(
        absl::StrCat("store ", path,
                     ": its format record is damaged; remove the data directory and let this "
                     "member join again, or restore a snapshot"));
  }
  const std::uint32_t version = load_le32(record.begin());
  if (version != kFormatVersion) {
    return absl::FailedPreconditionError(absl::StrCat(
        "store ", path, ": has format ", version, ", this release reads ", kFormatVersion,
        "; start the newer release again, or take a snapshot with it and restore that here"));
  }
  const std::uint32_t cipher = load_le32(record.data() + 4);
  if (cipher != kCipherNone) {
    return absl::FailedPreconditionError(
        absl::StrCat("store ", path, ": is encrypted with cipher ", cipher,
                     ", which this release does not know; start the release that wrote it"));
  }
  return absl::OkStatus();
}

absl::Status create_lmdb_store(const std::string& directory) {
  const std::string path = lmdb_file_path(directory);
  std::error_code failed;
  std::filesystem::create_directories(directory, failed);
  if (failed) return lmdb_error(failed.value(), "create the directory", directory);
  std::filesystem::permissions(directory, std::filesystem::perms::owner_all, failed);
  const std::string draft = lmdb_draft_path(directory);
  unlink(draft.c_str());
  MDB_env* env = nullptr;
  int rc = mdb_env_create(&env);
  if (rc == 0) {
    rc = mdb_env_set_maxdbs(env, ports::kBucketCount + 1);
    if (rc == 0) rc = mdb_env_open(env, draft.c_str(), MDB_NOSUBDIR | MDB_NOLOCK, kLmdbFileMode);
    std::array<unsigned, ports::kBucketCount> databases{};
    if (rc == 0) rc = write_empty_store(env, &databases);
    if (rc == 0) rc = mdb_env_sync(env, 1);
    mdb_env_close(env);
  }
  if (rc == 0 && rename(draft.c_str(), path.c_str()) != 0) rc = errno;
  if (rc != 0) return lmdb_error(rc, "create", path);
  if (absl::Status s = sync_lmdb_directory(directory); !s.ok()) return s;
  return sync_lmdb_directory(std::filesystem::path(directory).parent_path().string());
}

}  // namespace holdfast::storage
