#pragma once

#include <atomic>
#include <cstddef>
#include <limits>
#include <memory>

namespace holdfast::rpc {

/// What the answers of small writes that read (a transaction that fails and shows the object, as
/// Kubernetes' do) may hold together between being proposed and being answered. They wait in no
/// line and ask nobody while there is room; thousands of them at once, of a value each that is as
/// big as values may be, would need more than all big ones together.
///
/// Any thread. Outlives every share.
class SmallReads {
 public:
  /// Of the process's limit; 0: no bound.
  explicit SmallReads(std::size_t memory_limit_bytes)
      : limit_bytes_(memory_limit_bytes == 0 ? std::numeric_limits<std::size_t>::max()
                                             : memory_limit_bytes / kLimitShare) {}

  /// A part of it, given back with the last reference; null if there is no room. The bigger ones
  /// leave a quarter to the smaller.
  std::shared_ptr<const void> take(std::size_t size_bytes) {
    const std::size_t most = size_bytes > kSmallerBytes ? limit_bytes_ / 4 * 3 : limit_bytes_;
    std::size_t before = used_bytes_.load(std::memory_order_relaxed);
    do {
      if (size_bytes > most || before > most - size_bytes) return nullptr;
    } while (
        !used_bytes_.compare_exchange_weak(before, before + size_bytes, std::memory_order_relaxed));
    return {this, [size_bytes](SmallReads* all) { all->used_bytes_ -= size_bytes; }};
  }
  std::size_t used_bytes() const { return used_bytes_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::size_t kLimitShare = 16;
  static constexpr std::size_t kSmallerBytes = std::size_t{64} * 1024;

  const std::size_t limit_bytes_;
  std::atomic<std::size_t> used_bytes_{0};
};

}  // namespace holdfast::rpc
