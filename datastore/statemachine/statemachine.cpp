// Opening, and the way every entry goes: gate, authorize, run, header. What each command does is in
// apply_kv.cpp, apply_lease.cpp, apply_auth.cpp and apply_cluster.cpp.

#include "datastore/statemachine/statemachine.h"

#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "datastore/base/check.h"
#include "datastore/base/errors.h"
#include "datastore/lease/lease_record.h"
#include "datastore/statemachine/meta_keys.h"
#include "datastore/statemachine/request_cost.h"

namespace holdfast::statemachine {
namespace {

absl::Status unreadable(BytesView bucket, BytesView key) {
  return absl::DataLossError(absl::StrCat("statemachine: entry '", std::string(key),
                                          "' of bucket '", std::string(bucket),
                                          "' is damaged; restore this member from a snapshot"));
}

/// Calls `visit` for each entry of a bucket until it fails.
template <class Visit>
absl::Status for_each(ports::BackendRead& read, ports::Bucket bucket, Visit visit) {
  const auto cursor = read.cursor(bucket);
  for (cursor->seek({}); cursor->valid(); cursor->next()) {
    if (!visit(cursor->key(), cursor->value())) {
      return unreadable(ports::kBucketNames[static_cast<std::size_t>(bucket)], cursor->key());
    }
  }
  return cursor->status();
}

/// The value of `key`, or nothing.
absl::StatusOr<std::optional<Bytes>> find(ports::BackendRead& read, ports::Bucket bucket,
                                          BytesView key) {
  const auto value = read.get(bucket, key);
  if (value.ok()) return std::optional<Bytes>(*value);
  if (absl::IsNotFound(value.status())) return std::optional<Bytes>();
  return value.status();
}

}  // namespace

StateMachine::StateMachine(ports::KvBackend& backend, const StateMachineOptions& options)
    : options_(options),
      backend_(backend),
      lessor_(options.lessor),
      cluster_(std::make_shared<ClusterState>()) {
}

absl::StatusOr<std::unique_ptr<StateMachine>> StateMachine::open(
    ports::KvBackend& backend, const StateMachineOptions& options) {
  std::unique_ptr<StateMachine> machine(new StateMachine(backend, options));
  auto read = backend.begin_read();
  if (!read.ok()) return read.status();
  if (absl::Status status = machine->load(**read, [] {}); !status.ok()) return status;
  return machine;
}

absl::Status StateMachine::reload(absl::FunctionRef<void()> before_publishing) {
  HOLDFAST_CHECK(events_.empty());
  HOLDFAST_CHECK(applied_index_ == store_->applied_index());
  auto read = backend_.begin_read();
  if (!read.ok()) return read.status();
  return load(**read, before_publishing);
}

absl::Status StateMachine::load(ports::BackendRead& read,
                                absl::FunctionRef<void()> before_publishing) {
  auto cluster = std::make_shared<ClusterState>();
  if (absl::Status status = load_members(read, *cluster); !status.ok()) return status;
  if (absl::Status status = load_cluster(read, *cluster); !status.ok()) return status;
  cluster_ = std::move(cluster);
  no_space_ = cluster_->has_alarm(AlarmType::kNoSpace);
  corrupt_ = cluster_->has_alarm(AlarmType::kCorrupt);
  persist_checkpoints_ = persists_checkpoints(cluster_->version);
  // Leases before keys: a key is attached only to a lease that exists.
  lessor_.clear();
  if (absl::Status status = load_leases(read); !status.ok()) return status;
  const absl::StatusOr<auth::Writes> first_start = load_auth(read);
  if (!first_start.ok()) return first_start.status();
  before_publishing();
  if (absl::Status status = load_store(); !status.ok()) return status;
  applied_index_ = store_->applied_index();
  applied_term_ = store_->applied_term();
  if (first_start->empty()) return absl::OkStatus();
  persist(*first_start);
  store_->set_applied(applied_index_, applied_term_);
  store_->publish();
  return absl::OkStatus();
}

absl::Status StateMachine::load_store() {
  const mvcc::OpenOptions options{.on_lease = [this](BytesView key, LeaseId id) {
    if (lessor_.exists(id)) lessor_.attach(key, id);
  }};
  if (store_ != nullptr) return store_->reload(options);
  auto store = mvcc::Store::open(backend_, options);
  if (!store.ok()) return store.status();
  store_ = *std::move(store);
  return absl::OkStatus();
}

absl::StatusOr<auth::Writes> StateMachine::load_auth(ports::BackendRead& read) {
  auth::AuthStore::Loader loader;
  const auto add_user = [&](BytesView, BytesView value) {
    auto user = auth::decode_user(value);
    if (user.ok()) loader.add(*std::move(user));
    return user.ok();
  };
  const auto add_role = [&](BytesView, BytesView value) {
    auto role = auth::decode_role(value);
    if (role.ok()) loader.add(*std::move(role));
    return role.ok();
  };
  absl::Status status = for_each(read, ports::Bucket::kAuthUsers, add_user);
  if (status.ok()) status = for_each(read, ports::Bucket::kAuthRoles, add_role);
  if (!status.ok()) return status;
  const auto enabled = find(read, ports::Bucket::kAuth, auth::kEnabledKey);
  if (!enabled.ok()) return enabled.status();
  if (enabled->has_value()) loader.set_enabled(**enabled);
  const auto revision = find(read, ports::Bucket::kAuth, auth::kRevisionKey);
  if (!revision.ok()) return revision.status();
  if (revision->has_value() && !loader.set_revision(**revision)) {
    return unreadable("auth", auth::kRevisionKey);
  }
  return auth_.load(std::move(loader));
}

absl::Status StateMachine::load_leases(ports::BackendRead& read) {
  return for_each(read, ports::Bucket::kLease, [this](BytesView, BytesView value) {
    const auto record = lease::decode_lease(value);
    if (record.ok() && !lessor_.exists(record->id)) lessor_.load(*record);
    return record.ok();
  });
}

absl::Status StateMachine::load_members(ports::BackendRead& read, ClusterState& cluster) {
  const auto add_member = [&](BytesView key, BytesView value) {
    const auto id = parse_member_key(key);
    auto member = parse_member_json(value);
    if (!id || !member.ok()) return false;
    cluster.members[*id] = *std::move(member);
    return true;
  };
  const auto add_removed = [&](BytesView key, BytesView) {
    const auto id = parse_member_key(key);
    if (id) cluster.removed.insert(*id);
    return id.has_value();
  };
  absl::Status status = for_each(read, ports::Bucket::kMembers, add_member);
  if (status.ok()) status = for_each(read, ports::Bucket::kMembersRemoved, add_removed);
  return status;
}

absl::Status StateMachine::load_cluster(ports::BackendRead& read, ClusterState& cluster) {
  const auto add_alarm = [&](BytesView key, BytesView) {
    const auto alarm = parse_alarm_key(key);
    if (alarm) cluster.alarms.insert(*alarm);
    return alarm.has_value();
  };
  if (absl::Status status = for_each(read, ports::Bucket::kAlarm, add_alarm); !status.ok()) {
    return status;
  }
  auto version = find(read, ports::Bucket::kCluster, kClusterVersionKey);
  if (!version.ok()) return version.status();
  if (version->has_value()) {
    if (absl::Status status = check_version(**version); !status.ok()) return status;
    cluster.version = *std::move(*version);
  }
  const auto downgrade = find(read, ports::Bucket::kCluster, kDowngradeKey);
  if (!downgrade.ok()) return downgrade.status();
  if (downgrade->has_value()) {
    auto parsed = parse_downgrade_json(**downgrade);
    if (!parsed.ok()) return unreadable("cluster", kDowngradeKey);
    cluster.downgrade = *std::move(parsed);
  }
  return absl::OkStatus();
}

absl::Status StateMachine::check_version(BytesView version) const {
  const auto parsed = parse_release_version(version);
  if (!parsed) {
    return absl::InvalidArgumentError(absl::StrCat(
        "statemachine: cluster version '", std::string(version), "' is not of the form M.m.p"));
  }
  if (*parsed > options_.newest_version) {
    return absl::FailedPreconditionError(absl::StrCat(
        "statemachine: the cluster's version is ", std::string(version), ", this release knows ",
        options_.newest_version.major, ".", options_.newest_version.minor,
        " at most; start a newer release on this data directory, and go down from there by "
        "etcdctl downgrade enable"));
  }
  return absl::OkStatus();
}

void StateMachine::advance(Index index, Term term) {
  HOLDFAST_CHECK(index > applied_index_);
  applied_index_ = index;
  applied_term_ = term;
}

absl::Status StateMachine::gate(const CommandBody& body) const {
  if (corrupt_) {
    const bool reads_or_writes_keys = std::holds_alternative<RangeRequest>(body) ||
                                      std::holds_alternative<PutRequest>(body) ||
                                      std::holds_alternative<DeleteRangeRequest>(body) ||
                                      std::holds_alternative<TxnRequest>(body) ||
                                      std::holds_alternative<CompactionRequest>(body) ||
                                      std::holds_alternative<LeaseGrantRequest>(body) ||
                                      std::holds_alternative<LeaseRevokeRequest>(body);
    if (reads_or_writes_keys) return errors::corrupt();
  }
  if (no_space_) {
    const auto* txn = std::get_if<TxnRequest>(&body);
    const bool takes_space = std::holds_alternative<PutRequest>(body) ||
                             std::holds_alternative<LeaseGrantRequest>(body) ||
                             (txn != nullptr && txn_cost(*txn) > 0);
    if (takes_space) return errors::no_space();
  }
  return absl::OkStatus();
}

absl::StatusOr<Outcome> StateMachine::apply(Index index, Term term, const Command& command,
                                            std::size_t max_answer_bytes) {
  advance(index, term);
  answer_room_bytes_ = max_answer_bytes;
  reads_pairs_ = max_answer_bytes != 0;
  answer_cut_ = false;
  Outcome outcome;
  if (no_space_ || corrupt_) outcome.status = gate(command.body);
  if (auth_.current().enabled() && outcome.status.ok()) outcome.status = authorize(command);
  if (outcome.status.ok()) {
    absl::Status status =
        std::visit([&](const auto& request) { return run(request, outcome); }, command.body);
    if (!status.ok()) return status;
  }
  outcome.revision = store_->revision();
  outcome.answer_cut = answer_cut_;
  return outcome;
}

void StateMachine::apply_nothing(Index index, Term term) {
  advance(index, term);
}

std::shared_ptr<const watch::EventBatch> StateMachine::end_batch() {
  store_->set_applied(applied_index_, applied_term_);
  store_->publish();
  return events_.empty() ? nullptr : events_.build();
}

absl::Status StateMachine::run(const UnsupportedRequest& request, Outcome&) {
  // Tests of etcd's own put it into logs; etcd ignores it too.
  constexpr std::uint32_t kDowngradeVersionTest = 9900;
  if (request.field == kDowngradeVersionTest) return absl::OkStatus();
  return absl::UnimplementedError(
      absl::StrCat("statemachine: the log's entry ", applied_index_.value,
                   " holds a command (field ", request.field,
                   " of InternalRaftRequest) that this release cannot apply; start a newer release"
                   " on this data directory"));
}

absl::Status StateMachine::run(std::monostate, Outcome&) {
  return absl::InvalidArgumentError(
      absl::StrCat("statemachine: the log's entry ", applied_index_.value, " holds no command"));
}

}  // namespace holdfast::statemachine
