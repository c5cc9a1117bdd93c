#include "datastore/statemachine/txn.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "datastore/base/check.h"
#include "datastore/base/errors.h"
#include "datastore/mvcc/key_value.h"

namespace holdfast::statemachine {
namespace {

absl::Status damaged() {
  return absl::DataLossError(
      "mvcc: a stored value is not a key-value; restore this member from a snapshot");
}

int sign(std::int64_t left, std::int64_t right) {
  return int{left > right} - int{left < right};
}

/// The oneof case that fits a target.
constexpr std::int32_t operand_of(CompareTarget target) {
  switch (target) {
    case CompareTarget::kVersion:
      return 4;
    case CompareTarget::kCreate:
      return 5;
    case CompareTarget::kMod:
      return 6;
    case CompareTarget::kValue:
      return 7;
    case CompareTarget::kLease:
      return 8;
  }
  return 0;
}

/// How a key stands to the operand: below 0, 0 or above. A target etcd does not know is equal.
int order_of(const Compare& compare, const mvcc::KeyValueView& kv) {
  const auto target = static_cast<CompareTarget>(compare.target);
  const bool fits = compare.operand_field == operand_of(target);
  const std::int64_t number = fits ? compare.number : 0;
  switch (target) {
    case CompareTarget::kVersion:
      return sign(kv.version, number);
    case CompareTarget::kCreate:
      return sign(kv.create_revision, number);
    case CompareTarget::kMod:
      return sign(kv.mod_revision, number);
    case CompareTarget::kValue:
      return kv.value.compare(fits ? compare.value : BytesView());
    case CompareTarget::kLease:
      return sign(kv.lease, number);
  }
  return 0;
}

/// A result etcd does not know always holds.
bool accepts(std::int32_t result, int order) {
  switch (static_cast<CompareResult>(result)) {
    case CompareResult::kEqual:
      return order == 0;
    case CompareResult::kGreater:
      return order > 0;
    case CompareResult::kLess:
      return order < 0;
    case CompareResult::kNotEqual:
      return order != 0;
  }
  return true;
}

bool holds_for(const Compare& compare, const mvcc::KeyValueView& kv) {
  return accepts(compare.result, order_of(compare, kv));
}

bool is_value_compare(const Compare& compare) {
  return compare.target == static_cast<std::int32_t>(CompareTarget::kValue);
}

/// Whether the index alone answers, without the stored bytes.
bool is_index_compare(const Compare& compare) {
  return !is_value_compare(compare) &&
         compare.target != static_cast<std::int32_t>(CompareTarget::kLease);
}

/// A missing key compares as zeros, except that no value compare holds for it.
bool holds_for_nothing(const Compare& compare) {
  return !is_value_compare(compare) && holds_for(compare, {});
}

absl::StatusOr<bool> holds_for_position(const TxnState& state, const Compare& compare) {
  const auto position = state.find(compare.range.key);
  if (!position.ok()) return position.status();
  if (!position->has_value()) return holds_for_nothing(compare);
  return holds_for(compare, {.create_revision = (*position)->create_revision,
                             .mod_revision = (*position)->mod_revision.main,
                             .version = (*position)->version});
}

absl::StatusOr<bool> holds_for_key(const TxnState& state, const Compare& compare) {
  const auto bytes = state.get(compare.range.key);
  if (!bytes.ok()) return bytes.status();
  if (!bytes->has_value()) return holds_for_nothing(compare);
  const auto kv = mvcc::parse_key_value(**bytes);
  if (!kv) return damaged();
  return holds_for(compare, *kv);
}

absl::StatusOr<bool> holds_for_range(const TxnState& state, const Compare& compare) {
  const auto found = state.range({.range = compare.range, .keys_only = is_index_compare(compare)});
  if (!found.ok()) return found.status();
  if (found->kvs.empty()) return holds_for_nothing(compare);
  for (const BytesView bytes : found->kvs) {
    const auto kv = mvcc::parse_key_value(bytes);
    if (!kv) return damaged();
    if (!holds_for(compare, *kv)) return false;
  }
  return true;
}

absl::StatusOr<bool> holds(const TxnState& state, const Compare& compare) {
  if (!compare.range.single()) return holds_for_range(state, compare);
  return is_index_compare(compare) ? holds_for_position(state, compare)
                                   : holds_for_key(state, compare);
}

absl::StatusOr<bool> all_hold(const TxnState& state, const std::vector<Compare>& compares) {
  for (const Compare& compare : compares) {
    const auto held = holds(state, compare);
    if (!held.ok() || !*held) return held;
  }
  return true;
}

absl::Status add_path(const TxnState& state, const TxnRequest& txn, TxnPath& path) {
  const auto succeeded = all_hold(state, txn.compare);
  if (!succeeded.ok()) return succeeded.status();
  path.push_back(*succeeded);
  for (const RequestOp& op : *succeeded ? txn.success : txn.failure) {
    const auto* nested = std::get_if<std::unique_ptr<TxnRequest>>(&op);
    if (nested == nullptr) continue;
    if (absl::Status status = add_path(state, **nested, path); !status.ok()) return status;
  }
  return absl::OkStatus();
}

/// Only 0 means the newest here, unlike in a range of its own.
absl::Status check_range_revision(const TxnState& state, const RangeRequest& request) {
  if (request.revision == 0) return absl::OkStatus();
  if (request.revision > state.revision().value) return errors::future_revision();
  if (request.revision < state.compact_revision().value) return errors::compacted();
  return absl::OkStatus();
}

absl::Status check_put_against(const TxnState& state, const PutRequest& request) {
  if (request.lease && !state.lease_exists(request.lease)) return errors::lease_not_found();
  if (!request.ignore_value && !request.ignore_lease) return absl::OkStatus();
  const auto position = state.find(request.key);
  if (!position.ok()) return position.status();
  return position->has_value() ? absl::OkStatus() : errors::key_not_found();
}

absl::Status check_ops(const TxnState& state, const TxnRequest& txn, PathWalk& walk) {
  for (const RequestOp& op : walk.next() ? txn.success : txn.failure) {
    absl::Status status;
    if (const auto* range = std::get_if<RangeRequest>(&op)) {
      status = check_range_revision(state, *range);
    } else if (const auto* put = std::get_if<PutRequest>(&op)) {
      status = check_put_against(state, *put);
    } else if (const auto* nested = std::get_if<std::unique_ptr<TxnRequest>>(&op)) {
      status = check_ops(state, **nested, walk);
    }
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

/// A reader's view. It knows no leases, and read-only transactions never ask.
class ReaderState final : public TxnState {
 public:
  explicit ReaderState(const mvcc::Reader& reader) : reader_(reader) {}
  Revision revision() const override { return reader_.view().revision; }
  Revision compact_revision() const override { return reader_.view().compact_revision; }
  absl::StatusOr<std::optional<mvcc::KeyPosition>> find(BytesView key) const override {
    const auto bytes = reader_.get(key);
    if (!bytes.ok()) return bytes.status();
    if (!bytes->has_value()) return std::optional<mvcc::KeyPosition>();
    const auto kv = mvcc::parse_key_value(**bytes);
    if (!kv) return damaged();
    return mvcc::KeyPosition{.create_revision = kv->create_revision,
                             .mod_revision = {.main = kv->mod_revision},
                             .version = kv->version};
  }
  absl::StatusOr<std::optional<BytesView>> get(BytesView key) const override {
    return reader_.get(key);
  }
  absl::StatusOr<mvcc::RangeResult> range(const mvcc::RangeQuery& query) const override {
    return reader_.range(query);
  }
  bool lease_exists(LeaseId) const override { return false; }

 private:
  const mvcc::Reader& reader_;
};

/// Whether every operation of both branches is a range that `accept` takes.
template <class Accept>
bool all_ranges(const TxnRequest& txn, Accept accept) {
  const auto fits = [&](const RequestOp& op) {
    const auto* range = std::get_if<RangeRequest>(&op);
    return range != nullptr && accept(*range);
  };
  return std::all_of(txn.success.begin(), txn.success.end(), fits) &&
         std::all_of(txn.failure.begin(), txn.failure.end(), fits);
}

bool is_users(const absl::Status& status) {
  return status.code() != absl::StatusCode::kDataLoss;
}

}  // namespace

absl::StatusOr<TxnPath> choose_path(const TxnState& state, const TxnRequest& txn) {
  TxnPath path;
  if (absl::Status status = add_path(state, txn, path); !status.ok()) return status;
  return path;
}

absl::Status check_path(const TxnState& state, const TxnRequest& txn, const TxnPath& path) {
  PathWalk walk(path);
  return check_ops(state, txn, walk);
}

mvcc::RangeQuery to_query(const RangeRequest& request) {
  return {.range = request.range,
          .revision = request.revision,
          .limit = request.limit,
          .sort_order = static_cast<SortOrder>(request.sort_order),
          .sort_target = static_cast<SortTarget>(request.sort_target),
          .keys_only = request.keys_only,
          .count_only = request.count_only,
          .min_mod_revision = request.min_mod_revision,
          .max_mod_revision = request.max_mod_revision,
          .min_create_revision = request.min_create_revision,
          .max_create_revision = request.max_create_revision};
}

RangeOutcome to_outcome(const mvcc::RangeResult& result) {
  return {.kvs = std::vector<Bytes>(result.kvs.begin(), result.kvs.end()),
          .more = result.more,
          .count = result.count};
}

bool is_read_only(const TxnRequest& txn) {
  return all_ranges(txn, [](const RangeRequest&) { return true; });
}

bool is_serializable(const TxnRequest& txn) {
  return all_ranges(txn, [](const RangeRequest& range) { return range.serializable; });
}

absl::StatusOr<Outcome> evaluate_read_only(const TxnRequest& txn, const mvcc::Reader& reader,
                                           std::size_t max_answer_bytes) {
  HOLDFAST_CHECK(is_read_only(txn));
  const ReaderState state(reader);
  Outcome outcome{.revision = state.revision()};
  const auto path = choose_path(state, txn);
  if (!path.ok()) return path.status();
  outcome.status = check_path(state, txn, *path);
  if (!outcome.status.ok()) {
    if (!is_users(outcome.status)) return outcome.status;
    return outcome;
  }
  TxnOutcome answer{.succeeded = path->front()};
  for (const RequestOp& op : answer.succeeded ? txn.success : txn.failure) {
    const auto result = reader.range(to_query(std::get<RangeRequest>(op)));
    if (!result.ok()) return result.status();
    for (const BytesView kv : result->kvs) {
      if (kv.size() > max_answer_bytes) return errors::too_many_requests();
      max_answer_bytes -= kv.size();
    }
    answer.responses.emplace_back(to_outcome(*result));
  }
  outcome.body = std::move(answer);
  return outcome;
}

}  // namespace holdfast::statemachine
