// Keys: range, put, delete, transaction, compaction.

#include <utility>
#include <variant>

#include "datastore/base/errors.h"
#include "datastore/base/mutants.h"
#include "datastore/mvcc/key_value.h"
#include "datastore/statemachine/statemachine.h"

namespace holdfast::statemachine {
namespace {

absl::Status damaged() {
  return absl::DataLossError(
      "mvcc: a stored value is not a key-value; restore this member from a snapshot");
}

/// The store at the writer's hand, before the transaction changes it.
class WriterState final : public TxnState {
 public:
  WriterState(const mvcc::Store& store, const mvcc::WriteTxn& txn, const lease::Lessor& lessor)
      : store_(store), txn_(txn), lessor_(lessor) {}
  Revision revision() const override { return store_.revision(); }
  Revision compact_revision() const override { return store_.compact_revision(); }
  absl::StatusOr<std::optional<mvcc::KeyPosition>> find(BytesView key) const override {
    return txn_.find(key);
  }
  absl::StatusOr<std::optional<BytesView>> get(BytesView key) const override {
    return txn_.get(key);
  }
  absl::StatusOr<mvcc::RangeResult> range(const mvcc::RangeQuery& query) const override {
    return txn_.range(query);
  }
  bool lease_exists(LeaseId id) const override { return lessor_.exists(id); }

 private:
  const mvcc::Store& store_;
  const mvcc::WriteTxn& txn_;
  const lease::Lessor& lessor_;
};

/// Sorts what a read of the store failed with: the user's mistakes into the outcome, the rest is
/// fatal.
absl::Status settle(absl::Status status, Outcome& outcome) {
  if (status == errors::compacted() || status == errors::future_revision()) {
    outcome.status = std::move(status);
    return absl::OkStatus();
  }
  return status;
}

bool needs_previous(const PutRequest& request) {
  return request.prev_kv || request.ignore_value || request.ignore_lease;
}

}  // namespace

absl::Status StateMachine::run(const RangeRequest& request, Outcome& outcome) {
  if (!takes_pairs()) {
    outcome.body = RangeOutcome{};
    return absl::OkStatus();
  }
  const auto result = store_->range(to_query(request));
  if (!result.ok()) return settle(result.status(), outcome);
  RangeOutcome answer{.more = result->more, .count = result->count};
  keep_pairs(result->kvs, answer.kvs);
  outcome.body = std::move(answer);
  return absl::OkStatus();
}

absl::Status StateMachine::run(const PutRequest& request, Outcome& outcome) {
  if (request.lease && !lessor_.exists(request.lease)) {
    outcome.status = errors::lease_not_found();
    return absl::OkStatus();
  }
  mvcc::WriteTxn txn = store_->write();
  if ((request.ignore_value || request.ignore_lease) && !txn.find(request.key)) {
    outcome.status = errors::key_not_found();
    finish(txn);
    return absl::OkStatus();
  }
  auto answer = execute(txn, request);
  finish(txn);
  if (!answer.ok()) return answer.status();
  outcome.body = *std::move(answer);
  return absl::OkStatus();
}

absl::Status StateMachine::run(const DeleteRangeRequest& request, Outcome& outcome) {
  mvcc::WriteTxn txn = store_->write();
  auto answer = execute(txn, request);
  finish(txn);
  if (!answer.ok()) return answer.status();
  outcome.body = *std::move(answer);
  return absl::OkStatus();
}

absl::Status StateMachine::run(const TxnRequest& request, Outcome& outcome) {
  mvcc::WriteTxn txn = store_->write();
  const WriterState state(*store_, txn, lessor_);
  const auto path = choose_path(state, request);
  absl::Status status = path.status();
  if (status.ok()) {
    outcome.status = check_path(state, request, *path);
    if (absl::IsDataLoss(outcome.status)) status = outcome.status;
  }
  if (status.ok() && outcome.status.ok()) {
    PathWalk walk(*path);
    auto answer = execute(txn, request, walk);
    status = answer.status();
    if (status.ok()) outcome.body = *std::move(answer);
  }
  finish(txn);
  return status;
}

absl::Status StateMachine::run(const CompactionRequest& request, Outcome& outcome) {
  outcome.status = store_->compact(Revision(request.revision));
  if (outcome.status.ok()) outcome.body = CompactionOutcome{};
  return absl::OkStatus();
}

absl::StatusOr<PutOutcome> StateMachine::execute(mvcc::WriteTxn& txn, const PutRequest& request) {
  PutOutcome answer;
  BytesView value = request.value;
  LeaseId lease = request.lease;
  if (needs_previous(request)) {
    const auto stored = txn.get(request.key);
    if (!stored.ok()) return stored.status();
    // Nothing is there if this transaction deleted the key before, which only a delete to the end
    // of all keys gets past the door: then there is nothing to keep either.
    const auto previous =
        stored->has_value() ? mvcc::parse_key_value(**stored) : std::optional(mvcc::KeyValueView());
    if (!previous) return damaged();
    if (request.ignore_value) value = previous->value;
    if (request.ignore_lease) lease = LeaseId(previous->lease);
    if (request.prev_kv && stored->has_value()) {
      std::vector<Bytes> kept;
      keep_pairs({**stored}, kept);
      if (!kept.empty()) answer.prev_kv = std::move(kept.front());
    }
  }
  const mvcc::Change& change = txn.put(request.key, value, lease);
  if (lease && lessor_.exists(lease)) {
    lessor_.attach(request.key, lease);
  } else if (change.previous && !planted(Mutant::kPutKeepsOldLease)) {
    lessor_.detach(request.key);
  }
  return answer;
}

absl::StatusOr<DeleteRangeOutcome> StateMachine::execute(mvcc::WriteTxn& txn,
                                                         const DeleteRangeRequest& request) {
  DeleteRangeOutcome answer;
  if (request.prev_kv && takes_pairs()) {
    const auto before = txn.range({.range = request.range});
    if (!before.ok()) return before.status();
    keep_pairs(before->kvs, answer.prev_kvs);
  }
  answer.deleted = txn.delete_range(request.range);
  detach_deleted(txn, answer.deleted);
  return answer;
}

absl::StatusOr<TxnOutcome> StateMachine::execute(mvcc::WriteTxn& txn, const TxnRequest& request,
                                                 PathWalk& walk) {
  TxnOutcome answer{.succeeded = walk.next()};
  const std::vector<RequestOp>& ops = answer.succeeded ? request.success : request.failure;
  answer.responses.reserve(ops.size());
  for (const RequestOp& op : ops) {
    auto response = execute(txn, op, walk);
    if (!response.ok()) return response.status();
    answer.responses.push_back(*std::move(response));
  }
  return answer;
}

absl::StatusOr<OpOutcome> StateMachine::execute(mvcc::WriteTxn& txn, const RequestOp& op,
                                                PathWalk& walk) {
  if (const auto* put = std::get_if<PutRequest>(&op)) {
    auto answer = execute(txn, *put);
    if (!answer.ok()) return answer.status();
    return OpOutcome(*std::move(answer));
  }
  if (const auto* range = std::get_if<RangeRequest>(&op)) {
    RangeOutcome answer;
    if (!takes_pairs()) return OpOutcome(std::move(answer));
    const auto found = txn.range(to_query(*range));
    if (!found.ok()) return found.status();
    answer.more = found->more;
    answer.count = found->count;
    keep_pairs(found->kvs, answer.kvs);
    return OpOutcome(std::move(answer));
  }
  if (const auto* erase = std::get_if<DeleteRangeRequest>(&op)) {
    auto answer = execute(txn, *erase);
    if (!answer.ok()) return answer.status();
    return OpOutcome(*std::move(answer));
  }
  if (const auto* nested = std::get_if<std::unique_ptr<TxnRequest>>(&op)) {
    auto answer = execute(txn, **nested, walk);
    if (!answer.ok()) return answer.status();
    return OpOutcome(std::make_unique<TxnOutcome>(*std::move(answer)));
  }
  return absl::InvalidArgumentError(
      "statemachine: a committed transaction holds an empty operation");
}

/// Whether stored pairs are still to be read for the answer; if not, they will be missing from it.
bool StateMachine::takes_pairs() {
  if (!reads_pairs_) answer_cut_ = true;
  return reads_pairs_;
}

/// Copies the pairs into the answer; none, and none from now on, if it has no room for all.
void StateMachine::keep_pairs(const std::vector<BytesView>& pairs, std::vector<Bytes>& into) {
  std::size_t total = 0;
  for (const BytesView pair : pairs) total += pair.size();
  if (total > answer_room_bytes_) {
    reads_pairs_ = false;
    answer_cut_ = true;
    return;
  }
  if (answer_room_bytes_ != kWholeAnswer) answer_room_bytes_ -= total;
  into.assign(pairs.begin(), pairs.end());
}

void StateMachine::detach_deleted(const mvcc::WriteTxn& txn, std::int64_t count) {
  if (lessor_.attached_keys() == 0) return;
  for (const mvcc::Change& change : txn.changes().last(static_cast<std::size_t>(count))) {
    lessor_.detach(change.key);
  }
}

/// Ends a transaction and makes its changes events.
void StateMachine::finish(mvcc::WriteTxn& txn) {
  txn.end();
  for (const mvcc::Change& change : txn.changes()) {
    const bool is_last_of_many = change.revision.sub > 0 && &change == &txn.changes().back();
    if (planted(Mutant::kEventSkipped) && is_last_of_many) continue;
    const Revision revision(change.revision.main);
    if (change.tombstone) {
      events_.add_delete(revision, change.revision.sub, change.key);
    } else {
      events_.add_put(revision, change.revision.sub, change.key, change.kv,
                      !change.previous.has_value());
    }
  }
}

}  // namespace holdfast::statemachine
