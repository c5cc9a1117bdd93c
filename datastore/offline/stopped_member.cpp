#include "datastore/offline/stopped_member.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "datastore/crypto/wrapping_keys.h"
#include "datastore/node/bootstrap.h"
#include "datastore/node/directory_key.h"
#include "datastore/offline/apply_entry.h"
#include "datastore/storage/layout.h"
#include "datastore/wal/wal.h"

namespace holdfast::offline {
namespace {

absl::Status apply_committed(const wal::Recovered& log, statemachine::StateMachine& machine) {
  for (const raft::Entry& entry : log.entries) {
    if (entry.index > log.hard_state.commit) break;
    if (absl::Status status = apply_entry(entry, machine); !status.ok()) return status;
  }
  machine.end_batch();
  return absl::OkStatus();
}

absl::Status check_exists(ports::Disk& disk, const DataPaths& paths) {
  const absl::StatusOr<bool> log = wal::Wal::exists(disk, log_directory(paths));
  if (!log.ok()) return log.status();
  if (*log) return absl::OkStatus();
  const absl::StatusOr<bool> etcds =
      disk.exists(storage::snapshot_directory(paths.data_dir) + "/db");
  if (etcds.ok() && *etcds) {
    return absl::NotFoundError(absl::StrCat(paths.data_dir,
                                            " holds an etcd's data: use etcdutl, or name its file ",
                                            storage::snapshot_directory(paths.data_dir), "/db"));
  }
  return absl::NotFoundError(
      absl::StrCat("there is no member in ", paths.data_dir, ": no log in ", log_directory(paths)));
}

}  // namespace

std::string log_directory(const DataPaths& paths) {
  return paths.wal_dir.empty() ? storage::wal_directory(paths.data_dir) : paths.wal_dir;
}

absl::StatusOr<std::optional<crypto::DirectoryKey>> find_key(ports::Disk& disk,
                                                             const DataPaths& paths) {
  std::vector<crypto::Key256> keys;
  if (!paths.key_file.empty()) {
    absl::StatusOr<crypto::KeyFile> file = crypto::read_key_file(paths.key_file);
    if (!file.ok()) return file.status();
    keys = std::move(file->keys);
  }
  const node::DataDirectories where{paths.data_dir, log_directory(paths)};
  const absl::StatusOr<node::SealedParts> parts = node::look_at_seals(disk, where);
  if (!parts.ok()) return parts.status();
  // A plain directory stays plain, whatever keys there are.
  if (!parts->record && parts->log.key_ids.empty() && !parts->store.sealed) return std::nullopt;
  const absl::StatusOr<std::optional<node::DirectoryKey>> found =
      node::decide_key(*parts, keys, where);
  if (!found.ok()) return found.status();
  return *found ? std::optional<crypto::DirectoryKey>((*found)->key) : std::nullopt;
}

std::optional<crypto::SealingKey> key_of(const std::optional<crypto::DirectoryKey>& key,
                                         BytesView room) {
  if (!key) return std::nullopt;
  return crypto::sealing_key(key->data_key, Bytes("holdfast ").append(room));
}

absl::StatusOr<StoppedMember> read_stopped_member(ports::Disk& disk, const DataPaths& paths) {
  if (absl::Status status = check_exists(disk, paths); !status.ok()) return status;
  const absl::StatusOr<std::optional<crypto::DirectoryKey>> key = find_key(disk, paths);
  if (!key.ok()) return key.status();
  const bool seal_plain = *key && !(*key)->all_sealed;
  StoppedMember member;
  absl::StatusOr<std::unique_ptr<storage::LmdbBackend>> backend =
      storage::LmdbBackend::open({.directory = storage::store_directory(paths.data_dir),
                                  .read_only = true,
                                  .key = key_of(*key, "store"),
                                  .seal_plain = seal_plain});
  if (!backend.ok()) return backend.status();
  member.backend = *std::move(backend);
  absl::StatusOr<std::unique_ptr<statemachine::StateMachine>> machine =
      statemachine::StateMachine::open(*member.backend, {});
  if (!machine.ok()) return machine.status();
  member.machine = *std::move(machine);
  member.stored_index = member.machine->applied_index();

  absl::StatusOr<wal::RecoveredLog> log = wal::read_log(
      disk, log_directory(paths),
      {.entries_after = member.stored_index, .key = key_of(*key, "wal"), .seal_plain = seal_plain});
  if (!log.ok()) return log.status();
  member.log = *std::move(log);
  const wal::Recovered& recovered = member.log.recovered;
  member.install_is_unfinished = recovered.snapshot.index > member.stored_index;
  if (member.install_is_unfinished) return member;
  if (absl::Status status =
          node::check_log_fits(recovered, member.stored_index, log_directory(paths));
      !status.ok()) {
    return status;
  }
  if (absl::Status status = apply_committed(recovered, *member.machine); !status.ok()) {
    return status;
  }
  return member;
}

}  // namespace holdfast::offline
