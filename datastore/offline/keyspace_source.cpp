#include "datastore/offline/keyspace_source.h"

#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"

namespace holdfast::offline {

absl::StatusOr<KeyspaceSource> KeyspaceSource::open(ports::Disk& disk, const DataPaths& named) {
  const std::string& path = named.data_dir;
  KeyspaceSource source;
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    absl::StatusOr<StoppedMember> member = read_stopped_member(disk, named);
    if (!member.ok()) return member.status();
    if (member->install_is_unfinished) {
      return absl::FailedPreconditionError(
          absl::StrCat(path,
                       " has a state of its leader that is not taken over yet: start the "
                       "member once, then stop it"));
    }
    source.member_ = *std::move(member);
    return source;
  }
  absl::StatusOr<std::unique_ptr<storage::BboltReader>> file =
      storage::BboltReader::open(path, {.verify_digest = true});
  if (!file.ok()) return file.status();
  source.file_ = std::make_unique<storage::BboltBackend>(*std::move(file));
  absl::StatusOr<std::unique_ptr<mvcc::Store>> store = mvcc::Store::open(*source.file_);
  if (!store.ok()) return store.status();
  source.store_ = *std::move(store);
  return source;
}

}  // namespace holdfast::offline
