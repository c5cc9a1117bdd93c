#pragma once

#include <cstdint>
#include <functional>
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

  /// Ends the connection until the next call, which makes another; calls under way go on. For who
  /// asks again only after a while: one with TLS holds some 200 KiB.
  void rest() const;

  // -- reads: outcome never kUnknown

  /// Asks everything side by side: Timeouts::read in all, whatever the member does; twice that if
  /// it has to be signed in to first.
  Probe probe(const ProbeOptions& options = {}) const;
  absl::StatusOr<MemberStatus> status() const;
  /// With `linearizable` a quorum has confirmed the list. A learner refuses that.
  absl::StatusOr<MemberList> member_list(bool linearizable) const;
  absl::StatusOr<std::vector<Alarm>> alarms() const;
  /// NotFound if there is no such key.
  absl::StatusOr<KeyValue> get(const std::string& key, bool serializable = false) const;
  /// Reads up to `limit` keys from `from` on ("" : the first), with their values, from this
  /// member's own store.
  absl::StatusOr<KeyPage> read_keys(const std::string& from, std::int64_t limit) const;
  /// The hash of what this member has stored, at `revision` (0: its newest).
  absl::StatusOr<KvHash> hash_kv(std::int64_t revision) const;

  /// Streams this member's database, as it is at one moment, and its SHA-256 at the end: what
  /// `etcdctl snapshot save` stores. `take` gets the pieces in order, on the calling thread; what
  /// it returns other than Ok ends the stream and is returned. Errors: DeadlineExceeded if no piece
  /// came for Timeouts::stall; the stream's own.
  absl::Status snapshot(const std::function<absl::Status(const SnapshotPiece&)>& take) const;

  /// Streams the log's entries after `after_index` as this member applies them, without end; a
  /// piece without entries at once, and whenever nothing was applied for a second. `take` as
  /// snapshot()'s. Errors: OutOfRange if the member's log no longer holds them; Unimplemented of an
  /// etcd; DeadlineExceeded if nothing came for 10 s; the stream's own.
  absl::Status follow_log(std::uint64_t after_index,
                          const std::function<absl::Status(const LogPiece&)>& take) const;

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
  /// Forgets what was overwritten at or before `revision`. `until_free`: answered only once the
  /// member has freed the pages, as far as that takes no longer than the timeout.
  absl::Status compact(std::int64_t revision, bool until_free = false) const;
  /// `version`: "3.6"; not read by kCancel. Returns the cluster's version.
  absl::StatusOr<std::string> downgrade(DowngradeAction action, const std::string& version) const;

  // -- users; each call says the same when it is repeated

  /// Makes the user root with this password and the role root, all that auth needs to be enabled,
  /// or gives the one that there is the password and the role.
  absl::Status prepare_root(const std::string& password) const;
  /// Of root, who is there. Every token of root's ends.
  absl::Status change_root_password(const std::string& password) const;
  absl::Status enable_auth() const;
  /// Users and roles stay.
  absl::Status disable_auth() const;

  // -- of this member

  /// This member must be the leader, and `member_id` a voter. The member answers once the other
  /// leads.
  absl::Status move_leader(std::uint64_t member_id) const;
  absl::Status defragment() const;

  /// The room's own.
  struct Connection;

 private:
  std::unique_ptr<Connection> connection_;
};

}  // namespace holdfast::member
