// What a message may do: its shape, its term, then its receiver's role.

#include <utility>

#include "absl/strings/str_cat.h"
#include "datastore/raft/mutants.h"
#include "datastore/raft/raft.h"

namespace holdfast::raft {

namespace {

/// A request's id in MsgReadIndex: eight bytes from holdfast and etcd.
constexpr std::size_t kMaxReadIdBytes = 1024;
constexpr std::size_t kRoundBytes = 8;

absl::Status refused(const Message& message, const char* why) {
  return absl::InvalidArgumentError(absl::StrCat("message of type ", static_cast<int>(message.type),
                                                 " from member ", message.from.value, " at term ",
                                                 message.term.value, " refused: ", why));
}

bool comes_from_leader(MessageType type) {
  return type == MessageType::kApp || type == MessageType::kHeartbeat || type == MessageType::kSnap;
}

/// Proposals and reads carry no term; an operator's wish for a leader may carry none.
bool is_outside_terms(const Message& message) {
  return message.type == MessageType::kProp || message.type == MessageType::kReadIndex ||
         (message.type == MessageType::kTransferLeader && !message.term);
}

absl::Status check_entries(const Message& message) {
  Index expected = message.index.next();
  Term term = message.log_term;
  for (const Entry& entry : message.entries) {
    if (entry.index != expected) return refused(message, "its entries leave a gap");
    if (entry.term < term) return refused(message, "its entries' terms fall");
    expected = expected.next();
    term = entry.term;
  }
  if (term > message.term) return refused(message, "its entries are of a later term than itself");
  return absl::OkStatus();
}

}  // namespace

absl::Status Raft::check_shape(const Message& message) const {
  if (message.to != options_.id) return refused(message, "it is meant for another member");
  if (!message.from || message.from == options_.id) return refused(message, "it has no sender");
  if (!message.term && !is_outside_terms(message)) return refused(message, "it has no term");
  switch (message.type) {
    case MessageType::kApp:
      return check_entries(message);
    case MessageType::kProp:
      if (message.entries.empty()) return refused(message, "it proposes nothing");
      return absl::OkStatus();
    case MessageType::kSnap:
      if (!message.snapshot.index || message.snapshot.term > message.term ||
          message.snapshot.conf.voters.empty()) {
        return refused(message, "its snapshot names no state");
      }
      return absl::OkStatus();
    case MessageType::kReadIndex:
    case MessageType::kReadIndexResp:
      if (message.entries.size() != 1 || message.entries[0].data.size() > kMaxReadIdBytes) {
        return refused(message, "it holds no request id");
      }
      return absl::OkStatus();
    case MessageType::kHeartbeatResp:
      if (!message.context.empty() && message.context.size() < kRoundBytes) {
        return refused(message, "its context is not the heartbeat's");
      }
      return absl::OkStatus();
    default:
      return absl::OkStatus();
  }
}

absl::Status Raft::step(Message message) {
  if (absl::Status shape = check_shape(message); !shape.ok()) return shape;
  if (!passes_term(message)) return absl::OkStatus();
  return step_in_term(std::move(message));
}

bool Raft::passes_term(const Message& message) {
  if (is_outside_terms(message)) return true;
  if (message.term < hard_state_.term) {
    answer_lower_term(message);
    return false;
  }
  if (message.term == hard_state_.term) return true;
  const bool asks_to_vote =
      message.type == MessageType::kVote || message.type == MessageType::kPreVote;
  if (asks_to_vote && message.context != kCampaignTransfer && hears_a_leader()) return false;
  // A pre-vote asks about a term that nobody has begun.
  if (message.type == MessageType::kPreVote) return true;
  if (message.type == MessageType::kPreVoteResp && !message.reject) return true;
  become_follower(message.term, comes_from_leader(message.type) ? message.from : MemberId());
  return true;
}

void Raft::answer_lower_term(const Message& message) {
  if (message.type == MessageType::kApp || message.type == MessageType::kHeartbeat) {
    // With pre-vote a member at a higher term never campaigns loudly: this makes the leader learn
    // of the term and step down, so that both can agree again.
    send({.type = MessageType::kAppResp, .to = message.from});
  } else if (message.type == MessageType::kPreVote) {
    send({.type = MessageType::kPreVoteResp, .to = message.from, .reject = true});
  }
}

absl::Status Raft::step_in_term(Message message) {
  switch (message.type) {
    case MessageType::kVote:
    case MessageType::kPreVote:
      answer_vote(message);
      return absl::OkStatus();
    case MessageType::kVoteResp:
    case MessageType::kPreVoteResp:
      count_vote(message);
      return absl::OkStatus();
    case MessageType::kApp:
    case MessageType::kHeartbeat:
    case MessageType::kSnap:
      if (absl::Status status = follow(message); !status.ok()) return status;
      if (message.type == MessageType::kApp) return append_entries(message);
      if (message.type == MessageType::kSnap) return restore_snapshot(message);
      return heed_heartbeat(message);
    case MessageType::kTimeoutNow:
      campaign_if_allowed(Campaign::kTransfer);
      return absl::OkStatus();
    case MessageType::kReadIndexResp:
      accept_read_answer(message);
      return absl::OkStatus();
    case MessageType::kProp:
    case MessageType::kAppResp:
    case MessageType::kHeartbeatResp:
    case MessageType::kReadIndex:
    case MessageType::kTransferLeader:
      // Meant for a leader; one that no longer leads lets the sender ask again.
      return leading() != nullptr ? step_leader(message, *leading()) : absl::OkStatus();
  }
  return refused(message, "its type never travels between members");
}

absl::Status Raft::step_leader(Message& message, Leader& leader) {
  switch (message.type) {
    case MessageType::kProp:
      append_forwarded(leader, message.entries);
      return absl::OkStatus();
    case MessageType::kAppResp:
      return on_append_response(leader, message);
    case MessageType::kHeartbeatResp:
      on_heartbeat_response(leader, message);
      return absl::OkStatus();
    case MessageType::kReadIndex:
      // A refused one is asked again by its member.
      add_read(leader, {message.from, std::move(message.entries[0].data)}).IgnoreError();
      return absl::OkStatus();
    case MessageType::kTransferLeader:
      begin_transfer(leader, message.from);
      return absl::OkStatus();
    default:
      return absl::OkStatus();
  }
}

void Raft::send(Message message) {
  message.from = options_.id;
  if (!message.term && !is_outside_terms(message)) message.term = hard_state_.term;
  bool overtakes_the_disk = false;
  switch (message.type) {
    case MessageType::kProp:
    case MessageType::kReadIndex:
    case MessageType::kHeartbeatResp:  // says that a leader is heard, vouches for no entry
      overtakes_the_disk = true;
      break;
    case MessageType::kAppResp:
      overtakes_the_disk = planted(Mutant::kAckBeforePersist);
      break;
    case MessageType::kVoteResp:
      overtakes_the_disk = planted(Mutant::kVoteBeforePersist);
      break;
    default:
      overtakes_the_disk = leading() != nullptr && leading()->term_is_durable;
      break;
  }
  (overtakes_the_disk ? messages_ : messages_after_sync_).push_back(std::move(message));
}

}  // namespace holdfast::raft
