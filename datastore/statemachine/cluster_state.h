#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datastore/base/bytes.h"
#include "datastore/base/ids.h"
#include "datastore/statemachine/outcome.h"

/// The small state of the cluster itself: members, version, downgrade, alarms; and the bytes, equal
/// to etcd's, in which the backend keeps it (etcd-facts 2.5, 3.8).
namespace holdfast::statemachine {

struct Member {
  MemberId id;
  std::vector<std::string> peer_urls;
  bool is_learner = false;
  /// Empty until the member has started and published itself.
  std::string name;
  std::vector<std::string> client_urls;

  bool is_started() const { return !name.empty(); }
  friend bool operator==(const Member&, const Member&) = default;
};

struct DowngradeInfo {
  bool enabled = false;
  std::string target_version;

  friend bool operator==(const DowngradeInfo&, const DowngradeInfo&) = default;
};

/// A major and minor release; the patch level never matters between members.
struct ReleaseVersion {
  std::uint32_t major = 0;
  std::uint32_t minor = 0;

  friend auto operator<=>(const ReleaseVersion&, const ReleaseVersion&) = default;
};

/// Of `text` as "M.m.p". Nothing if it is anything else.
std::optional<ReleaseVersion> parse_release_version(BytesView text);

struct ClusterState {
  std::map<MemberId, Member> members;
  std::set<MemberId> removed;
  /// As "3.7.0"; nothing until the leader decided it.
  std::optional<std::string> version;
  DowngradeInfo downgrade;
  /// By type, then member.
  std::set<std::pair<AlarmType, MemberId>> alarms;

  bool has_alarm(AlarmType type) const {
    const auto first = alarms.lower_bound({type, MemberId()});
    return first != alarms.end() && first->first == type;
  }
  friend bool operator==(const ClusterState&, const ClusterState&) = default;
};

/// The numbers are raftpb.ConfChangeType's.
enum class ConfChangeType : std::int32_t {
  kAddNode = 0,
  kRemoveNode = 1,
  kUpdateNode = 2,
  kAddLearnerNode = 3,
};

/// A committed configuration change, as its log entry says it.
struct ConfChange {
  ConfChangeType type = ConfChangeType::kAddNode;
  MemberId node;
  /// JSON, see parse_conf_context(); empty for a removal.
  BytesView context;
};

struct ConfContext {
  Member member;
  bool is_promote = false;
};

/// Whether `change` may take effect on `cluster`; `context` is what it carries. Errors, which every
/// member finds alike: member_not_found (removed, or unknown where it must be known), member_exist,
/// peer_url_exist, member_not_learner, too_many_learners.
absl::Status validate_conf_change(const ClusterState& cluster, const ConfChange& change,
                                  const ConfContext& context, std::size_t max_learners);

// Bytes, as Go's encoder writes them.

/// A member's key in `members` and `members_removed`: its ID in lower-case hex.
Bytes member_key(MemberId id);
std::optional<MemberId> parse_member_key(BytesView key);
Bytes member_json(const Member& member);
/// Errors: InvalidArgument if it is not a JSON object of the expected types.
absl::StatusOr<ConfContext> parse_conf_context(BytesView json);
absl::StatusOr<Member> parse_member_json(BytesView json);
Bytes downgrade_json(const DowngradeInfo& downgrade);
absl::StatusOr<DowngradeInfo> parse_downgrade_json(BytesView json);
/// meta's confState: voters and learners by ascending ID.
Bytes conf_state_json(const ClusterState& cluster);
/// An alarm's key in `alarm`: AlarmMember{1 memberID, 2 alarm}. The value is empty.
Bytes alarm_key(AlarmType type, MemberId member);
std::optional<std::pair<AlarmType, MemberId>> parse_alarm_key(BytesView key);

}  // namespace holdfast::statemachine
