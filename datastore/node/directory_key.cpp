#include "datastore/node/directory_key.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "datastore/storage/layout.h"

namespace holdfast::node {

namespace {

/// Larger than any record: what lies beyond makes it a wrong one.
constexpr std::size_t kReadBytes = 2 * crypto::kWrappedKeyBytes;

bool has_sealed(const SealedParts& parts) {
  return parts.store.sealed || !parts.log.key_ids.empty();
}
bool has_plain(const SealedParts& parts) {
  return (parts.store.exists && !parts.store.sealed) || parts.log.has_plain;
}

absl::StatusOr<std::optional<DirectoryKey>> decide_without_flag(const SealedParts& parts,
                                                                const DataDirectories& where) {
  // A record alone is what an attempt leaves that failed before anything was sealed.
  if (!has_sealed(parts) && (!parts.record || has_plain(parts))) return std::nullopt;
  return absl::FailedPreconditionError(absl::StrCat(
      "the data directory ", where.data_dir,
      " is encrypted. Nothing was changed. Set --encryption-key-file to the file with its key. To "
      "leave encryption, remove this member from its cluster and add it anew with an empty "
      "directory, or restore a snapshot"));
}

absl::StatusOr<std::optional<DirectoryKey>> begin_encryption(const SealedParts& parts,
                                                             const DataDirectories& where) {
  if (has_sealed(parts)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the data directory ", where.data_dir, " is encrypted, but its key, ",
        storage::key_path(where.data_dir),
        ", is missing. Nothing was changed. Put that file back from a copy of the directory; "
        "without it nobody can read the rest: then remove this member from its cluster and add it "
        "anew, or restore a snapshot"));
  }
  return DirectoryKey{{crypto::Key256::random(), /*all_sealed=*/false}, std::nullopt};
}

absl::Status check_parts(const SealedParts& parts, const crypto::DirectoryKey& key,
                         const DataDirectories& where) {
  const crypto::KeyId id = key.data_key.id();
  bool fits = !parts.store.sealed || parts.store.key_id == id;
  for (const crypto::KeyId& of_log : parts.log.key_ids) fits = fits && of_log == id;
  if (!fits) {
    return absl::FailedPreconditionError(absl::StrCat(
        "in ", where.data_dir, ", the log and the store are not encrypted with the key in ",
        storage::key_path(where.data_dir),
        ": they are not of one member. Nothing was changed. Put all of them back from one copy"));
  }
  if (!key.all_sealed || !has_plain(parts)) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(
      "in ", where.data_dir, ", the ", parts.log.has_plain ? "log" : "store",
      " is plain, though all was encrypted: somebody put it there. Nothing was changed. Put the "
      "member's own files back, or remove it from its cluster and add it anew"));
}

}  // namespace

absl::StatusOr<SealedParts> look_at_seals(ports::Disk& disk, const DataDirectories& where) {
  SealedParts parts;
  const absl::StatusOr<std::unique_ptr<ports::File>> file =
      disk.open(storage::key_path(where.data_dir), ports::Disk::Open::kRead);
  if (file.ok()) {
    if (absl::Status s = (*file)->read(0, kReadBytes, parts.record.emplace()); !s.ok()) return s;
  } else if (!absl::IsNotFound(file.status())) {
    return file.status();
  }
  absl::StatusOr<wal::LogSeals> log = wal::find_seals(disk, where.wal_dir);
  if (!log.ok()) return log.status();
  parts.log = *std::move(log);
  const absl::StatusOr<storage::StoreSeal> store =
      storage::find_store_seal(storage::store_directory(where.data_dir));
  if (!store.ok()) return store.status();
  parts.store = *store;
  return parts;
}

absl::StatusOr<std::optional<DirectoryKey>> decide_key(const SealedParts& parts,
                                                       absl::Span<const crypto::Key256> keys,
                                                       const DataDirectories& where) {
  if (keys.empty()) return decide_without_flag(parts, where);
  if (!parts.record) return begin_encryption(parts, where);
  absl::StatusOr<crypto::UnwrappedKey> found =
      crypto::unwrap_key(*parts.record, keys, storage::key_path(where.data_dir));
  if (!found.ok()) return found.status();
  if (absl::Status s = check_parts(parts, found->key, where); !s.ok()) return s;
  return DirectoryKey{std::move(found->key), found->wrapped_by};
}

absl::Status write_key_record(ports::Disk& disk, const std::string& data_dir,
                              const crypto::DirectoryKey& key, const crypto::Key256& wrap_by) {
  const std::string directory = storage::member_directory(data_dir);
  const std::string path = storage::key_path(data_dir);
  const std::string draft = path + ".tmp";
  if (absl::Status s = disk.make_directories(directory); !s.ok()) return s;
  const absl::StatusOr<bool> leftover = disk.exists(draft);
  if (!leftover.ok()) return leftover.status();
  if (*leftover) {
    if (absl::Status s = disk.remove(draft); !s.ok()) return s;
  }
  const Bytes record = crypto::wrap_key(key, wrap_by);
  const BytesView bytes(record);
  const absl::StatusOr<std::unique_ptr<ports::File>> file =
      disk.open(draft, ports::Disk::Open::kCreate);
  absl::Status status = file.status();
  if (status.ok()) status = (*file)->write(0, {&bytes, 1});
  if (status.ok()) status = (*file)->sync();
  if (status.ok()) status = disk.rename(draft, path);
  if (status.ok()) status = disk.sync_directory(directory);
  return status;
}

}  // namespace holdfast::node
