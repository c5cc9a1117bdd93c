#pragma once

#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "datastore/offline/stopped_member.h"
#include "datastore/platform/data_directory.h"
#include "datastore/storage/lmdb_backend.h"

namespace holdfast::offline {

/// The store of a member that does not run, to be changed; the data directory is claimed meanwhile,
/// so that no member starts on it.
class ExistingStore {
 public:
  /// Errors: NotFound if there is no store; FailedPrecondition while a member runs on it; those of
  /// DataDirectory, find_key() and LmdbBackend.
  static absl::StatusOr<ExistingStore> open(ports::Disk& disk, const DataPaths& paths);

  storage::LmdbBackend& store() { return *store_; }

 private:
  ExistingStore(platform::DataDirectory claim, std::unique_ptr<storage::LmdbBackend> store)
      : claim_(std::move(claim)), store_(std::move(store)) {}

  platform::DataDirectory claim_;
  std::unique_ptr<storage::LmdbBackend> store_;
};

}  // namespace holdfast::offline
