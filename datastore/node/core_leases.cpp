// What core does for leases as leader: their clocks run here only, and only while this member
// leads.
#include <utility>

#include "datastore/base/errors.h"
#include "datastore/node/core.h"

namespace holdfast::node {

namespace {
/// Leases that expire together are revoked a few at a time, so that what clients ask for meanwhile
/// waits for a few and not for all: a third of a millisecond's worth, 12,800 a second at most.
constexpr std::size_t kMaxRevokesPerStep = 64;
constexpr Time kPauseBetweenRevokes = std::chrono::milliseconds(5);
/// Nor are more proposed while so many entries wait to be applied.
constexpr std::uint64_t kMaxUnapplied = 1024;
}  // namespace

void Core::renew_lease(LeaseId lease, Time now, RenewDone done) {
  if (raft_->role() != raft::Role::kLeader) return done(errors::not_leader());
  if (raft_->is_sole_voter()) return done(renew_now(lease));  // nobody else can lead
  // A leader that was replaced without noticing (paused, cut off) must not promise what its
  // successor doesn't know of. One that is confirmed after this call can: whoever comes after it
  // gives every lease its whole time.
  absl::AnyInvocable<void(absl::Status)> confirmed =
      [this, lease, done = std::move(done)](absl::Status status) mutable {
        done(status.ok() ? renew_now(lease) : absl::StatusOr<std::int64_t>(std::move(status)));
      };
  if (reads_.add(confirmed, nullptr, now + options_.request_timeout)) return;
  confirmed(errors::too_many_requests());
}

absl::StatusOr<std::int64_t> Core::renew_now(LeaseId lease) {
  if (raft_->role() != raft::Role::kLeader) return errors::not_leader();
  const lease::Renewal renewal = machine_->lessor().renew(lease, clock_.monotonic());
  switch (renewal.result) {
    case lease::Renewal::Result::kRenewed:
      if (renewal.clear_checkpoint) propose_checkpoint_reset(lease);
      return renewal.ttl_seconds;
    case lease::Renewal::Result::kNotPrimary:
      return errors::not_leader();
    case lease::Renewal::Result::kExpired:
      // Its revocation is in the log: by the time this answers again it is gone.
    case lease::Renewal::Result::kNotFound:
      break;
  }
  return errors::lease_not_found();
}

/// A renewed lease lasts its whole time again, also for a later leader.
void Core::propose_checkpoint_reset(LeaseId lease) {
  const statemachine::LeaseCheckpoint reset{lease, 0};
  propose_as_leader(codec::CommandField::kLeaseCheckpoint,
                    codec::encode_lease_checkpoint({&reset, 1}));
}

void Core::revoke_expired(Time now) {
  next_revokes_.reset();
  lease::Lessor& lessor = machine_->lessor();
  if (!lessor.is_primary()) return;
  const std::uint64_t unapplied = raft_->log().last_index().value - machine_->applied_index().value;
  std::vector<LeaseId> expired;
  if (unapplied < kMaxUnapplied) expired = lessor.expired(now, kMaxRevokesPerStep);
  // In root's name: nobody else may always write what hangs on a lease.
  const std::shared_ptr<const auth::AuthState> auth = machine_->auth();
  const codec::Sender sender =
      auth->enabled() ? codec::Sender{auth::kRoot, auth->revision()} : codec::Sender();
  for (const LeaseId lease : expired) {
    observer_.lease_expired(lease);
    propose_as_leader(codec::CommandField::kLeaseRevoke, codec::encode_lease_revoke(lease), sender);
  }
  const bool there_may_be_more = expired.size() == kMaxRevokesPerStep || unapplied >= kMaxUnapplied;
  if (there_may_be_more) next_revokes_ = now + kPauseBetweenRevokes;
}

void Core::expire_leases(Time now) {
  lease::Lessor& lessor = machine_->lessor();
  if (!lessor.is_primary()) return;
  revoke_expired(now);
  std::vector<statemachine::LeaseCheckpoint> checkpoints;
  for (const lease::Checkpoint& due : lessor.due_checkpoints(now, lease::kMaxCheckpointsPerEntry)) {
    checkpoints.push_back({due.id, due.remaining_ttl_seconds});
  }
  if (!checkpoints.empty()) {
    propose_as_leader(codec::CommandField::kLeaseCheckpoint,
                      codec::encode_lease_checkpoint(checkpoints));
  }
}

}  // namespace holdfast::node
