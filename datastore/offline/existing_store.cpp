#include "datastore/offline/existing_store.h"

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "datastore/storage/layout.h"

namespace holdfast::offline {

absl::StatusOr<ExistingStore> ExistingStore::open(ports::Disk& disk, const DataPaths& paths) {
  const std::string& data_dir = paths.data_dir;
  const std::string directory = storage::store_directory(data_dir);
  std::error_code error;
  if (!std::filesystem::exists(directory, error)) {
    return absl::NotFoundError(
        absl::StrCat("there is no member in ", data_dir, ": no ", directory));
  }
  absl::StatusOr<platform::DataDirectory> claim = platform::DataDirectory::lock(data_dir);
  if (!claim.ok()) return claim.status();
  const absl::StatusOr<std::optional<crypto::DirectoryKey>> key = find_key(disk, paths);
  if (!key.ok()) return key.status();
  absl::StatusOr<std::unique_ptr<storage::LmdbBackend>> store =
      storage::LmdbBackend::open({.directory = directory,
                                  .key = key_of(*key, "store"),
                                  .seal_plain = *key && !(*key)->all_sealed,
                                  .reserve_bytes = 0});
  if (!store.ok()) return store.status();
  return ExistingStore(*std::move(claim), *std::move(store));
}

}  // namespace holdfast::offline
