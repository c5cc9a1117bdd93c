#include "datastore/lease/lessor.h"

#include <algorithm>
#include <limits>

#include "datastore/base/check.h"
#include "datastore/base/errors.h"
#include "datastore/base/mutants.h"

namespace holdfast::lease {
namespace {

using std::chrono::duration_cast;
using std::chrono::seconds;

/// Stale queue entries tolerated beyond the number of leases before the queue is rebuilt.
constexpr std::size_t kStaleSlack = 1024;

/// a + b for b >= 0, at most kForever.
Time saturating_add(Time a, Time b) {
  return a > kForever - b ? kForever : a + b;
}

Time whole_seconds(std::int64_t count) {
  constexpr std::int64_t kMaxSeconds = std::numeric_limits<std::int64_t>::max() / 1'000'000'000;
  return Time(seconds(std::min(count, kMaxSeconds)));
}

}  // namespace

std::int64_t min_ttl_seconds(std::chrono::milliseconds election_timeout) {
  const std::int64_t milliseconds = (3 * election_timeout.count() + 1) / 2;
  return (milliseconds + 999) / 1000;
}

Lessor::Lessor(const LessorOptions& options) : options_(options) {
}

Lessor::Lease* Lessor::find(LeaseId id) {
  const auto found = slots_.find(id);
  return found == slots_.end() ? nullptr : &leases_[found->second];
}
const Lessor::Lease* Lessor::find(LeaseId id) const {
  const auto found = slots_.find(id);
  return found == slots_.end() ? nullptr : &leases_[found->second];
}

Lessor::Lease& Lessor::add(const LeaseRecord& record) {
  std::uint32_t slot = 0;
  if (free_slots_.empty()) {
    slot = static_cast<std::uint32_t>(leases_.size());
    leases_.emplace_back();
  } else {
    slot = free_slots_.back();
    free_slots_.pop_back();
  }
  HOLDFAST_CHECK(slots_.emplace(record.id, slot).second);
  Lease& lease = leases_[slot];
  lease = Lease{};
  lease.record = record;
  lease.record.ttl_seconds = std::max(record.ttl_seconds, options_.min_ttl_seconds);
  lease.used = true;
  inheritance_.add_untouched(leases_, slot, Inheritance::list_of(lease.remaining_ttl_seconds()));
  return lease;
}

absl::StatusOr<LeaseRecord> Lessor::grant(LeaseId id, std::int64_t ttl_seconds) {
  if (!id) return errors::lease_not_found();
  if (ttl_seconds > kMaxTtlSeconds) return errors::lease_ttl_too_large();
  if (exists(id)) return errors::lease_exists();
  Lease& lease = add({.id = id, .ttl_seconds = ttl_seconds});
  if (primary_) {
    set_expiry(lease, saturating_add(now_, whole_seconds(lease.record.ttl_seconds)));
    schedule_checkpoint(lease, now_);
  }
  return lease.record;
}

absl::StatusOr<std::vector<Bytes>> Lessor::revoke(LeaseId id) {
  const auto found = slots_.find(id);
  if (found == slots_.end()) return errors::lease_not_found();
  const std::uint32_t slot = found->second;
  std::vector<Bytes> keys = sorted_keys(leases_[slot]);
  for (const Bytes& key : keys) detach(key);
  inheritance_.remove(leases_, slot, Inheritance::list_of(leases_[slot].remaining_ttl_seconds()));
  leases_[slot] = Lease{};
  free_slots_.push_back(slot);
  slots_.erase(found);
  drop_stale_entries();
  return keys;
}

std::optional<LeaseRecord> Lessor::checkpoint(LeaseId id, std::int64_t remaining_ttl_seconds) {
  Lease* lease = find(id);
  if (lease == nullptr) return std::nullopt;
  // Counted from the beginning of this leadership the shortened TTL would be too short.
  if (primary_ && !is_touched(*lease)) set_expiry(*lease, inherited_expiry(*lease));
  const std::uint32_t slot = slot_of(*lease);
  inheritance_.remove(leases_, slot, Inheritance::list_of(lease->remaining_ttl_seconds()));
  lease->record.remaining_ttl_seconds = remaining_ttl_seconds;
  const std::size_t list = Inheritance::list_of(lease->remaining_ttl_seconds());
  if (is_touched(*lease)) {
    inheritance_.add_touched(leases_, slot, list);
  } else {
    inheritance_.add_untouched(leases_, slot, list);
  }
  if (primary_) schedule_checkpoint(*lease, now_);
  return lease->record;
}

void Lessor::clear() {
  demote();
  inheritance_.clear();
  keys_.clear();
  slots_.clear();
  free_slots_.clear();
  leases_.clear();
}

void Lessor::load(const LeaseRecord& record) {
  add(record);
}

void Lessor::attach(BytesView key, LeaseId id) {
  const auto found = slots_.find(id);
  HOLDFAST_CHECK(found != slots_.end());
  const std::uint32_t slot = found->second;
  const auto attached = keys_.find(key);
  if (attached == keys_.end()) {
    auto fresh = std::make_unique<Attachment>();
    fresh->key = key;
    link(*fresh, slot);
    keys_.insert(std::move(fresh));
    return;
  }
  if ((*attached)->slot == slot) return;
  unlink(**attached);
  link(**attached, slot);
}

void Lessor::detach(BytesView key) {
  if (keys_.empty()) return;
  const auto attached = keys_.find(key);
  if (attached == keys_.end()) return;
  unlink(**attached);
  keys_.erase(attached);
}

LeaseId Lessor::lease_of(BytesView key) const {
  if (keys_.empty()) return LeaseId();
  const auto attached = keys_.find(key);
  return attached == keys_.end() ? LeaseId() : leases_[(*attached)->slot].record.id;
}

void Lessor::link(Attachment& attachment, std::uint32_t slot) {
  Lease& lease = leases_[slot];
  attachment.slot = slot;
  attachment.previous = nullptr;
  attachment.next = lease.keys;
  if (lease.keys != nullptr) lease.keys->previous = &attachment;
  lease.keys = &attachment;
  ++lease.key_count;
}

void Lessor::unlink(Attachment& attachment) {
  Lease& lease = leases_[attachment.slot];
  if (attachment.previous != nullptr) {
    attachment.previous->next = attachment.next;
  } else {
    lease.keys = attachment.next;
  }
  if (attachment.next != nullptr) attachment.next->previous = attachment.previous;
  --lease.key_count;
}

std::vector<Bytes> Lessor::sorted_keys(const Lease& lease) const {
  std::vector<Bytes> keys;
  keys.reserve(lease.key_count);
  for (const Attachment* at = lease.keys; at != nullptr; at = at->next) keys.push_back(at->key);
  std::sort(keys.begin(), keys.end());
  return keys;
}

std::uint32_t Lessor::slot_of(const Lease& lease) const {
  return slots_.find(lease.record.id)->second;
}

Time Lessor::inherited_expiry(const Lease& lease) const {
  const std::int64_t left =
      planted(Mutant::kLeaseExpiryForgotten) ? 0 : lease.remaining_ttl_seconds();
  return saturating_add(inherited_at_, whole_seconds(left));
}

Time Lessor::expiry_of(const Lease& lease) const {
  if (!primary_) return kForever;
  return is_touched(lease) ? lease.expiry : inherited_expiry(lease);
}

void Lessor::set_expiry(Lease& lease, Time expiry) {
  if (!is_touched(lease)) {
    const std::uint32_t slot = slot_of(lease);
    const std::size_t list = Inheritance::list_of(lease.remaining_ttl_seconds());
    inheritance_.remove(leases_, slot, list);
    inheritance_.add_touched(leases_, slot, list);
    lease.leadership = leadership_;
    lease.queued = kForever;
  }
  lease.expiry = expiry;
  // An entry that comes too early is moved when it surfaces: a keep-alive costs no heap work.
  if (lease.queued != kForever && lease.queued <= expiry) return;
  lease.queued = expiry;
  expiries_.push({expiry, lease.record.id});
}

void Lessor::promote(Time now, Time extend) {
  demote();
  now_ = now;
  primary_ = true;
  inherited_at_ = saturating_add(now, extend);
  inherited_list_ = 0;
  taking_since_ = now;
  taken_ = 0;
  if (!options_.checkpoints) return;
  for (const Lease& lease : leases_) {
    if (lease.used) schedule_checkpoint(lease, now);
  }
}

void Lessor::demote() {
  primary_ = false;
  ++leadership_;
  expiries_.assign({});
  checkpoints_.assign({});
}

std::optional<std::uint32_t> Lessor::next_inherited(Time now) {
  for (; inherited_list_ < Inheritance::kLists; ++inherited_list_) {
    const std::int64_t least = planted(Mutant::kLeaseExpiryForgotten)
                                   ? 0
                                   : Inheritance::least_ttl_seconds(inherited_list_);
    if (saturating_add(inherited_at_, whole_seconds(least)) > now) return std::nullopt;
    const std::uint32_t last = inheritance_.last(inherited_list_);
    if (last != Inheritance::kNone && !is_touched(leases_[last])) return last;
  }
  return std::nullopt;
}

// What falls due together is spread over seconds, each taking three quarters of what etcd can
// revoke in one; who keeps a lease alive meanwhile keeps it. Source: etcd-facts 3.9.
void Lessor::take_inherited(Time now) {
  if (now - taking_since_ >= seconds(1)) {
    taking_since_ = now;
    taken_ = 0;
  }
  for (; taken_ < kInheritedPerSecond; ++taken_) {
    const std::optional<std::uint32_t> slot = next_inherited(now);
    if (!slot) return;
    Lease& lease = leases_[*slot];
    set_expiry(lease, inherited_expiry(lease));
  }
}

std::vector<std::uint32_t> Lessor::slots_by_expiry() const {
  std::vector<std::uint32_t> slots;
  slots.reserve(size());
  for (std::uint32_t slot = 0; slot < leases_.size(); ++slot) {
    if (leases_[slot].used) slots.push_back(slot);
  }
  std::sort(slots.begin(), slots.end(), [this](std::uint32_t a, std::uint32_t b) {
    const LeaseId left = leases_[a].record.id;
    const LeaseId right = leases_[b].record.id;
    const Time left_due = expiry_of(leases_[a]);
    const Time right_due = expiry_of(leases_[b]);
    return left_due != right_due ? left_due < right_due : left < right;
  });
  return slots;
}

void Lessor::rebuild_queue() {
  std::vector<ExpiryQueue::Entry> entries;
  entries.reserve(size());
  for (Lease& lease : leases_) {
    if (!lease.used || !is_touched(lease)) continue;
    lease.queued = lease.expiry;
    entries.push_back({lease.expiry, lease.record.id});
  }
  expiries_.assign(std::move(entries));
}

// Leases granted for long and revoked soon leave entries behind; without a bound they would pile
// up.
void Lessor::drop_stale_entries() {
  if (primary_ && expiries_.size() > 2 * size() + kStaleSlack) rebuild_queue();
}

std::vector<LeaseId> Lessor::expired(Time now, std::size_t max_count) {
  std::vector<LeaseId> due;
  if (!primary_) return due;
  take_inherited(now);
  while (!expiries_.empty() && expiries_.front().due <= now && due.size() < max_count) {
    const ExpiryQueue::Entry entry = expiries_.front();
    expiries_.pop();
    Lease* lease = find(entry.id);
    if (lease == nullptr || !is_touched(*lease) || lease->queued != entry.due) continue;
    if (lease->expiry <= now) {
      due.push_back(entry.id);
      lease->queued = saturating_add(now, options_.retry_interval);
    } else {
      lease->queued = lease->expiry;
    }
    expiries_.push({lease->queued, entry.id});
  }
  return due;
}

Renewal Lessor::renew(LeaseId id, Time now) {
  if (!primary_) return {.result = Renewal::Result::kNotPrimary};
  Lease* lease = find(id);
  if (lease == nullptr) return {.result = Renewal::Result::kNotFound};
  if (!is_touched(*lease)) take_inherited(now);
  if (is_touched(*lease) && lease->expiry <= now) return {.result = Renewal::Result::kExpired};
  set_expiry(*lease, saturating_add(now, whole_seconds(lease->record.ttl_seconds)));
  return {.result = Renewal::Result::kRenewed,
          .ttl_seconds = lease->record.ttl_seconds,
          .clear_checkpoint = options_.checkpoints && lease->record.remaining_ttl_seconds > 0};
}

void Lessor::schedule_checkpoint(const Lease& lease, Time now) {
  if (!options_.checkpoints) return;
  if (whole_seconds(lease.remaining_ttl_seconds()) <= options_.checkpoint_interval) return;
  checkpoints_.push({saturating_add(now, options_.checkpoint_interval), lease.record.id});
}

std::vector<Checkpoint> Lessor::due_checkpoints(Time now, std::size_t max_count) {
  std::vector<Checkpoint> due;
  while (!checkpoints_.empty() && checkpoints_.front().due <= now && due.size() < max_count) {
    const LeaseId id = checkpoints_.front().id;
    checkpoints_.pop();
    const Lease* lease = find(id);
    if (lease == nullptr || expiry_of(*lease) <= now) continue;
    const std::int64_t left = std::chrono::ceil<seconds>(expiry_of(*lease) - now).count();
    if (left < lease->record.ttl_seconds) due.push_back({id, left});
  }
  return due;
}

absl::StatusOr<TimeToLive> Lessor::time_to_live(LeaseId id, Time now) const {
  const Lease* lease = find(id);
  if (lease == nullptr) return errors::lease_not_found();
  if (!primary_) return errors::not_leader();
  return TimeToLive{.granted_ttl_seconds = lease->record.ttl_seconds,
                    .ttl_seconds = duration_cast<seconds>(expiry_of(*lease) - now).count()};
}

std::vector<Bytes> Lessor::keys_of(LeaseId id) const {
  const Lease* lease = find(id);
  return lease == nullptr ? std::vector<Bytes>() : sorted_keys(*lease);
}

std::vector<LeaseId> Lessor::list() const {
  std::vector<LeaseId> ids;
  ids.reserve(size());
  for (const std::uint32_t slot : slots_by_expiry()) ids.push_back(leases_[slot].record.id);
  return ids;
}

std::optional<LeaseRecord> Lessor::record_of(LeaseId id) const {
  const Lease* lease = find(id);
  return lease == nullptr ? std::nullopt : std::optional(lease->record);
}

}  // namespace holdfast::lease
