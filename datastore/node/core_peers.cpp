// What core does because there are peers: messages, leadership, and the state that travels whole.
#include <algorithm>
#include <utility>

#include "datastore/base/errors.h"
#include "datastore/base/mutants.h"
#include "datastore/node/core.h"
#include "datastore/statemachine/v2_store.h"

namespace holdfast::node {

namespace {
/// What was forwarded to one leader may take this long to reach the next.
constexpr Time kGiveUpLostAfter = std::chrono::milliseconds(500);
/// Between two attempts to install a state that does not fit on the disk.
constexpr Time kInstallAgainAfter = std::chrono::seconds(2);
}  // namespace

// --- messages -----------------------------------------------------------------------------------

void Core::send(std::vector<raft::Message> messages) {
  if (peers_ == nullptr || messages.empty()) return;
  const auto snapshots = std::stable_partition(
      messages.begin(), messages.end(),
      [](const raft::Message& message) { return message.type != raft::MessageType::kSnap; });
  for (auto message = snapshots; message != messages.end(); ++message) {
    wanted_snapshots_.push_back({std::move(*message)});
  }
  messages.erase(snapshots, messages.end());
  if (!messages.empty()) peers_->send(std::move(messages));
}

absl::Status Core::step(std::vector<raft::Message> messages) {
  // Nothing is answered while a state waits for room: what came would only pile up. It comes again.
  if (install_again_at_) return absl::OkStatus();
  for (raft::Message& message : messages) {
    const MemberId from = message.from;
    // A snapshot comes with its database, or not at all.
    if (message.type == raft::MessageType::kSnap) continue;
    const absl::Status status = raft_->step(std::move(message));
    if (absl::IsDataLoss(status)) return status;
    if (!status.ok()) observer_.message_refused(from, status);
  }
  return absl::OkStatus();
}

// --- leadership ---------------------------------------------------------------------------------

void Core::note_leader(Time now) {
  lease::Lessor& lessor = machine_->lessor();
  if (lessor.is_primary() && raft_->role() != raft::Role::kLeader) lessor.demote();
  const MemberId leader = raft_->leader();
  if (leader == seen_leader_) return;
  observer_.leader_changed(seen_leader_, leader, raft_->term());
  seen_leader_ = leader;
  published_is_stale_ = true;  // whether a view is linearizable depends on it
  if (!leader) return;
  ++leader_changes_;
  leader_elected_at_ = now;
  // Nothing comes late from a process that has ended.
  give_up_lost_at_ =
      now + (std::exchange(last_leader_is_gone_, false) ? Time(0) : kGiveUpLostAfter);
  settle_transfers(now);
}

void Core::report_gone(MemberId peer) {
  if (peer == raft_->leader()) last_leader_is_gone_ = true;
  raft_->report_gone(peer);
}

void Core::move_leader(MemberId to, absl::AnyInvocable<void(absl::Status)> done, Mailbox& mailbox,
                       Time now) {
  absl::Status status = absl::OkStatus();
  if (raft_->role() != raft::Role::kLeader) {
    status = errors::not_leader();
  } else if (to != options_.self) {
    status = raft_->transfer_leadership(to);
  }
  if (!status.ok() || to == options_.self) {
    mailbox.post([done = std::move(done), status]() mutable { done(status); });
    return;
  }
  transfers_.push_back({to, std::move(done), &mailbox, now + options_.request_timeout});
}

void Core::settle_transfers(Time now) {
  std::erase_if(transfers_, [&](WaitingTransfer& transfer) {
    const MemberId leader = raft_->leader();
    const bool arrived = leader == transfer.to;
    const bool given_up = leader == options_.self && raft_->transferee() != transfer.to;
    if (!arrived && !given_up && transfer.deadline > now) return false;
    transfer.mailbox->post([done = std::move(transfer.done), arrived]() mutable {
      done(arrived ? absl::OkStatus() : errors::timeout_leader_transfer());
    });
    return true;
  });
}

void Core::hand_over(absl::AnyInvocable<void()> done, Mailbox& mailbox, Time now) {
  const std::optional<MemberId> to = successor();
  if (!to) return mailbox.post(std::move(done));
  move_leader(*to, [done = std::move(done)](const absl::Status&) mutable { done(); }, mailbox, now);
}

/// The voter that would take over soonest; nobody on any member but the leader. Whoever has been
/// heard of since the last check of the quorum comes first; but right after it nobody has.
std::optional<MemberId> Core::successor() const {
  std::optional<MemberId> best;
  std::pair<bool, Index> best_rank;
  for (const MemberId voter : raft_->conf().voters) {
    const raft::Progress* progress = raft_->progress(voter);
    if (voter == options_.self || progress == nullptr) continue;
    if (!progress->recently_active && !peers_->active_since(voter)) continue;
    const std::pair<bool, Index> rank(progress->recently_active, progress->match);
    if (best && rank <= best_rank) continue;
    best = voter;
    best_rank = rank;
  }
  return best;
}

// --- the state that travels whole ---------------------------------------------------------------

void Core::describe_state(raft::Message& message) const {
  message.snapshot.conf = raft_->conf();
  message.snapshot.index = machine_->applied_index();
  message.snapshot.term = machine_->applied_term();
  message.snapshot_data = statemachine::v2_store_json(*machine_->cluster());
}

absl::Status Core::step_snapshot(raft::Message message, std::string file) {
  if (incoming_ || install_) {
    obsolete_files_.push_back(std::move(file));
    return absl::OkStatus();
  }
  const MemberId from = message.from;
  incoming_ = SnapshotInstall{message.snapshot, std::move(file)};
  const absl::Status status = raft_->step(std::move(message));
  if (absl::IsDataLoss(status)) return status;
  if (!status.ok()) observer_.message_refused(from, status);
  if (!raft_->has_output()) finish_incoming_file(/*is_installed=*/false);
  return absl::OkStatus();
}

/// The first output after step_snapshot() tells whether raft wants the state.
void Core::finish_incoming_file(bool is_installed) {
  if (!incoming_ || is_installed) return;
  obsolete_files_.push_back(std::move(incoming_->file));
  incoming_.reset();
}

/// The log says from here on that the state is at least `snapshot`: a restart would install it too.
void Core::begin_install(const raft::SnapshotMetadata& snapshot, Time now) {
  install_ = SnapshotInstall{snapshot, std::move(incoming_->file)};
  incoming_.reset();
  install_is_taken_ = false;
  install_began_ = now;
  observer_.snapshot_install_began(snapshot);
}

std::optional<SnapshotInstall> Core::take_install(Time now) {
  if (install_again_at_ && now < *install_again_at_) return std::nullopt;
  if (!install_ || install_is_taken_ || drain_in_flight_ ||
      compaction_stage_ == CompactionStage::kReading) {
    return std::nullopt;
  }
  if (compaction_ != nullptr) machine_->store().abandon_compaction(std::move(compaction_));
  compaction_stage_ = CompactionStage::kIdle;
  install_is_taken_ = true;
  return install_;
}

absl::Status Core::installed(const absl::Status& status, Time now) {
  engine_full_ = absl::IsResourceExhausted(status);
  if (engine_full_) {
    // Nothing has changed, and there is no way back to the state before: only waiting is safe.
    install_is_taken_ = false;
    install_again_at_ = now + kInstallAgainAfter;
    observer_.snapshot_install_postponed(install_->snapshot, status);
    return absl::OkStatus();
  }
  if (!status.ok()) return status;
  install_again_at_.reset();
  // Tokens of users who came or went in what was skipped: whoever still may logs in again.
  if (tokens_ != nullptr) tokens_->forget_all();
  const auto before_readers_see_it = [this] { publish_auth(); };
  if (absl::Status reloaded = machine_->reload(before_readers_see_it); !reloaded.ok()) {
    return reloaded;
  }
  durable_index_ = machine_->applied_index();
  durable_term_ = machine_->applied_term();
  obsolete_files_.push_back(std::move(install_->file));
  observer_.snapshot_installed(install_->snapshot, now - install_began_);
  install_.reset();
  published_is_stale_ = true;
  if (!planted(Mutant::kInstallUntold)) {
    for (const Subscriber& subscriber : subscribers_) tell_started(subscriber);
  }
  // Compactions that were under way here are the leader's now, done or to be gone on with.
  begin_compaction(now);
  if (compaction_ == nullptr) answer_compactions(machine_->store().compact_revision());
  membership_changed(now);
  send(log_.take_messages(raft_->term()));
  return absl::OkStatus();
}

}  // namespace holdfast::node
