#include "datastore/node/install.h"

#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "datastore/storage/bbolt_reader.h"
#include "datastore/storage/layout.h"
#include "datastore/storage/snapshot_import.h"

namespace holdfast::node {

namespace {

absl::Status cannot_be_installed(const std::string& file, const absl::Status& why) {
  return absl::DataLossError(absl::StrCat(
      "the log says that this member has the state its leader sent, but ", file,
      " can't be installed: ", why.message(),
      ". Remove this member from its cluster and the data directory, and add it anew."));
}

/// Where files can't be mapped, because they are sealed.
absl::Status install_by_pages(ports::Disk& disk, const std::string& file,
                              const raft::SnapshotMetadata& snapshot, ports::KvBackend& backend) {
  const absl::StatusOr<std::unique_ptr<ports::File>> opened =
      disk.open(file, ports::Disk::Open::kRead);
  if (!opened.ok()) return opened.status();
  const absl::StatusOr<std::unique_ptr<storage::BboltReader>> database =
      storage::BboltReader::from_file(**opened, file, {});
  if (!database.ok()) return database.status();
  return storage::install_snapshot(**database, backend, snapshot.index, snapshot.term).status();
}

absl::Status install(ports::Disk& disk, const std::string& file,
                     const raft::SnapshotMetadata& snapshot, ports::KvBackend& backend) {
  const absl::StatusOr<std::unique_ptr<ports::FileContent>> content = disk.map(file);
  if (absl::IsUnimplemented(content.status())) {
    return install_by_pages(disk, file, snapshot, backend);
  }
  if (!content.ok()) return content.status();
  const absl::StatusOr<std::unique_ptr<storage::BboltReader>> database =
      storage::BboltReader::from_bytes((*content)->bytes(), file, {});
  if (!database.ok()) return database.status();
  return storage::install_snapshot(**database, backend, snapshot.index, snapshot.term).status();
}

}  // namespace

absl::Status install_snapshot(ports::Disk& disk, const std::string& file,
                              const raft::SnapshotMetadata& snapshot, ports::KvBackend& backend) {
  absl::Status status = install(disk, file, snapshot, backend);
  const bool is_of_the_file = absl::IsNotFound(status) || absl::IsDataLoss(status);
  return is_of_the_file ? cannot_be_installed(file, status) : status;
}

absl::StatusOr<bool> finish_install(ports::Disk& disk, const std::string& directory,
                                    const raft::SnapshotMetadata& snapshot,
                                    ports::KvBackend& backend,
                                    statemachine::StateMachine& machine) {
  if (snapshot.index <= machine.applied_index()) return false;
  const std::string file =
      absl::StrCat(directory, "/", storage::snapshot_file_name(snapshot.index));
  if (absl::Status s = install_snapshot(disk, file, snapshot, backend); !s.ok()) return s;
  if (absl::Status s = machine.reload(); !s.ok()) return s;
  return true;
}

absl::StatusOr<std::vector<std::string>> remove_received_snapshots(ports::Disk& disk,
                                                                   const std::string& directory) {
  absl::StatusOr<std::vector<std::string>> names = disk.list(directory);
  if (absl::IsNotFound(names.status())) return std::vector<std::string>();
  if (!names.ok()) return names.status();
  std::erase_if(*names, [](const std::string& name) {
    return !absl::StrContains(name, storage::kSnapshotSuffix);
  });
  for (const std::string& name : *names) {
    if (absl::Status s = disk.remove(absl::StrCat(directory, "/", name)); !s.ok()) return s;
  }
  return names;
}

}  // namespace holdfast::node
