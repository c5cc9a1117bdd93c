#include "datastore/statemachine/validate.h"

#include <algorithm>
#include <map>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "datastore/base/errors.h"

namespace holdfast::statemachine {
namespace {

bool has_default_order(const RangeRequest& request) {
  const auto order = static_cast<SortOrder>(request.sort_order);
  const auto target = static_cast<SortTarget>(request.sort_target);
  return order == SortOrder::kNone || (order == SortOrder::kAscend && target == SortTarget::kKey);
}

bool has_revision_filters(const RangeRequest& request) {
  return request.min_mod_revision != 0 || request.max_mod_revision != 0 ||
         request.min_create_revision != 0 || request.max_create_revision != 0;
}

absl::Status check_shape(const TxnRequest& request, std::size_t max_ops);

absl::Status check_op(const RequestOp& op, std::size_t max_ops) {
  struct Check {
    std::size_t max_ops;
    absl::Status operator()(const RangeRequest& request) const { return check_range(request); }
    absl::Status operator()(const PutRequest& request) const { return check_put(request); }
    absl::Status operator()(const DeleteRangeRequest& request) const {
      return check_delete(request);
    }
    absl::Status operator()(const std::unique_ptr<TxnRequest>& request) const {
      return request ? check_shape(*request, max_ops) : errors::key_not_found();
    }
    absl::Status operator()(std::monostate) const { return errors::key_not_found(); }
  };
  return std::visit(Check{max_ops}, op);
}

/// Counts, keys and options, recursively.
absl::Status check_shape(const TxnRequest& request, std::size_t max_ops) {
  const std::size_t longest =
      std::max({request.compare.size(), request.success.size(), request.failure.size()});
  if (longest > max_ops) return errors::too_many_ops();
  for (const Compare& compare : request.compare) {
    if (compare.range.key.empty()) return errors::empty_key();
  }
  for (const auto* branch : {&request.success, &request.failure}) {
    for (const RequestOp& op : *branch) {
      if (absl::Status status = check_op(op, max_ops - longest); !status.ok()) return status;
    }
  }
  return absl::OkStatus();
}

/// A union of intervals, kept disjoint, so that a branch of thousands of deletes stays cheap to
/// ask.
class DeletedKeys {
 public:
  void add(const KeyRange& range) {
    if (range.end.empty()) {
      points_.insert(range.key);
    } else if (range.key < range.end) {
      add_interval(range.key, range.end);
    }
  }
  void add_all(const DeletedKeys& other) {
    points_.insert(other.points_.begin(), other.points_.end());
    for (const auto& [begin, end] : other.intervals_) add_interval(begin, end);
  }
  bool contains(BytesView key) const {
    if (points_.contains(key)) return true;
    auto after = intervals_.upper_bound(key);
    return after != intervals_.begin() && key < std::prev(after)->second;
  }

 private:
  void add_interval(BytesView begin, BytesView end) {
    auto at = intervals_.upper_bound(begin);
    if (at != intervals_.begin() && std::prev(at)->second >= begin) {
      --at;
      begin = at->first;
    }
    while (at != intervals_.end() && at->first <= end) {
      end = std::max(end, at->second);
      at = intervals_.erase(at);
    }
    intervals_.emplace(begin, end);
  }

  absl::flat_hash_set<BytesView> points_;
  std::map<BytesView, BytesView> intervals_;  // begin → end, disjoint
};

struct Touched {
  absl::flat_hash_set<BytesView> puts;
  DeletedKeys deletes;
};

/// Whether a branch of a nested transaction may put what it puts beside what `level` did so far.
/// `sibling`, the other branch if it has joined the level already, never runs together with it.
bool may_join(const Touched& branch, const Touched& level, const Touched* sibling) {
  return std::all_of(branch.puts.begin(), branch.puts.end(), [&](BytesView key) {
    const bool taken =
        level.puts.contains(key) && (sibling == nullptr || !sibling->puts.contains(key));
    return !taken && !level.deletes.contains(key);
  });
}

absl::StatusOr<Touched> touched_by(const std::vector<RequestOp>& ops);

/// One nested transaction: its branches are checked against what this level deletes and has put so
/// far, then join it.
absl::Status add_nested(const TxnRequest& nested, Touched& touched) {
  absl::StatusOr<Touched> then = touched_by(nested.success);
  if (!then.ok()) return then.status();
  absl::StatusOr<Touched> otherwise = touched_by(nested.failure);
  if (!otherwise.ok()) return otherwise.status();
  if (!may_join(*then, touched, nullptr)) return errors::duplicate_key();
  touched.puts.insert(then->puts.begin(), then->puts.end());
  if (!may_join(*otherwise, touched, &*then)) return errors::duplicate_key();
  touched.puts.insert(otherwise->puts.begin(), otherwise->puts.end());
  touched.deletes.add_all(then->deletes);
  touched.deletes.add_all(otherwise->deletes);
  return absl::OkStatus();
}

/// What a list of operations puts and deletes. The order is etcd's and shows: this level's deletes
/// first, then nested transactions one by one, then this level's puts. So a nested transaction's
/// deletes are held against later puts only.
absl::StatusOr<Touched> touched_by(const std::vector<RequestOp>& ops) {
  Touched touched;
  for (const RequestOp& op : ops) {
    if (const auto* request = std::get_if<DeleteRangeRequest>(&op)) {
      touched.deletes.add(request->range);
    }
  }
  for (const RequestOp& op : ops) {
    const auto* request = std::get_if<std::unique_ptr<TxnRequest>>(&op);
    if (request == nullptr) continue;
    if (absl::Status status = add_nested(**request, touched); !status.ok()) return status;
  }
  for (const RequestOp& op : ops) {
    const auto* request = std::get_if<PutRequest>(&op);
    if (request == nullptr) continue;
    if (touched.deletes.contains(request->key)) return errors::duplicate_key();
    if (!touched.puts.insert(request->key).second) return errors::duplicate_key();
  }
  return touched;
}

}  // namespace

absl::Status check_range(const RangeRequest& request) {
  if (request.range.key.empty()) return errors::empty_key();
  if (request.sort_order < 0 || request.sort_order > static_cast<int>(SortOrder::kDescend) ||
      request.sort_target < 0 || request.sort_target > static_cast<int>(SortTarget::kValue)) {
    return errors::invalid_sort_option();
  }
  return absl::OkStatus();
}

absl::Status check_range_stream(const RangeRequest& request) {
  if (absl::Status status = check_range(request); !status.ok()) return status;
  if (!has_default_order(request)) {
    return absl::UnimplementedError("RangeStream does not support custom sort orders");
  }
  if (has_revision_filters(request)) {
    return absl::UnimplementedError("RangeStream does not support revision filters");
  }
  return absl::OkStatus();
}

absl::Status check_put(const PutRequest& request) {
  if (request.key.empty()) return errors::empty_key();
  if (request.ignore_value && !request.value.empty()) return errors::value_provided();
  if (request.ignore_lease && request.lease) return errors::lease_provided();
  return absl::OkStatus();
}

absl::Status check_delete(const DeleteRangeRequest& request) {
  return request.range.key.empty() ? errors::empty_key() : absl::OkStatus();
}

absl::Status check_txn(const TxnRequest& request, std::size_t max_ops) {
  if (absl::Status status = check_shape(request, max_ops); !status.ok()) return status;
  if (absl::Status status = touched_by(request.success).status(); !status.ok()) return status;
  return touched_by(request.failure).status();
}

}  // namespace holdfast::statemachine
