#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "datastore/mvcc/range.h"
#include "datastore/mvcc/view.h"
#include "datastore/statemachine/command.h"

namespace holdfast::rpc {

/// What a request makes the member that answers it hold of stored pairs: ranges, what was before
/// puts and deletions, values compared over a range. Of a transaction's two branches the heavier
/// counts; of a nested one both, since which it takes is not known before it is applied.
///
/// Told in steps, without reading a value. It speaks of the moment at which it was weighed.
class ReadWeight {
 public:
  /// The views of `request` must outlive this.
  explicit ReadWeight(const statemachine::TxnRequest& request);
  explicit ReadWeight(const statemachine::PutRequest& request) { add(request, kBoth); }
  explicit ReadWeight(const statemachine::DeleteRangeRequest& request) { add(request, kBoth); }

  /// Whether it reads nothing, whatever the store holds.
  bool is_nothing() const { return reads_.empty(); }

  /// Goes on, past `max_keys` of keys and operations. True once all is weighed, or it is known to
  /// need more than `enough_bytes` if `copies` are made of it.
  bool weigh(const mvcc::Reader& reader, std::size_t max_keys, std::size_t copies,
             std::size_t enough_bytes);

  /// Of pairs, as far as they were weighed.
  std::size_t pair_bytes() const { return heavier().bytes; }
  /// Memory for so many copies of the pairs, and for what is kept of each beside.
  std::size_t need_bytes(std::size_t copies) const;

 private:
  /// Which of a transaction's branches a read belongs to.
  enum Branch : std::uint8_t { kSuccess, kFailure, kBoth };
  struct Read {
    mvcc::RangeQuery query;
    Branch branch = kBoth;
  };
  struct Weight {
    std::size_t keys = 0;
    std::size_t bytes = 0;
  };

  void add(const statemachine::PutRequest& request, Branch branch);
  void add(const statemachine::DeleteRangeRequest& request, Branch branch);
  void add(const statemachine::Compare& compare, Branch branch);
  void add(const statemachine::RequestOp& op, Branch branch);
  void add_nested(const statemachine::TxnRequest& txn, Branch branch);
  void count_read();
  Weight heavier() const;

  std::vector<Read> reads_;
  std::size_t next_ = 0;
  std::optional<mvcc::RangeCursor> cursor_;  // in reads_[next_]
  Weight current_;                           // what it has passed
  std::size_t largest_bytes_ = 0;            // of its pairs
  std::array<Weight, 3> weights_{};          // by branch
};

}  // namespace holdfast::rpc
