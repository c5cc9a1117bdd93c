#pragma once

#include <atomic>
#include <cstdint>

#include "datastore/base/ids.h"

namespace holdfast::node {

/// Ids of requests and leases that no two members, and no two runs of one, give twice: 16 low bits
/// of the member, 40 bits of unix milliseconds at the start, 8 bits to count on. Any thread.
/// Source: etcd-facts 3.3.
class RequestIds {
 public:
  RequestIds(MemberId member, std::int64_t unix_milliseconds)
      : next_((member.value << 48) |
              ((static_cast<std::uint64_t>(unix_milliseconds) & ((1ULL << 40) - 1)) << 8)) {}

  std::uint64_t next() { return next_.fetch_add(1, std::memory_order_relaxed) + 1; }

 private:
  std::atomic<std::uint64_t> next_;
};

}  // namespace holdfast::node
