// Who leads: timeouts, votes, and what changes with a role (thesis 3.4, 4.2.3, 6.2, 9.6).

#include <algorithm>
#include <utility>

#include "datastore/base/check.h"
#include "datastore/raft/configuration.h"
#include "datastore/raft/mutants.h"
#include "datastore/raft/raft.h"

namespace holdfast::raft {

namespace {
/// Within so many ticks a follower campaigns whose leader is known to be gone.
constexpr std::uint64_t kTicksAfterLoss = 4;
}  // namespace

void Raft::tick() {
  if (leading() != nullptr) {
    tick_leader();
    return;
  }
  ++election_elapsed_ticks_;
  if (is_sole_voter() || election_elapsed_ticks_ >= election_timeout_ticks_) {
    restart_election_timeout();
    campaign_if_allowed(options_.pre_vote ? Campaign::kPreElection : Campaign::kElection);
  }
}

void Raft::tick_leader() {
  if (++election_elapsed_ticks_ >= options_.election_ticks) {
    election_elapsed_ticks_ = 0;
    const bool deposed = options_.check_quorum && !quorum_is_active();
    if (deposed || !is_voter(conf_, options_.id)) {
      become_follower(hard_state_.term, MemberId());
      return;
    }
    abort_transfer(*leading());
  }
  if (++heartbeat_elapsed_ticks_ >= options_.heartbeat_ticks) {
    heartbeat_elapsed_ticks_ = 0;
    Leader& leader = *leading();
    // A lost round is asked again; reads that gathered meanwhile need one of their own.
    if (leader.reads.has_round_under_way() && leader.reads.has_gathered()) {
      leader.reads.begin_round(hard_state_.commit);
    }
    broadcast_heartbeat(leader);
    leader.told_transferee = false;  // the word may have been lost
    if (leader.transferee) replication_due_ = true;
  }
}

bool Raft::quorum_is_active() {
  Leader& leader = *leading();
  const std::uint64_t active = majority_value(conf_.voters, [&](MemberId voter) -> std::uint64_t {
    const auto peer = leader.peers.find(voter);
    return voter == options_.id || (peer != leader.peers.end() && peer->second.recently_active);
  });
  for (auto& [id, peer] : leader.peers) peer.recently_active = false;
  return active == 1;
}

void Raft::restart_election_timeout() {
  election_elapsed_ticks_ = 0;
  election_timeout_ticks_ =
      options_.election_ticks + static_cast<std::uint32_t>(dice_.below(options_.election_ticks));
}

void Raft::report_gone(MemberId peer) {
  auto* follower = std::get_if<Follower>(&role_);
  if (follower == nullptr || !peer || follower->leader != peer) return;
  follower->leader = MemberId();
  election_elapsed_ticks_ = 0;
  // Not all followers at the same tick.
  election_timeout_ticks_ = 1 + static_cast<std::uint32_t>(dice_.below(kTicksAfterLoss));
}

void Raft::advance_election() {
  if (leading() != nullptr || leader()) return;
  election_elapsed_ticks_ = std::max(election_elapsed_ticks_, options_.election_ticks - 2);
}

bool Raft::has_unapplied_conf_change() const {
  if (applied_ == hard_state_.commit) return false;
  for (const Entry& entry : log_.slice(applied_.next(), hard_state_.commit, ~std::size_t{0})) {
    if (entry.type == EntryType::kConfChange) return true;
  }
  return false;
}

bool Raft::may_campaign() const {
  if (leading() != nullptr || conf_.voters.empty() || incoming_snapshot_) return false;
  // A removed member too: of two voters, the one that is left may not know yet that the other went,
  // and can't win against the longer log. The removed one wins, tells it and hands over.
  return !is_learner(conf_, options_.id);
}

void Raft::campaign_if_allowed(Campaign kind) {
  if (!may_campaign()) return;
  // Whoever counts votes by an outdated configuration may win beside the real quorum.
  if (has_unapplied_conf_change() && !planted(Mutant::kOverlappingChanges)) return;
  campaign(kind);
}

void Raft::campaign(Campaign kind) {
  const bool asks_first = kind == Campaign::kPreElection;
  const Term term = hard_state_.term.next();
  if (asks_first) {
    role_ = PreCandidate();
    std::get<PreCandidate>(role_).votes.record(options_.id, true);
  } else {
    become_follower(term, MemberId());
    hard_state_.vote = options_.id;
    role_ = Candidate();
    std::get<Candidate>(role_).votes.record(options_.id, true);
  }
  for (const MemberId voter : conf_.voters) {
    if (voter == options_.id) continue;
    send({.type = asks_first ? MessageType::kPreVote : MessageType::kVote,
          .to = voter,
          .term = term,
          .log_term = log_.last_term(),
          .index = log_.last_index(),
          .context = Bytes(kind == Campaign::kTransfer ? kCampaignTransfer : BytesView())});
  }
  conclude_election();
}

void Raft::conclude_election() {
  const auto* asking = std::get_if<PreCandidate>(&role_);
  const VoteTally& votes = asking != nullptr ? asking->votes : std::get<Candidate>(role_).votes;
  switch (votes.outcome(conf_.voters)) {
    case Election::kOpen:
      return;
    case Election::kLost:
      become_follower(hard_state_.term, MemberId());
      return;
    case Election::kWon:
      if (asking != nullptr) {
        campaign(Campaign::kElection);
      } else {
        become_leader();
      }
      return;
  }
}

void Raft::become_follower(Term term, MemberId leader) {
  HOLDFAST_CHECK(term >= hard_state_.term);
  if (term > hard_state_.term) {
    hard_state_.term = term;
    hard_state_.vote = MemberId();
  }
  role_ = Follower{leader};
  replication_due_ = false;
  restart_election_timeout();
}

void Raft::become_leader() {
  Leader leader;
  leader.first_of_term = log_.last_index().next();
  // A candidate that asked others did so after its vote was durable.
  leader.term_is_durable = !is_sole_voter();
  if (hard_state_.commit < log_.last_index()) {
    for (const Entry& entry :
         log_.slice(hard_state_.commit.next(), log_.last_index(), ~std::size_t{0})) {
      leader.uncommitted_bytes += entry.data.size();
    }
  }
  role_ = std::move(leader);
  election_elapsed_ticks_ = 0;
  heartbeat_elapsed_ticks_ = 0;
  // A change that may be in the log but unapplied blocks another until the log is applied so far.
  pending_conf_change_ = log_.last_index();
  follow_configuration(*leading(), /*newcomers_are_active=*/false);
  log_.append(Entry{hard_state_.term, log_.last_index().next(), EntryType::kNormal, Bytes()});
}

// --- votes --------------------------------------------------------------------------------------

bool Raft::hears_a_leader() const {
  return options_.check_quorum && leader() && election_elapsed_ticks_ < options_.election_ticks;
}

void Raft::answer_vote(const Message& request) {
  const bool is_pre_vote = request.type == MessageType::kPreVote;
  const bool is_free = hard_state_.vote == request.from || (!hard_state_.vote && !leader()) ||
                       (is_pre_vote && request.term > hard_state_.term) ||
                       planted(Mutant::kVoteTwice);
  const bool grant = is_free && (log_.is_behind_or_at(request.index, request.log_term) ||
                                 planted(Mutant::kVoteWithoutLogCheck));
  // A learner votes too: it may have been promoted without knowing it yet.
  if (grant && !is_pre_vote) {
    election_elapsed_ticks_ = 0;
    hard_state_.vote = request.from;
  }
  send({.type = is_pre_vote ? MessageType::kPreVoteResp : MessageType::kVoteResp,
        .to = request.from,
        .term = grant ? request.term : hard_state_.term,
        .reject = !grant});
}

void Raft::count_vote(const Message& answer) {
  if (auto* asking = std::get_if<PreCandidate>(&role_)) {
    if (answer.type != MessageType::kPreVoteResp) return;
    if (!answer.reject && answer.term != hard_state_.term.next()) return;
    asking->votes.record(answer.from, !answer.reject);
  } else if (auto* candidate = std::get_if<Candidate>(&role_)) {
    if (answer.type != MessageType::kVoteResp) return;
    candidate->votes.record(answer.from, !answer.reject);
  } else {
    return;
  }
  conclude_election();
}

}  // namespace holdfast::raft
