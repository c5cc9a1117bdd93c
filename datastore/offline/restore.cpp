#include "datastore/offline/restore.h"

#include <memory>
#include <utility>

#include "datastore/node/bootstrap.h"
#include "datastore/node/identity.h"
#include "datastore/offline/new_data_directory.h"
#include "datastore/raft/types.h"
#include "datastore/statemachine/cluster_state.h"
#include "datastore/storage/bbolt_reader.h"
#include "datastore/storage/layout.h"
#include "datastore/storage/lmdb_backend.h"
#include "datastore/storage/snapshot_import.h"
#include "datastore/wal/wal.h"

namespace holdfast::offline {

namespace {

/// The log of a cluster that begins after entries 1..n, which added its n members in term 1: what
/// etcdutl writes too. Source: etcd-facts 5.4.
absl::Status make_log(ports::Disk& disk, ports::Random& random, const std::string& directory,
                      const node::FirstEntries& first, const raft::ConfState& conf) {
  const Index last = first.entries.back().index;
  std::uint64_t marker = 0;
  while (marker == 0) marker = random.next();
  return wal::Wal::create(
             disk, directory, {first.cluster, first.self}, marker,
             {.snapshot = {conf, last, Term(1)}, .hard_state = {Term(1), MemberId(), last}})
      .status();
}

absl::StatusOr<storage::ImportResult> make_store(const RestoreRequest& request,
                                                 const std::string& directory,
                                                 const node::FirstEntries& first) {
  const absl::StatusOr<std::unique_ptr<storage::BboltReader>> snapshot = storage::BboltReader::open(
      request.snapshot_file, {.verify_digest = !request.skip_hash_check});
  if (!snapshot.ok()) return snapshot.status();
  if (!(*snapshot)->has_digest() && !request.skip_hash_check) {
    return absl::FailedPreconditionError(
        "snapshot missing hash but --skip-hash-check=false; a db file copied from a data directory "
        "has none, then give --skip-hash-check");
  }
  absl::StatusOr<std::unique_ptr<storage::LmdbBackend>> backend =
      storage::LmdbBackend::open({.directory = directory});
  if (!backend.ok()) return backend.status();
  storage::RestoreOptions options;
  options.bump_revision = request.bump_revision;
  options.mark_compacted = request.mark_compacted;
  options.membership.emplace();
  statemachine::ClusterState cluster;
  for (const statemachine::Member& member : first.members) {
    cluster.members[member.id] = member;
    options.membership->members.emplace_back(statemachine::member_key(member.id),
                                             statemachine::member_json(member));
  }
  options.conf_state = statemachine::conf_state_json(cluster);
  options.consistent_index = first.entries.back().index;
  options.term = Term(1);
  return storage::import_snapshot(**snapshot, **backend, options);
}

}  // namespace

absl::Status restore_snapshot(ports::Disk& disk, ports::Random& random,
                              const RestoreRequest& request, telemetry::Logger& log) {
  node::BootstrapOptions bootstrap;
  bootstrap.name = request.name;
  for (const config::ClusterMember& member : request.initial_cluster) {
    bootstrap.initial_cluster.push_back({member.name, member.peer_urls});
  }
  bootstrap.initial_cluster_token = request.initial_cluster_token;
  const absl::StatusOr<node::FirstEntries> first = node::first_entries(bootstrap);
  if (!first.ok()) return first.status();
  absl::StatusOr<NewDataDirectory> made =
      NewDataDirectory::begin(disk, request.data_dir, request.wal_dir);
  if (absl::IsAlreadyExists(made.status()) && request.unless_exists) {
    log.info("the data directory is there; nothing is restored", {{"data-dir", request.data_dir}});
    return absl::OkStatus();
  }
  if (!made.ok()) return made.status();
  log.info("restoring snapshot", {{"path", request.snapshot_file},
                                  {"data-dir", request.data_dir},
                                  {"member-id", node::to_hex(first->self.value)},
                                  {"cluster-id", node::to_hex(first->cluster.value)}});
  const absl::StatusOr<storage::ImportResult> imported =
      make_store(request, storage::store_directory(made->path()), *first);
  if (!imported.ok()) return imported.status();
  raft::ConfState conf;
  for (const statemachine::Member& member : first->members) conf.voters.push_back(member.id);
  if (absl::Status status = make_log(disk, random, made->wal_directory(), *first, conf);
      !status.ok()) {
    return status;
  }
  if (absl::Status status = made->finish(); !status.ok()) return status;
  log.info("restored snapshot", {{"path", request.snapshot_file},
                                 {"data-dir", request.data_dir},
                                 {"entries", imported->entries},
                                 {"revision", imported->latest.value}});
  return absl::OkStatus();
}

}  // namespace holdfast::offline
