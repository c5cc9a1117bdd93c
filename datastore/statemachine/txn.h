#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datastore/base/bytes.h"
#include "datastore/base/ids.h"
#include "datastore/lease/lessor.h"
#include "datastore/mvcc/range.h"
#include "datastore/mvcc/store.h"
#include "datastore/mvcc/view.h"
#include "datastore/statemachine/command.h"
#include "datastore/statemachine/outcome.h"

/// Transactions in three steps, each over the whole tree of nested ones: all compares are judged
/// against the state before; what the chosen branches ask is checked, and one failure rejects it
/// all; only then anything is executed (etcd-facts 3.5).
namespace holdfast::statemachine {

/// What a transaction reads: the store at the writer's hand, or a reader's view of it.
class TxnState {
 public:
  virtual ~TxnState() = default;
  /// Before the transaction.
  virtual Revision revision() const = 0;
  virtual Revision compact_revision() const = 0;
  virtual absl::StatusOr<std::optional<mvcc::KeyPosition>> find(BytesView key) const = 0;
  virtual absl::StatusOr<std::optional<BytesView>> get(BytesView key) const = 0;
  virtual absl::StatusOr<mvcc::RangeResult> range(const mvcc::RangeQuery& query) const = 0;
  virtual bool lease_exists(LeaseId id) const = 0;
};

/// Which branch each transaction of the tree takes, in the order in which they are met.
using TxnPath = absl::InlinedVector<bool, 8>;

/// Judges all compares. Errors: the store's DataLoss.
absl::StatusOr<TxnPath> choose_path(const TxnState& state, const TxnRequest& txn);

/// Checks the chosen branches. Errors of the user: future_revision and compacted for a range's
/// revision, lease_not_found, key_not_found for ignore_value or ignore_lease on a missing key.
absl::Status check_path(const TxnState& state, const TxnRequest& txn, const TxnPath& path);

/// Walks a tree along its path: each transaction takes the next turn.
class PathWalk {
 public:
  explicit PathWalk(const TxnPath& path) : path_(path) {}
  bool next() { return path_[at_++]; }

 private:
  const TxnPath& path_;
  std::size_t at_ = 0;
};

/// The store's question for a range request.
mvcc::RangeQuery to_query(const RangeRequest& request);
/// The store's answer, its bytes copied.
RangeOutcome to_outcome(const mvcc::RangeResult& result);

/// Whether all its operations are ranges at the top level: then it never enters the log. A nested
/// transaction counts as a write, whatever is in it.
bool is_read_only(const TxnRequest& txn);
/// Whether all its operations are serializable ranges: then it needs no read index.
bool is_serializable(const TxnRequest& txn);

/// Answers a read-only transaction from a reader's view. Outcome::status holds the user's errors.
/// Errors: the store's DataLoss. Requires is_read_only() and reader.holding().
///
/// too_many_requests rather than an answer with more than `max_answer_bytes` of stored pairs.
absl::StatusOr<Outcome> evaluate_read_only(
    const TxnRequest& txn, const mvcc::Reader& reader,
    std::size_t max_answer_bytes = std::numeric_limits<std::size_t>::max());

}  // namespace holdfast::statemachine
