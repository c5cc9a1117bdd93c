#pragma once

#include <cstdint>
#include <vector>

#include "datastore/base/bytes.h"
#include "datastore/base/ids.h"

/// Raft's messages and state as plain values, shaped as etcd's raftpb (etcd-facts 2.1).
namespace holdfast::raft {

enum class EntryType : std::uint8_t { kNormal = 0, kConfChange = 1 };

struct Entry {
  Term term;
  Index index;
  EntryType type = EntryType::kNormal;
  /// An InternalRaftRequest, a ConfChange, or empty (a new leader's first entry).
  Bytes data;
  friend bool operator==(const Entry&, const Entry&) = default;
};

/// What must be durable before any message that depends on it leaves.
struct HardState {
  Term term;
  MemberId vote;
  Index commit;
  friend bool operator==(const HardState&, const HardState&) = default;
};

/// Members by role, ascending. etcd never uses joint consensus: there is no second half.
struct ConfState {
  std::vector<MemberId> voters;
  std::vector<MemberId> learners;
  friend bool operator==(const ConfState&, const ConfState&) = default;
};

struct SnapshotMetadata {
  ConfState conf;
  Index index;
  Term term;
  friend bool operator==(const SnapshotMetadata&, const SnapshotMetadata&) = default;
};

enum class ConfChangeType : std::uint8_t {
  kAddVoter = 0,
  kRemove = 1,
  kUpdate = 2,
  kAddLearner = 3,
};

struct ConfChange {
  std::uint64_t id = 0;
  ConfChangeType type = ConfChangeType::kAddVoter;
  MemberId node;
  /// etcd's JSON of the member (etcd-facts 2.5).
  Bytes context;
};

enum class MessageType : std::uint8_t {
  kProp = 2,
  kApp = 3,
  kAppResp = 4,
  kVote = 5,
  kVoteResp = 6,
  kSnap = 7,
  kHeartbeat = 8,
  kHeartbeatResp = 9,
  kTransferLeader = 13,
  kTimeoutNow = 14,
  kReadIndex = 15,
  kReadIndexResp = 16,
  kPreVote = 17,
  kPreVoteResp = 18,
};

/// The context of a MsgVote sent at the leader's own wish: such a vote is weighed although a leader
/// is heard (etcd-facts 2.3).
inline constexpr BytesView kCampaignTransfer = "CampaignTransfer";

struct Message {
  MessageType type{};
  MemberId to;
  MemberId from;
  Term term;
  Term log_term;
  Index index;
  std::vector<Entry> entries;
  Index commit;
  /// Only in kSnap; the database itself travels beside the message.
  SnapshotMetadata snapshot;
  Bytes snapshot_data;
  bool reject = false;
  Index reject_hint;
  Bytes context;
};

}  // namespace holdfast::raft
