#include "datastore/cli/housekeeping.h"

#include <utility>
#include <vector>

#include "datastore/codec/internal_request.h"
#include "datastore/config/feature_gates.h"
#include "datastore/node/identity.h"
#include "datastore/platform/service_manager.h"

namespace holdfast::cli {

Housekeeping::Housekeeping(const config::Options& options,
                           const node::AutoCompaction::Options& compaction, const Parts& parts)
    : parts_(parts),
      auto_compaction_(compaction, parts.clock.monotonic()),
      corruption_monitor_(parts.member, parts.peers, corruption_checks(options),
                          parts.clock.monotonic()) {
}

void Housekeeping::tick() {
  tell_when_ready();
  update_gauges();
  compact_if_due();
  corruption_monitor_.tick(parts_.clock.monotonic());
}

void Housekeeping::tell_when_ready() {
  if (told_ready_ || !parts_.member.status().leader) return;
  told_ready_ = true;
  parts_.log.info("ready to serve client requests");
  const absl::StatusOr<bool> notified = platform::notify_service_manager("READY=1");
  if (!notified.ok()) {
    parts_.log.error("failed to notify systemd for readiness",
                     {telemetry::Field(notified.status())});
  } else if (*notified) {
    parts_.log.info("successfully notified init daemon");
  }
}

node::CorruptionMonitor::Options Housekeeping::corruption_checks(
    const config::Options& options) const {
  node::CorruptionMonitor::Options checks;
  checks.period = options.corrupt_check_time;
  if (config::feature_enabled(options, "CompactHashCheck")) {
    checks.compaction_period = options.compact_hash_check_time;
  }
  checks.on_corrupt = [&log = parts_.log](MemberId member, const node::HashResult& own) {
    log.error("found a member whose store differs from the others'; raising the alarm CORRUPT",
              {{"member-id", node::to_hex(member.value)},
               {"revision", own.hash_revision.value},
               {"compact-revision", own.compact_revision.value},
               {"hash", static_cast<std::uint64_t>(own.hash)}});
  };
  checks.on_failure = [&log = parts_.log](const absl::Status& why) {
    log.warn("failed to check the stores for corruption", {telemetry::Field(why)});
  };
  return checks;
}

void Housekeeping::update_gauges() {
  const node::NodeStatus status = parts_.member.status();
  parts_.metrics.server_has_leader.set(status.leader ? 1 : 0);
  parts_.metrics.server_is_leader.set(status.leader == parts_.member.cluster()->self ? 1 : 0);
  parts_.metrics.server_is_learner.set(status.is_learner ? 1 : 0);
  parts_.metrics.server_proposals_committed.set(static_cast<double>(status.committed.value));
  parts_.metrics.server_proposals_applied.set(static_cast<double>(status.applied.value));
  parts_.metrics.server_proposals_pending.set(static_cast<double>(status.proposals_pending));
  parts_.metrics.mvcc_current_revision.set(static_cast<double>(status.revision.value));
  parts_.metrics.mvcc_compact_revision.set(static_cast<double>(status.compact_revision.value));
  if (const auto view = parts_.member.views().get(); view != nullptr) {
    parts_.metrics.mvcc_keys.set(static_cast<double>(view->live_keys));
  }
  parts_.metrics.mvcc_db_open_read_transactions.set(
      static_cast<double>(parts_.backend.open_reads()));
  parts_.metrics.mvcc_db_total_size_bytes.set(static_cast<double>(status.sizes.allocated_bytes));
  parts_.metrics.mvcc_db_total_size_in_use_bytes.set(static_cast<double>(status.sizes.used_bytes));
  const std::string version = parts_.member.cluster()->cluster_version;
  if (!version.empty()) parts_.metrics.set_cluster_version(version.substr(0, version.rfind('.')));
}

void Housekeeping::compact_if_due() {
  if (compaction_failed_.exchange(false)) auto_compaction_.failed();
  const node::NodeStatus status = parts_.member.status();
  const std::optional<Revision> due = auto_compaction_.due(
      parts_.clock.monotonic(), status.revision, status.leader == parts_.member.cluster()->self);
  if (!due) return;
  parts_.log.info("starting auto compaction", {{"revision", due->value}});
  node::Proposal proposal;
  proposal.id = parts_.member.next_request_id();
  proposal.entry = codec::encode_internal(proposal.id, codec::CommandField::kCompaction,
                                          codec::encode_compaction({.revision = due->value}));
  proposal.done = [this](const node::Applied& applied) {
    const absl::Status& result = applied.outcome.status;
    if (result.ok() || absl::IsOutOfRange(result)) return;  // done, or done by somebody else
    parts_.log.warn("failed auto compaction", {telemetry::Field(result)});
    compaction_failed_.store(true);
  };
  std::vector<node::Proposal> proposals;
  proposals.push_back(std::move(proposal));
  parts_.member.propose(std::move(proposals), in_place_);
}

}  // namespace holdfast::cli
