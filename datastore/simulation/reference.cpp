#include "datastore/simulation/reference.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "datastore/base/errors.h"

namespace holdfast::simulation {

using statemachine::CompareResult;
using statemachine::CompareTarget;

namespace {

template <class Value>
bool compares(std::int32_t how, const Value& left, const Value& right) {
  switch (static_cast<CompareResult>(how)) {
    case CompareResult::kEqual:
      return left == right;
    case CompareResult::kGreater:
      return left > right;
    case CompareResult::kLess:
      return left < right;
    case CompareResult::kNotEqual:
      return left != right;
  }
  return false;
}

std::string text(const absl::Status& status) {
  return status.ok() ? "" : std::string(status.message());
}

}  // namespace

bool Reference::applied(Index index, std::uint64_t entry_checksum,
                        const statemachine::Command& command, const statemachine::Outcome& outcome,
                        const std::string& who) {
  if (index <= last_index_) {
    const auto found = by_index_.find(index.value);
    if (!judge_.demand(found != by_index_.end(), [&] {
          return absl::StrCat(who, " applied a command at index ", index.value,
                              ", where others had none");
        })) {
      return false;
    }
    judge_.demand(found->second.entry_checksum == entry_checksum, [&] {
      return absl::StrCat(who, " applied another command at index ", index.value);
    });
    compare_outcomes(found->second, outcome, who, index);
    return false;
  }
  const auto [earlier, is_new] = index_of_request_.try_emplace(command.id, index.value);
  judge_.demand(is_new, [&] {
    return absl::StrCat("request ", command.id, " was applied at index ", earlier->second,
                        " and again at ", index.value);
  });
  changed_in_this_command_ = false;
  Applied expected = run(command);
  if (changed_in_this_command_) ++revision_;
  expected.request = command.id;
  expected.entry_checksum = entry_checksum;
  expected.changed = changed_in_this_command_;
  expected.revision = revision_;
  last_index_ = index;
  compare_outcomes(expected, outcome, who, index);
  by_index_.emplace(index.value, std::move(expected));
  return true;
}

void Reference::compare_outcomes(const Applied& expected, const statemachine::Outcome& outcome,
                                 const std::string& who, Index index) {
  judge_.demand(text(outcome.status) == expected.error, [&] {
    return absl::StrCat(who, " applied index ", index.value, " with \"", text(outcome.status),
                        "\", expected \"", expected.error, "\"");
  });
  judge_.demand(outcome.revision.value == expected.revision, [&] {
    return absl::StrCat(who, " is at revision ", outcome.revision.value, " after index ",
                        index.value, ", expected ", expected.revision);
  });
}

Reference::Applied Reference::run(const statemachine::Command& command) {
  Applied result;
  if (const auto* put_request = std::get_if<statemachine::PutRequest>(&command.body)) {
    if (put_request->lease && !leases_.contains(put_request->lease.value)) {
      result.error = text(errors::lease_not_found());
    } else {
      put(*put_request);
    }
  } else if (const auto* erase_request =
                 std::get_if<statemachine::DeleteRangeRequest>(&command.body)) {
    erase(erase_request->range);
  } else if (const auto* txn = std::get_if<statemachine::TxnRequest>(&command.body)) {
    run_txn(*txn);
  } else if (const auto* compaction = std::get_if<statemachine::CompactionRequest>(&command.body)) {
    if (compaction->revision <= compact_revision_) {
      result.error = text(errors::compacted());
    } else if (compaction->revision > revision_) {
      result.error = text(errors::future_revision());
    } else {
      compact_revision_ = compaction->revision;
    }
  } else if (const auto* grant = std::get_if<statemachine::LeaseGrantRequest>(&command.body)) {
    if (leases_.contains(grant->id.value)) {
      result.error = text(errors::lease_exists());
    } else {
      leases_[grant->id.value];
      live_leases_.insert(grant->id.value);
    }
  } else if (const auto* revoke = std::get_if<statemachine::LeaseRevokeRequest>(&command.body)) {
    const auto found = leases_.find(revoke->id.value);
    if (found == leases_.end()) {
      result.error = text(errors::lease_not_found());
    } else {
      const std::set<Bytes> keys = found->second.keys;
      leases_.erase(found);
      live_leases_.erase(revoke->id.value);
      for (const Bytes& key : keys) erase_key(key);
    }
  }
  return result;
}

// --- keys ---------------------------------------------------------------------------------------

const ReferenceValue* Reference::live(BytesView key) const {
  const auto found = keys_.find(key);
  if (found == keys_.end() || found->second.back().tombstone) return nullptr;
  return &found->second.back().value;
}

void Reference::change(const Bytes& key, Version version) {
  changed_in_this_command_ = true;
  events_.push_back({revision_ + 1, version.tombstone, key, version.value.value});
  version.value.mod_revision = revision_ + 1;
  keys_[key].push_back(std::move(version));
}

void Reference::put(const statemachine::PutRequest& request) {
  const Bytes key(request.key);
  Version next;
  const ReferenceValue* before = live(key);
  next.value.create_revision = before != nullptr ? before->create_revision : revision_ + 1;
  next.value.version = before != nullptr ? before->version + 1 : 1;
  if (before != nullptr && before->lease != 0) {
    const auto lease = leases_.find(before->lease);
    if (lease != leases_.end()) lease->second.keys.erase(key);
  }
  next.value.value = Bytes(request.value);
  next.value.lease = request.lease.value;
  if (request.lease) leases_[request.lease.value].keys.insert(key);
  change(key, std::move(next));
}

void Reference::erase_key(const Bytes& key) {
  const ReferenceValue* before = live(key);
  if (before == nullptr) return;
  if (before->lease != 0) {
    const auto lease = leases_.find(before->lease);
    if (lease != leases_.end()) lease->second.keys.erase(key);
  }
  Version next;
  next.tombstone = true;
  change(key, std::move(next));
}

std::int64_t Reference::erase(const mvcc::KeyRange& range) {
  std::vector<Bytes> doomed;
  for (auto at = keys_.lower_bound(range.key); at != keys_.end(); ++at) {
    if (range.ends_before(at->first)) break;
    if (!at->second.back().tombstone) doomed.push_back(at->first);
  }
  for (const Bytes& key : doomed) erase_key(key);
  return static_cast<std::int64_t>(doomed.size());
}

bool Reference::holds(const statemachine::Compare& compare) const {
  static const ReferenceValue kAbsent;
  const ReferenceValue* found = live(compare.range.key);
  const ReferenceValue& value = found != nullptr ? *found : kAbsent;
  switch (static_cast<CompareTarget>(compare.target)) {
    case CompareTarget::kVersion:
      return compares(compare.result, value.version, compare.number);
    case CompareTarget::kCreate:
      return compares(compare.result, value.create_revision, compare.number);
    case CompareTarget::kMod:
      return compares(compare.result, value.mod_revision, compare.number);
    case CompareTarget::kLease:
      return compares(compare.result, value.lease, compare.number);
    case CompareTarget::kValue:
      return found != nullptr && compares(compare.result, BytesView(value.value), compare.value);
  }
  return false;
}

/// Puts, deletions and reads only, as the clients here send them.
bool Reference::run_txn(const statemachine::TxnRequest& request) {
  const bool succeeded =
      std::all_of(request.compare.begin(), request.compare.end(),
                  [this](const statemachine::Compare& compare) { return holds(compare); });
  for (const statemachine::RequestOp& op : succeeded ? request.success : request.failure) {
    if (const auto* put_request = std::get_if<statemachine::PutRequest>(&op)) put(*put_request);
    if (const auto* erase_request = std::get_if<statemachine::DeleteRangeRequest>(&op)) {
      erase(erase_request->range);
    }
  }
  return succeeded;
}

// --- questions ----------------------------------------------------------------------------------

std::int64_t Reference::revision_at(Index index) const {
  auto after = by_index_.upper_bound(index.value);
  return after == by_index_.begin() ? 1 : std::prev(after)->second.revision;
}

const Reference::Applied* Reference::find(std::uint64_t request) const {
  const auto found = index_of_request_.find(request);
  return found == index_of_request_.end() ? nullptr : &by_index_.at(found->second);
}

std::size_t Reference::event_from(std::int64_t revision) const {
  const auto found = std::lower_bound(
      events_.begin(), events_.end(), revision,
      [](const ReferenceEvent& event, std::int64_t at) { return event.revision < at; });
  return static_cast<std::size_t>(found - events_.begin());
}

std::optional<ReferenceValue> Reference::get(BytesView key, std::int64_t revision) const {
  const auto found = keys_.find(key);
  if (found == keys_.end()) return std::nullopt;
  const std::vector<Version>& versions = found->second;
  const auto after =
      std::upper_bound(versions.begin(), versions.end(), revision,
                       [](std::int64_t at, const Version& v) { return at < v.value.mod_revision; });
  if (after == versions.begin() || std::prev(after)->tombstone) return std::nullopt;
  return std::prev(after)->value;
}

std::map<Bytes, ReferenceValue> Reference::range(BytesView begin, BytesView end,
                                                 std::int64_t revision) const {
  std::map<Bytes, ReferenceValue> found;
  for (auto at = keys_.lower_bound(begin); at != keys_.end() && at->first < end; ++at) {
    if (auto value = get(at->first, revision)) found.emplace(at->first, *std::move(value));
  }
  return found;
}

}  // namespace holdfast::simulation
