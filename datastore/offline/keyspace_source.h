#pragma once

#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "datastore/mvcc/store.h"
#include "datastore/offline/stopped_member.h"
#include "datastore/ports/disk.h"
#include "datastore/storage/bbolt_backend.h"

namespace holdfast::offline {

/// Keys and values of what the user names: a stopped member's data directory, or, in its place, a
/// file (a snapshot, or an etcd's database).
class KeyspaceSource {
 public:
  /// Errors: NotFound; those of read_stopped_member(), BboltReader and mvcc::Store::open().
  static absl::StatusOr<KeyspaceSource> open(ports::Disk& disk, const DataPaths& named);

  const mvcc::Store& store() const { return member_ ? member_->machine->store() : *store_; }

 private:
  KeyspaceSource() = default;

  std::optional<StoppedMember> member_;
  std::unique_ptr<storage::BboltBackend> file_;
  std::unique_ptr<mvcc::Store> store_;  // over file_
};

}  // namespace holdfast::offline
