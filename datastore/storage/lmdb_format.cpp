#include "datastore/storage/lmdb_format.h"

#include <fcntl.h>
#include <lmdb.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "datastore/base/crc32c.h"
#include "datastore/ports/kv_backend.h"
#include "datastore/storage/lmdb_error.h"
#include "datastore/storage/lmdb_file.h"
#include "datastore/storage/lmdb_read.h"

namespace holdfast::storage {

namespace {

constexpr std::uint32_t kFormatVersion = 1;
constexpr std::uint32_t kCipherNone = 0;
constexpr std::uint32_t kCipherAes256Gcm = 1;
constexpr std::size_t kFormatBytes = 12;
constexpr BytesView kSealKey = "seal";
constexpr BytesView kRunPrefix = "run";
constexpr std::size_t kRunKeyBytes = kRunPrefix.size() + 4;

/// `content` and its checksum.
Bytes record_of(BytesView content) {
  Bytes record(content);
  record.resize(content.size() + 4);
  store_le32(record.data() + content.size(), crc32c(0, content));
  return record;
}

/// The content of a record of `content_bytes`; nothing if it is damaged.
std::optional<BytesView> content_of(BytesView record, std::size_t content_bytes) {
  if (record.size() != content_bytes + 4) return std::nullopt;
  const BytesView content = record.substr(0, content_bytes);
  if (load_le32(record.data() + content_bytes) != crc32c(0, content)) return std::nullopt;
  return content;
}

Bytes format_record(bool sealed) {
  Bytes content(kFormatBytes - 4, '\0');
  store_le32(content.data(), kFormatVersion);
  store_le32(content.data() + 4, sealed ? kCipherAes256Gcm : kCipherNone);
  return record_of(content);
}

absl::Status damaged_record(const std::string& path, const char* which) {
  return absl::DataLossError(absl::StrCat(
      "store ", path, ": its ", which,
      " record is damaged; remove the data directory and let this member join again, or restore a "
      "snapshot"));
}

int put(MDB_txn* txn, MDB_dbi database, BytesView key, BytesView value) {
  MDB_val name = to_mdb(key);
  MDB_val content = to_mdb(value);
  return mdb_put(txn, database, &name, &content, 0);
}

/// The data key's ID in the file. Errors: DataLoss.
absl::StatusOr<crypto::KeyId> read_key_id(MDB_txn* txn, MDB_dbi database, const std::string& path) {
  MDB_val name = to_mdb(kSealKey);
  MDB_val record{};
  const int rc = mdb_get(txn, database, &name, &record);
  if (rc != 0 && rc != MDB_NOTFOUND) return lmdb_error(rc, "open", path);
  crypto::KeyId id{};
  const std::optional<BytesView> content =
      rc == 0 ? content_of(from_mdb(record), id.size()) : std::nullopt;
  if (!content) return damaged_record(path, "seal");
  content->copy(id.data(), id.size());
  return id;
}

}  // namespace

absl::Status read_run_keys(MDB_txn* txn, unsigned format_database, RunKeys& keys,
                           const std::string& path) {
  const absl::StatusOr<crypto::KeyId> id = read_key_id(txn, format_database, path);
  if (!id.ok()) return id.status();
  if (*id != keys.id()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "store ", path, " was encrypted with data key ", crypto::short_hex(*id),
        ", this data directory has ", crypto::short_hex(keys.id()),
        ": they are not of one member. Nothing was changed. Put both back from one copy"));
  }
  MDB_cursor* cursor = nullptr;
  if (const int rc = mdb_cursor_open(txn, format_database, &cursor); rc != 0) {
    return lmdb_error(rc, "open", path);
  }
  absl::Status status;
  MDB_val name = to_mdb(kRunPrefix);
  MDB_val record{};
  int rc = mdb_cursor_get(cursor, &name, &record, MDB_SET_RANGE);
  for (; rc == 0 && status.ok(); rc = mdb_cursor_get(cursor, &name, &record, MDB_NEXT)) {
    const BytesView key = from_mdb(name);
    if (!key.starts_with(kRunPrefix)) break;
    const std::optional<BytesView> salt = content_of(from_mdb(record), kRunSaltBytes);
    if (key.size() == kRunKeyBytes && salt) {
      keys.add(load_be32(key.data() + kRunPrefix.size()), *salt);
    } else {
      status = damaged_record(path, "run");
    }
  }
  mdb_cursor_close(cursor);
  if (status.ok() && rc != 0 && rc != MDB_NOTFOUND) return lmdb_error(rc, "open", path);
  return status;
}

int write_run(MDB_txn* txn, const ValueSealer& sealer) {
  char key[kRunKeyBytes];
  kRunPrefix.copy(key, kRunPrefix.size());
  store_be32(key + kRunPrefix.size(), sealer.run());
  MDB_dbi database = 0;
  const int rc = mdb_dbi_open(txn, kFormatDatabase, 0, &database);
  return rc == 0 ? put(txn, database, {key, sizeof key}, record_of(sealer.salt())) : rc;
}

absl::StatusOr<StoreSeal> find_store_seal(const std::string& directory) {
  const std::string path = lmdb_file_path(directory);
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return StoreSeal{};
  const absl::StatusOr<LmdbFileHeader> header = inspect_lmdb_file(fd, path);
  close(fd);
  // A read past the end of the file would be a SIGBUS.
  if (!header.ok() || header->missing_pages() != 0) return StoreSeal{};
  StoreSeal found{.exists = true};
  absl::Status status;
  MDB_env* env = nullptr;
  MDB_txn* txn = nullptr;
  MDB_dbi database = 0;
  MDB_val name = to_mdb(kFormatKey);
  MDB_val record{};
  int rc = mdb_env_create(&env);
  if (rc == 0) rc = mdb_env_set_maxdbs(env, 1);
  constexpr unsigned kFlags = MDB_RDONLY | MDB_NOLOCK | MDB_NOSUBDIR;
  if (rc == 0) rc = mdb_env_open(env, path.c_str(), kFlags, kLmdbFileMode);
  if (rc == 0) rc = mdb_txn_begin(env, nullptr, MDB_RDONLY, &txn);
  if (rc == 0) rc = mdb_dbi_open(txn, kFormatDatabase, 0, &database);
  if (rc == 0) rc = mdb_get(txn, database, &name, &record);
  if (rc == 0) {
    const absl::StatusOr<bool> sealed = check_format_record(from_mdb(record), path);
    status = sealed.status();
    found.sealed = sealed.ok() && *sealed;
  }
  if (found.sealed) {
    const absl::StatusOr<crypto::KeyId> id = read_key_id(txn, database, path);
    status = id.status();
    if (id.ok()) found.key_id = *id;
  }
  if (txn != nullptr) mdb_txn_abort(txn);
  if (env != nullptr) mdb_env_close(env);
  if (!status.ok()) return status;
  return rc == 0 ? found : StoreSeal{};
}

int write_empty_store(MDB_env* env, std::array<unsigned, ports::kBucketCount>* databases,
                      const RunKeys* keys, FileSeal* seal) {
  MDB_txn* txn = nullptr;
  if (const int rc = mdb_txn_begin(env, nullptr, 0, &txn); rc != 0) return rc;
  MDB_dbi database = 0;
  int rc = mdb_dbi_open(txn, kFormatDatabase, MDB_CREATE, &database);
  if (rc == 0) rc = put(txn, database, kFormatKey, format_record(keys != nullptr));
  if (rc == 0 && keys != nullptr) {
    rc = put(txn, database, kSealKey, record_of(crypto::view_of(keys->id())));
  }
  if (rc == 0 && seal != nullptr) rc = write_run(txn, seal->sealer);
  for (std::size_t i = 0; rc == 0 && i < ports::kBucketCount; ++i) {
    rc = mdb_dbi_open(txn, Bytes(ports::kBucketNames[i]).c_str(), MDB_CREATE, &(*databases)[i]);
  }
  if (rc != 0) {
    mdb_txn_abort(txn);
    return rc;
  }
  rc = mdb_txn_commit(txn);
  if (rc == 0 && seal != nullptr) seal->sealer.set_recorded();
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

absl::StatusOr<bool> check_format_record(BytesView record, const std::string& path) {
  if (!content_of(record, kFormatBytes - 4)) return damaged_record(path, "format");
  const std::uint32_t version = load_le32(record.begin());
  if (version != kFormatVersion) {
    return absl::FailedPreconditionError(absl::StrCat(
        "store ", path, ": has format ", version, ", this release reads ", kFormatVersion,
        "; start the newer release again, or take a snapshot with it and restore that here"));
  }
  const std::uint32_t cipher = load_le32(record.data() + 4);
  if (cipher != kCipherNone && cipher != kCipherAes256Gcm) {
    return absl::FailedPreconditionError(
        absl::StrCat("store ", path, ": is encrypted with cipher ", cipher,
                     ", which this release does not know; start the release that wrote it"));
  }
  return cipher == kCipherAes256Gcm;
}

absl::Status create_lmdb_store(const LmdbOptions& options) {
  const std::string& directory = options.directory;
  std::optional<RunKeys> keys;
  if (options.key) keys.emplace(*options.key);
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
    // Its first run begins when it is opened.
    if (rc == 0) rc = write_empty_store(env, &databases, keys ? &*keys : nullptr, nullptr);
    if (rc == 0) rc = mdb_env_sync(env, 1);
    mdb_env_close(env);
  }
  if (rc == 0 && rename(draft.c_str(), path.c_str()) != 0) rc = errno;
  if (rc != 0) return lmdb_error(rc, "create", path);
  if (absl::Status s = sync_lmdb_directory(directory); !s.ok()) return s;
  return sync_lmdb_directory(std::filesystem::path(directory).parent_path().string());
}

}  // namespace holdfast::storage
