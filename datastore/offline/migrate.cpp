#include "datastore/offline/migrate.h"

#include <optional>

#include "absl/strings/str_cat.h"
#include "datastore/offline/existing_store.h"
#include "datastore/offline/stopped_member.h"
#include "datastore/statemachine/cluster_state.h"
#include "datastore/statemachine/meta_keys.h"
#include "datastore/statemachine/statemachine.h"

namespace holdfast::offline {
namespace {

using statemachine::ReleaseVersion;

/// Before it, no storage version is recorded.
constexpr ReleaseVersion kOldest{3, 5};
constexpr ReleaseVersion kFirstRecorded{3, 6};
const ReleaseVersion kNewest = statemachine::StateMachineOptions().newest_version;

std::string text(const ReleaseVersion& version) {
  return absl::StrCat(version.major, ".", version.minor);
}

absl::StatusOr<ReleaseVersion> parse_target(const std::string& target) {
  const std::optional<ReleaseVersion> version =
      statemachine::parse_release_version(absl::StrCat(target, ".0"));
  if (!version) {
    return absl::InvalidArgumentError(
        absl::StrCat("wrong target version format, expected \"X.Y\", got \"", target, "\""));
  }
  if (*version < kOldest || *version > kNewest) {
    return absl::InvalidArgumentError(absl::StrCat("target version \"", target,
                                                   "\" not supported: from ", text(kOldest), " to ",
                                                   text(kNewest)));
  }
  return *version;
}

absl::StatusOr<ReleaseVersion> stored_version(storage::LmdbBackend& store) {
  const auto read = store.begin_read();
  if (!read.ok()) return read.status();
  const absl::StatusOr<BytesView> stored =
      (*read)->get(ports::Bucket::kMeta, statemachine::kStorageVersionKey);
  if (absl::IsNotFound(stored.status())) return kOldest;
  if (!stored.ok()) return stored.status();
  const std::optional<ReleaseVersion> version = statemachine::parse_release_version(*stored);
  if (!version) {
    return absl::DataLossError(
        absl::StrCat("the storage version \"", std::string(*stored), "\" is none"));
  }
  return *version;
}

/// The version would come back with the next command that the cluster's version allows.
absl::Status check_cluster(ports::Disk& disk, const DataPaths& paths,
                           const ReleaseVersion& target) {
  const absl::StatusOr<StoppedMember> member = read_stopped_member(disk, paths);
  if (!member.ok()) return member.status();
  const std::optional<std::string>& stated = member->machine->cluster()->version;
  if (!stated) return absl::OkStatus();
  const std::optional<ReleaseVersion> cluster = statemachine::parse_release_version(*stated);
  if (!cluster || *cluster <= target) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("cannot downgrade storage: the cluster's version is ", text(*cluster),
                   ", above ", text(target),
                   ". Run etcdctl downgrade enable against the running cluster, or give --force."));
}

}  // namespace

absl::StatusOr<Migration> migrate(ports::Disk& disk, const DataPaths& paths,
                                  const std::string& target, bool force) {
  const absl::StatusOr<ReleaseVersion> wanted = parse_target(target);
  if (!wanted.ok()) return wanted.status();
  if (!force) {
    if (absl::Status status = check_cluster(disk, paths, *wanted); !status.ok()) return status;
  }
  absl::StatusOr<ExistingStore> existing = ExistingStore::open(disk, paths);
  if (!existing.ok()) return existing.status();
  const absl::StatusOr<ReleaseVersion> current = stored_version(existing->store());
  if (!current.ok()) return current.status();
  Migration migration{text(*current), text(*wanted)};
  if (*current == *wanted) return migration;
  ports::BackendWrite write{ports::Bucket::kMeta, statemachine::kStorageVersionKey, std::nullopt};
  const std::string version = absl::StrCat(migration.to, ".0");
  if (*wanted >= kFirstRecorded) write.value = version;
  if (absl::Status status = existing->store().commit(absl::MakeConstSpan(&write, 1)); !status.ok())
    return status;
  return migration;
}

}  // namespace holdfast::offline
