#include "datastore/rpc/read_weight.h"

#include <algorithm>
#include <memory>
#include <variant>

#include "datastore/statemachine/txn.h"

namespace holdfast::rpc {
namespace {

using statemachine::CompareTarget;
using statemachine::DeleteRangeRequest;
using statemachine::PutRequest;
using statemachine::RangeRequest;
using statemachine::TxnRequest;

/// What is kept of each pair beside its bytes: its string, the allocator's own, a view.
constexpr std::size_t kPairBytes = 64;

bool compares_stored_bytes(const statemachine::Compare& compare) {
  return compare.target == static_cast<std::int32_t>(CompareTarget::kValue) ||
         compare.target == static_cast<std::int32_t>(CompareTarget::kLease);
}

}  // namespace

ReadWeight::ReadWeight(const TxnRequest& request) {
  for (const statemachine::Compare& compare : request.compare) add(compare, kBoth);
  for (const statemachine::RequestOp& op : request.success) add(op, kSuccess);
  for (const statemachine::RequestOp& op : request.failure) add(op, kFailure);
}

void ReadWeight::add(const PutRequest& request, Branch branch) {
  if (!request.prev_kv && !request.ignore_value) return;
  const Read read{{.range = {.key = request.key}}, branch};
  reads_.push_back(read);
  // It is written again, too.
  if (request.prev_kv && request.ignore_value) reads_.push_back(read);
}

void ReadWeight::add(const DeleteRangeRequest& request, Branch branch) {
  if (request.prev_kv) reads_.push_back({{.range = request.range}, branch});
}

void ReadWeight::add(const statemachine::Compare& compare, Branch branch) {
  const bool stored = compares_stored_bytes(compare);
  if (compare.range.single() && !stored) return;
  reads_.push_back({{.range = compare.range, .keys_only = !stored}, branch});
}

void ReadWeight::add(const statemachine::RequestOp& op, Branch branch) {
  if (const auto* range = std::get_if<RangeRequest>(&op)) {
    if (!range->count_only) reads_.push_back({statemachine::to_query(*range), branch});
  } else if (const auto* put = std::get_if<PutRequest>(&op)) {
    add(*put, branch);
  } else if (const auto* erase = std::get_if<DeleteRangeRequest>(&op)) {
    add(*erase, branch);
  } else if (const auto* nested = std::get_if<std::unique_ptr<TxnRequest>>(&op)) {
    add_nested(**nested, branch);
  }
}

void ReadWeight::add_nested(const TxnRequest& txn, Branch branch) {
  for (const statemachine::Compare& compare : txn.compare) add(compare, branch);
  for (const statemachine::RequestOp& op : txn.success) add(op, branch);
  for (const statemachine::RequestOp& op : txn.failure) add(op, branch);
}

bool ReadWeight::weigh(const mvcc::Reader& reader, std::size_t max_keys, std::size_t copies,
                       std::size_t enough_bytes) {
  std::size_t passed = 0;
  while (next_ < reads_.size()) {
    if (need_bytes(copies) > enough_bytes) return true;
    if (passed >= max_keys) return false;
    if (!cursor_) {
      mvcc::RangeQuery plain;
      plain.range = reads_[next_].query.range;
      plain.revision = reads_[next_].query.revision;
      plain.keys_only = reads_[next_].query.keys_only;
      if (mvcc::is_streamable(reads_[next_].query)) plain.limit = reads_[next_].query.limit;
      cursor_.emplace(plain);
    }
    ++passed;
    const auto step = cursor_->measure(reader, max_keys, [&](std::size_t bytes) {
      ++passed;
      ++current_.keys;
      current_.bytes += bytes;
      largest_bytes_ = std::max(largest_bytes_, bytes);
    });
    // What can't be read is told by whoever reads it.
    if (!step.ok() || step->done) count_read();
  }
  return true;
}

/// All keys of the present read have been passed.
void ReadWeight::count_read() {
  const Read& read = reads_[next_];
  const auto limit = static_cast<std::size_t>(std::max<std::int64_t>(read.query.limit, 0));
  if (limit > 0 && limit < current_.keys) {
    current_.bytes = std::min(current_.bytes, limit * largest_bytes_);
  }
  weights_[read.branch].keys += current_.keys;
  weights_[read.branch].bytes += current_.bytes;
  current_ = {};
  largest_bytes_ = 0;
  cursor_.reset();
  ++next_;
}

ReadWeight::Weight ReadWeight::heavier() const {
  const auto [success, failure, both] = weights_;
  return {both.keys + std::max(success.keys, failure.keys),
          both.bytes + std::max(success.bytes, failure.bytes)};
}

std::size_t ReadWeight::need_bytes(std::size_t copies) const {
  const Weight weight = heavier();
  return weight.bytes * copies + weight.keys * kPairBytes;
}

}  // namespace holdfast::rpc
