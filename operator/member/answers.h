#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace holdfast::member {

/// Who answered, and how far it was. Zero where a member says nothing.
struct Header {
  std::uint64_t cluster_id = 0;
  std::uint64_t member_id = 0;
  std::int64_t revision = 0;
  std::uint64_t term = 0;
};

/// Maintenance.Status: what a member says of itself. It asks no quorum.
struct MemberStatus {
  Header header;
  std::string version;          ///< the etcd API level
  std::string storage_version;  ///< empty until the cluster has agreed on one
  std::uint64_t leader_id = 0;  ///< 0: knows of none
  std::uint64_t raft_index = 0;
  std::uint64_t raft_applied_index = 0;
  bool is_learner = false;
  std::int64_t db_size_bytes = 0;
  std::int64_t db_size_in_use_bytes = 0;
  std::int64_t db_quota_bytes = 0;  ///< 0: from a member older than 3.6
  bool downgrade_enabled = false;
  std::string downgrade_target;
  std::vector<std::string> errors;  ///< its own words: alarms, no leader
};

enum class AlarmType : std::uint8_t { kNoSpace, kCorrupt };

struct Alarm {
  std::uint64_t member_id = 0;
  AlarmType type = AlarmType::kNoSpace;
};

/// One row of the member list.
struct ListedMember {
  std::uint64_t id = 0;
  std::string name;  ///< empty until it has started for the first time
  std::vector<std::string> peer_urls;
  std::vector<std::string> client_urls;
  bool is_learner = false;
};

struct MemberList {
  std::uint64_t cluster_id = 0;
  std::uint64_t answered_by = 0;
  bool linearizable = false;  ///< confirmed by a quorum; else one member's own belief, maybe old
  std::vector<ListedMember> members;  ///< at most kMaxListedMembers
};

/// More members than any cluster has; a longer list is not believed.
inline constexpr int kMaxListedMembers = 64;

/// Maintenance.HashKV.
struct KvHash {
  Header header;
  std::uint32_t hash = 0;
  std::int64_t compact_revision = 0;
  std::int64_t hash_revision = 0;
};

/// A part of Maintenance.Snapshot's stream, as it comes.
struct SnapshotPiece {
  /// With the first piece, of holdfast: the moment that the snapshot shows. etcd's says nothing.
  std::optional<Header> header;
  /// Of the database after this piece, the digest at its end not counted.
  std::uint64_t remaining_bytes = 0;
  std::string_view bytes;  ///< valid until the call that hands it over returns
};

/// A part of the log that a member applies, as it comes.
struct LogPiece {
  std::uint64_t cluster_id = 0;
  std::uint64_t member_id = 0;
  /// raftpb.Entry each, consecutive; valid until the call that hands them over returns.
  std::vector<std::string_view> entries;
};

/// Keys in their order, from where was asked.
struct KeyPage {
  std::int64_t keys = 0;
  std::int64_t bytes = 0;  ///< of keys and values
  std::string next;        ///< where the next page begins; empty: this was the last
};

struct KeyValue {
  std::string value;
  std::int64_t mod_revision = 0;
};

/// A histogram of a metrics page: how many observations were at most `bound`, by bound in seconds.
using Buckets = std::map<double, double>;

/// The `q`-quantile, q in (0, 1), of what was observed between two readings, in seconds, within its
/// bucket by proportion; nothing if nothing was observed. An empty `before` stands for the start of
/// the process, and so does one with more observations than `now`: it began anew between them.
std::optional<double> quantile(double q, const Buckets& now, const Buckets& before);

/// What a member's metrics page says that its API does not.
struct MetricsPage {
  std::string release;  ///< holdfast's own, "0.1.0"; empty: not holdfast
  /// SHA-256 (hex) of the CA bundle now trusted, by endpoint: "client", "peer".
  std::map<std::string, std::string> trusted_bundle_sha256;
  /// Serials (upper-case hex) of the certificates now in use, by the flag that names their file:
  /// "cert-file", "peer-cert-file".
  std::map<std::string, std::set<std::string>> certificate_serials;
  /// The earliest end of a certificate in use, in seconds since 1970.
  std::optional<std::int64_t> certificate_not_after_seconds;
  /// By which of its key file's keys its data directory is sealed; empty: it is not.
  std::string wrapping_key;
  /// Leaders seen since the process began; nothing if the page does not say.
  std::optional<std::uint64_t> leader_changes;
  Buckets wal_fsync;
  Buckets backend_commit;
};

/// Everything that one look at one member tells. Each answer stands for itself: a member without a
/// quorum has a status and a serializable read, and neither alarms nor a linearizable read.
struct Probe {
  std::string name;  ///< Endpoint::name
  /// Why we are nobody to it, or only whom our certificate names; then it was asked all the same,
  /// unless it cannot be reached.
  absl::Status signed_in;
  /// It refused each of our credentials.
  bool refuses_us() const {
    return absl::IsInvalidArgument(signed_in) || absl::IsUnauthenticated(signed_in);
  }
  /// The cluster has auth on.
  bool auth_enabled = false;
  /// It does, and will not have us: whatever else it did not answer says nothing of its health.
  bool shut_out = false;
  absl::StatusOr<MemberStatus> status = absl::UnknownError("not asked");
  absl::Status linearizable_read = absl::UnknownError("not asked");
  /// From asking to the answer, as this process saw it; of a read that succeeded.
  std::optional<std::chrono::microseconds> linearizable_read_took;
  absl::Status serializable_read = absl::UnknownError("not asked");
  absl::StatusOr<std::vector<Alarm>> alarms = absl::UnknownError("not asked");
  /// Its own belief; linearizable only in confirmed_member_list.
  absl::StatusOr<MemberList> member_list = absl::UnknownError("not asked");
  absl::StatusOr<MemberList> confirmed_member_list = absl::UnknownError("not asked");
  absl::StatusOr<MetricsPage> page = absl::UnknownError("not asked");

  bool answers() const { return status.ok(); }
};

}  // namespace holdfast::member
