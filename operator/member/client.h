#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "operator/member/answers.h"
#include "operator/member/endpoint.h"
#include "operator/member/outcome.h"

namespace holdfast::member {

struct ProbeOptions {
  /// The metrics page too: some 200 KB, so only when the digest or the release is needed.
  bool metrics_page = false;
  /// Asks a quorum: false for a member that is known to have none costs nobody a timeout.
  bool confirmed_member_list = true;
};

enum class DowngradeAction : std::uint8_t { kValidate, kEnable, kCancel };

/// One member of a cluster, of holdfast or of etcd, over gRPC.
///
/// Owns one connection, made at the first call and kept until destruction; a broken one is made
/// anew. Every call blocks, for its timeout (Timeouts) at most, and may be made from any thread,
/// beside others. Nothing is ever sent twice by itself: whoever calls decides after an error, by
/// outcome_of(). Text of the member's own is kept word for word.
class Client {
 public:
  explicit Client(Endpoint endpoint, Timeouts timeouts = {});
  ~Client();
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;

  const Endpoint& endpoint() const;

  // -- reads: outcome never kUnknown

  /// Asks everything side by side: Timeouts::read in all, whatever the member does.
  Probe probe(const ProbeOptions& options = {}) const;
  absl::StatusOr<MemberStatus> status() const;
  /// With `linearizable` a quorum has confirmed the list. A learner refuses that.
  absl::StatusOr<MemberList> member_list(bool linearizable) const;
  absl::StatusOr<std::vector<Alarm>> alarms() const;
  /// NotFound if there is no such key.
  absl::StatusOr<KeyValue> get(const std::string& key, bool serializable = false) const;
  /// The hash of what this member has stored, at `revision` (0: its newest).
  absl::StatusOr<KvHash> hash_kv(std::int64_t revision) const;

  // -- changes of the cluster, by any member of it

  /// FailedPrecondition "Peer URLs already exists" if a member has one of the URLs.
  absl::StatusOr<ListedMember> add_learner(const std::vector<std::string>& peer_urls) const;
  /// kRetry while the learner is behind.
  absl::Status promote(std::uint64_t member_id) const;
  /// NotFound if there is no such member (any more).
  absl::Status remove(std::uint64_t member_id) const;
  absl::Status update(std::uint64_t member_id, const std::vector<std::string>& peer_urls) const;
  absl::Status disarm_alarm(const Alarm& alarm) const;
  absl::Status put(const std::string& key, const std::string& value) const;
  /// Forgets what was overwritten at or before `revision`.
  absl::Status compact(std::int64_t revision) const;
  /// `version`: "3.6"; not read by kCancel. Returns the cluster's version.
  absl::StatusOr<std::string> downgrade(DowngradeAction action, const std::string& version) const;

  // -- of this member

  /// This member must be the leader, and `member_id` a voter. The member answers once the other
  /// leads.
  absl::Status move_leader(std::uint64_t member_id) const;
  absl::Status defragment() const;

 private:
  struct Connection;
  std::unique_ptr<Connection> connection_;
};

}  // namespace holdfast::member
