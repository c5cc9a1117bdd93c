#include "datastore/node/bootstrap.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "datastore/base/check.h"
#include "datastore/codec/raft_messages.h"
#include "datastore/node/identity.h"
#include "datastore/node/install.h"

namespace holdfast::node {

namespace {

raft::ConfState conf_of(const statemachine::ClusterState& cluster) {
  raft::ConfState conf;
  for (const auto& [id, member] : cluster.members) {
    (member.is_learner ? conf.learners : conf.voters).push_back(id);
  }
  return conf;
}

std::unique_ptr<raft::Raft> make_raft(const BootstrapOptions& options, ports::Random& random,
                                      MemberId self, raft::InitialState initial) {
  raft::Options raft = options.raft;
  raft.id = self;
  raft.seed = random.next();
  return std::make_unique<raft::Raft>(raft, std::move(initial));
}

absl::StatusOr<std::unique_ptr<wal::Wal>> create_log(ports::Disk& disk, ports::Random& random,
                                                     const BootstrapOptions& options,
                                                     const wal::Identity& identity,
                                                     const wal::Beginning& begin) {
  std::uint64_t marker = 0;
  while (marker == 0) marker = random.next();
  return wal::Wal::create(disk, options.wal_directory, identity, marker, begin, options.wal);
}

absl::StatusOr<Bootstrapped> begin_cluster(ports::Disk& disk, ports::Random& random,
                                           const BootstrapOptions& options, Bootstrapped member) {
  absl::StatusOr<FirstEntries> first = first_entries(options);
  if (!first.ok()) return first.status();
  const raft::HardState hard_state{Term(1), MemberId(), Index(first->entries.size())};
  absl::StatusOr<std::unique_ptr<wal::Wal>> log =
      create_log(disk, random, options, {first->cluster, first->self},
                 {.hard_state = hard_state, .entries = first->entries});
  if (!log.ok()) return log.status();

  member.is_new = true;
  member.self = first->self;
  member.cluster = first->cluster;
  member.wal = *std::move(log);
  member.raft = make_raft(options, random, first->self,
                          {.hard_state = hard_state, .entries = std::move(first->entries)});
  return member;
}

/// Everything that it is to know comes from the leader.
absl::StatusOr<Bootstrapped> join_cluster(ports::Disk& disk, ports::Random& random,
                                          const BootstrapOptions& options, Bootstrapped member) {
  const JoinedCluster& join = *options.join;
  absl::StatusOr<std::unique_ptr<wal::Wal>> log =
      create_log(disk, random, options, {join.cluster, join.self}, {});
  if (!log.ok()) return log.status();
  member.is_new = true;
  member.self = join.self;
  member.cluster = join.cluster;
  member.join_members = join.members;
  member.wal = *std::move(log);
  member.raft = make_raft(options, random, join.self, {});
  return member;
}

absl::StatusOr<Bootstrapped> begin(ports::Disk& disk, ports::Random& random,
                                   const BootstrapOptions& options, Bootstrapped member) {
  if (member.machine->applied_index()) {
    return absl::DataLossError(absl::StrCat(
        "there is no log in ", options.wal_directory,
        ", but the state beside it has applied entry ", member.machine->applied_index().value,
        ". Nothing was changed. Put the log back, or restore from a snapshot into an empty "
        "directory."));
  }
  return options.join ? join_cluster(disk, random, options, std::move(member))
                      : begin_cluster(disk, random, options, std::move(member));
}

/// Writes what plan_forced_cluster() decides, and leaves `recovered` as that makes the log.
absl::StatusOr<ForcedCluster> force_cluster(wal::Wal& log, wal::Recovered& recovered,
                                            const statemachine::StateMachine& machine,
                                            std::size_t max_learners) {
  absl::StatusOr<ForcedCluster> forced = plan_forced_cluster({.self = recovered.identity.member,
                                                              .cluster = *machine.cluster(),
                                                              .applied = machine.applied_index(),
                                                              .hard_state = recovered.hard_state,
                                                              .entries = recovered.entries,
                                                              .max_learners = max_learners});
  if (!forced.ok()) return forced.status();
  wal::Batch batch;
  batch.hard_state = forced->hard_state;
  batch.entries = forced->appended;
  if (const absl::Status status = log.append(batch); !status.ok()) return status;
  recovered.hard_state = forced->hard_state;
  recovered.entries.resize(recovered.entries.size() - forced->dropped_entries);
  recovered.entries.insert(recovered.entries.end(), forced->appended.begin(),
                           forced->appended.end());
  return forced;
}

absl::StatusOr<Bootstrapped> resume(ports::Disk& disk, ports::KvBackend& backend,
                                    ports::Random& random, const BootstrapOptions& options,
                                    Bootstrapped member) {
  wal::Options wal_options = options.wal;
  wal_options.entries_after = member.machine->applied_index();
  absl::StatusOr<wal::Wal::Opened> log = wal::Wal::open(disk, options.wal_directory, wal_options);
  if (!log.ok()) return log.status();
  wal::Recovered& recovered = log->recovered;
  ports::Disk& snapshots = options.snapshot_disk != nullptr ? *options.snapshot_disk : disk;
  const absl::StatusOr<bool> finished = finish_install(
      snapshots, options.snapshot_directory, recovered.snapshot, backend, *member.machine);
  if (!finished.ok()) return finished.status();
  member.finished_install = *finished;
  if (absl::Status status =
          check_log_fits(recovered, member.machine->applied_index(), options.wal_directory);
      !status.ok()) {
    return status;
  }
  if (options.force_new_cluster) {
    absl::StatusOr<ForcedCluster> forced =
        force_cluster(*log->wal, recovered, *member.machine, options.machine.max_learners);
    if (!forced.ok()) return forced.status();
    member.forced = *std::move(forced);
  }
  raft::InitialState initial;
  initial.hard_state = recovered.hard_state;
  initial.conf = conf_of(*member.machine->cluster());
  initial.snapshot_index = member.machine->applied_index();
  initial.snapshot_term = member.machine->applied_term();
  initial.entries = std::move(recovered.entries);

  member.self = recovered.identity.member;
  member.cluster = recovered.identity.cluster;
  member.torn_tail = std::move(recovered.torn_tail);
  member.wal = std::move(log->wal);
  member.raft = make_raft(options, random, member.self, std::move(initial));
  return member;
}

}  // namespace

absl::Status check_log_fits(const wal::Recovered& log, Index applied,
                            const std::string& directory) {
  if (log.last_index < applied) {
    return absl::DataLossError(absl::StrCat(
        "the log in ", directory, " ends at entry ", log.last_index.value,
        ", but the state has applied entry ", applied.value,
        ". The log has lost synced records (a disk that lies about syncs, --unsafe-no-fsync and a "
        "power loss, or files put back by hand). Nothing was changed. Restore from a snapshot, or "
        "remove this member from its cluster and add it anew."));
  }
  if (!log.entries.empty() && log.entries.front().index > applied.next()) {
    return absl::DataLossError(absl::StrCat(
        "the log in ", directory, " begins at entry ", log.entries.front().index.value,
        ", but the state has applied only entry ", applied.value,
        ". Log and state are not of the same moment. Nothing was changed. Put both back from one "
        "copy, or restore from a snapshot."));
  }
  return absl::OkStatus();
}

absl::StatusOr<FirstEntries> first_entries(const BootstrapOptions& options) {
  FirstEntries first;
  for (const InitialMember& member : options.initial_cluster) {
    const MemberId id = static_member_id(member.peer_urls, options.initial_cluster_token);
    std::vector<std::string> urls = member.peer_urls;
    std::sort(urls.begin(), urls.end());
    first.members.push_back({.id = id, .peer_urls = std::move(urls), .name = member.name});
    if (member.name == options.name) first.self = id;
  }
  if (!first.self) {
    return absl::InvalidArgumentError(
        absl::StrCat("couldn't find local name \"", options.name,
                     "\" in the initial cluster configuration; add it to --initial-cluster"));
  }
  std::sort(first.members.begin(), first.members.end(),
            [](const auto& a, const auto& b) { return a.id < b.id; });
  std::vector<MemberId> ids;
  for (const statemachine::Member& member : first.members) {
    if (!ids.empty() && ids.back() == member.id) {
      return absl::InvalidArgumentError(
          absl::StrCat("two members of the initial cluster have the same peer URLs (",
                       absl::StrJoin(member.peer_urls, ","), "); give each its own"));
    }
    ids.push_back(member.id);
    raft::ConfChange change;
    change.type = raft::ConfChangeType::kAddVoter;
    change.node = member.id;
    change.context = statemachine::member_json(member);
    first.entries.push_back(raft::Entry{Term(1), Index(ids.size()), raft::EntryType::kConfChange,
                                        codec::encode(change)});
  }
  first.cluster = cluster_id(ids);
  return first;
}

absl::StatusOr<Bootstrapped> bootstrap(ports::Disk& disk, ports::KvBackend& backend,
                                       ports::Random& random, const BootstrapOptions& options) {
  absl::StatusOr<bool> has_log = wal::Wal::exists(disk, options.wal_directory);
  if (!has_log.ok()) return has_log.status();
  absl::StatusOr<std::unique_ptr<statemachine::StateMachine>> machine =
      statemachine::StateMachine::open(backend, options.machine);
  if (!machine.ok()) return machine.status();
  Bootstrapped member;
  member.machine = *std::move(machine);
  absl::StatusOr<Bootstrapped> ready =
      *has_log ? resume(disk, backend, random, options, std::move(member))
               : begin(disk, random, options, std::move(member));
  if (!ready.ok()) return ready;
  absl::StatusOr<std::vector<std::string>> removed =
      remove_received_snapshots(disk, options.snapshot_directory);
  if (!removed.ok()) return removed.status();
  ready->removed_snapshots = *std::move(removed);
  return ready;
}

}  // namespace holdfast::node
