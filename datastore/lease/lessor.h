#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datastore/base/bytes.h"
#include "datastore/base/ids.h"
#include "datastore/lease/expiry_queue.h"
#include "datastore/lease/inheritance.h"
#include "datastore/lease/lease_record.h"

namespace holdfast::lease {

/// A granted TTL is at most this long (about 285 years). Source: etcd-facts 3.5.
inline constexpr std::int64_t kMaxTtlSeconds = 9'000'000'000;
/// Expiries a second that a new leader plans for. Source: etcd-facts 3.9.
inline constexpr std::size_t kRevokesPerSecond = 1000;
/// The most leases of an earlier leader's that fall due within a second; the rest live on.
inline constexpr std::size_t kInheritedPerSecond = kRevokesPerSecond * 3 / 4;
/// The most leases one scan (every 500 ms) should ask for. Source: etcd-facts 3.9.
inline constexpr std::size_t kMaxExpiredPerScan = kRevokesPerSecond / 2;
/// The most checkpoints in one log entry.
inline constexpr std::size_t kMaxCheckpointsPerEntry = 1000;

struct LessorOptions {
  /// Shorter TTLs are raised to this; min_ttl_seconds() computes it. Every member must agree.
  std::int64_t min_ttl_seconds = 2;
  /// A lease named by expired() is named again after this long, should its revocation be lost.
  Time retry_interval = std::chrono::seconds(3);
  /// Whether the leader proposes checkpoints of the remaining TTL, and how often for one lease.
  bool checkpoints = false;
  Time checkpoint_interval = std::chrono::minutes(5);
};

/// ceil(1.5 × election timeout), in seconds. Source: etcd-facts 3.9.
std::int64_t min_ttl_seconds(std::chrono::milliseconds election_timeout);

struct Checkpoint {
  LeaseId id;
  std::int64_t remaining_ttl_seconds = 0;
};

/// What a keep-alive achieved.
struct Renewal {
  enum class Result : std::uint8_t {
    kRenewed,
    kNotFound,
    /// This member does not lead: forward to the one that does.
    kNotPrimary,
    /// Expired, its revocation is under way: answer kNotFound once it is gone, kNotPrimary once
    /// demoted. Until then neither is true.
    kExpired,
  };
  Result result = Result::kNotFound;
  std::int64_t ttl_seconds = 0;
  /// A checkpoint shortened this lease: propose one of 0, or a later leader cuts it short again.
  bool clear_checkpoint = false;
};

struct TimeToLive {
  std::int64_t granted_ttl_seconds = 0;
  /// Whole seconds left, towards zero; may be negative while a revocation is under way, or while an
  /// inherited lease's turn has not come.
  std::int64_t ttl_seconds = 0;
};

/// All leases of a member and the keys that hang on them.
///
/// Owns: the leases, key → lease and lease → keys, and on the leader the order of expiry. Never
/// reads a clock, touches the backend or deletes a key: what is to be persisted is returned, what
/// has expired is named, and a LeaseRevoke that went through the log makes it so.
///
/// A lease that only commands touch (grant, revoke, checkpoint, attach, detach) is equal on every
/// member. Expiry is the leader's alone: elsewhere a lease lasts for ever.
///
/// Cost: constant per command and keep-alive, O(log n) per expiry. promote() and demote() look at
/// no lease: a million of them hold up no change of leader. (With checkpoints on, promote() is
/// O(n).) Thread: the one that applies.
class Lessor {
 public:
  explicit Lessor(const LessorOptions& options);
  Lessor(const Lessor&) = delete;
  Lessor& operator=(const Lessor&) = delete;

  // Commands.

  /// The time that grants are counted from, on the leader: set it before applying a batch.
  void advance_to(Time now) { now_ = now; }
  /// Adds a lease; `ttl_seconds` below the minimum is raised. Returns what to persist.
  /// Errors: lease_not_found for ID 0, lease_ttl_too_large, lease_exists.
  absl::StatusOr<LeaseRecord> grant(LeaseId id, std::int64_t ttl_seconds);
  /// Drops a lease and returns the keys that hung on it, in byte order, to be deleted in one
  /// transaction. Errors: lease_not_found.
  absl::StatusOr<std::vector<Bytes>> revoke(LeaseId id);
  /// Notes the remaining TTL for the next promotion. Returns what to persist, or nothing for an
  /// unknown lease, which is no error.
  std::optional<LeaseRecord> checkpoint(LeaseId id, std::int64_t remaining_ttl_seconds);
  /// Forgets every lease and key, and that it led: before the leases of another state are loaded.
  void clear();
  /// Puts back a lease read from the bucket, before any command. Lasts for ever until promote().
  void load(const LeaseRecord& record);

  /// Hangs `key` on a lease, taking it off another; the lease must exist.
  void attach(BytesView key, LeaseId id);
  /// Takes `key` off its lease, if it hangs on one.
  void detach(BytesView key);
  /// The lease that `key` hangs on, or 0.
  LeaseId lease_of(BytesView key) const;

  // The leader's part.

  /// Begins to expire leases: each is due its remaining TTL plus `extend` after `now`, or later if
  /// more than kInheritedPerSecond are; one whose turn has not come can still be renewed.
  void promote(Time now, Time extend);
  /// Every lease lasts for ever again.
  void demote();
  bool is_primary() const { return primary_; }
  /// The leases due at `now`, earliest first, at most `max_count`. Each is named again after the
  /// retry interval, as long as it is not revoked.
  std::vector<LeaseId> expired(Time now, std::size_t max_count);
  /// Keeps a lease alive for its whole TTL from `now`.
  Renewal renew(LeaseId id, Time now);
  /// The checkpoints to propose at `now`, at most `max_count`; none unless enabled.
  std::vector<Checkpoint> due_checkpoints(Time now, std::size_t max_count);

  // Questions.

  bool exists(LeaseId id) const { return slots_.contains(id); }
  std::size_t size() const { return slots_.size(); }
  std::size_t attached_keys() const { return keys_.size(); }
  /// Entries in the queue of expiries: at most twice the leases and a constant.
  std::size_t queued_expiries() const { return expiries_.size(); }
  /// Errors: lease_not_found; not_leader where nothing expires.
  absl::StatusOr<TimeToLive> time_to_live(LeaseId id, Time now) const;
  /// The keys of a lease in byte order; none if it is unknown.
  std::vector<Bytes> keys_of(LeaseId id) const;
  /// Every lease, the first to expire first, equal ones by ID.
  std::vector<LeaseId> list() const;
  /// What the bucket should hold of a lease; nothing if it is unknown.
  std::optional<LeaseRecord> record_of(LeaseId id) const;

 private:
  /// A key on a lease, linked with the lease's other keys.
  struct Attachment {
    Bytes key;
    std::uint32_t slot = 0;
    Attachment* previous = nullptr;
    Attachment* next = nullptr;
  };
  struct Lease {
    LeaseRecord record;
    /// The leadership in which this leader set the two times below; in any other they are void.
    std::uint32_t leadership = 0;
    Inheritance::Links links;
    Time expiry = kForever;
    /// The due time of this lease's entry in the queue; entries of other times are stale.
    Time queued = kForever;
    Attachment* keys = nullptr;
    std::uint32_t key_count = 0;
    bool used = false;

    std::int64_t remaining_ttl_seconds() const {
      return record.remaining_ttl_seconds > 0 ? record.remaining_ttl_seconds : record.ttl_seconds;
    }
  };
  struct AttachmentHash {
    using is_transparent = void;
    std::size_t operator()(BytesView key) const { return absl::Hash<BytesView>{}(key); }
    std::size_t operator()(const std::unique_ptr<Attachment>& a) const { return (*this)(a->key); }
  };
  struct AttachmentEqual {
    using is_transparent = void;
    static BytesView view(BytesView key) { return key; }
    static BytesView view(const std::unique_ptr<Attachment>& a) { return a->key; }
    template <class A, class B>
    bool operator()(const A& a, const B& b) const {
      return view(a) == view(b);
    }
  };

  Lease* find(LeaseId id);
  const Lease* find(LeaseId id) const;
  Lease& add(const LeaseRecord& record);
  void link(Attachment& attachment, std::uint32_t slot);
  void unlink(Attachment& attachment);
  std::vector<Bytes> sorted_keys(const Lease& lease) const;
  std::uint32_t slot_of(const Lease& lease) const;
  bool is_touched(const Lease& lease) const { return lease.leadership == leadership_; }
  /// When a lease falls due that this leader has not touched.
  Time inherited_expiry(const Lease& lease) const;
  Time expiry_of(const Lease& lease) const;
  void set_expiry(Lease& lease, Time expiry);
  void take_inherited(Time now);
  std::optional<std::uint32_t> next_inherited(Time now);
  void schedule_checkpoint(const Lease& lease, Time now);
  std::vector<std::uint32_t> slots_by_expiry() const;
  void rebuild_queue();
  void drop_stale_entries();

  const LessorOptions options_;
  bool primary_ = false;
  Time now_{0};
  /// Leases in slots: a growing table would stall at a million.
  std::deque<Lease> leases_;
  std::vector<std::uint32_t> free_slots_;
  absl::flat_hash_map<LeaseId, std::uint32_t> slots_;
  absl::flat_hash_set<std::unique_ptr<Attachment>, AttachmentHash, AttachmentEqual> keys_;
  ExpiryQueue expiries_;
  ExpiryQueue checkpoints_;

  /// Counts promotions; 0 is no lease's.
  std::uint32_t leadership_ = 1;
  Inheritance inheritance_;
  /// Where the present leadership began for the leases that it inherited.
  Time inherited_at_{0};
  /// The first list that may still hold some of them.
  std::size_t inherited_list_ = 0;
  /// The second that is counted, and how many fell due in it.
  Time taking_since_{0};
  std::size_t taken_ = 0;
};

}  // namespace holdfast::lease
