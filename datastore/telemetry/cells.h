#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace holdfast::telemetry {

/// The numbers behind counters and histograms, laid out so that counting costs a few nanoseconds.
///
/// Each metric owns one or more cells (64-bit words) under one number in every shard; a thread adds
/// to the shard it was given at its first use, so that two busy threads do not share a cache line.
/// Reading sums the shards. With more than kShards threads some share a shard and stay exact: every
/// update is one atomic operation.
///
/// The words are virtual memory until touched: an unused metric costs nothing.
/// Any thread may add and read; only the one that builds the metrics may call allocate.
class Cells {
 public:
  static constexpr std::size_t kShards = 16;
  static constexpr std::size_t kMaxCells = 8192;

  Cells();
  ~Cells();
  Cells(const Cells&) = delete;
  Cells& operator=(const Cells&) = delete;

  /// Returns the first of `count` fresh consecutive cells, all zero.
  std::uint32_t allocate(std::size_t count);

  void add(std::uint32_t cell, std::uint64_t amount) {
    word(shard_of_thread(), cell).fetch_add(amount, std::memory_order_relaxed);
  }

  /// Adds to a cell that holds a double, not an integer.
  void add_double(std::uint32_t cell, double amount);

  std::uint64_t sum(std::uint32_t cell) const;
  double sum_double(std::uint32_t cell) const;

 private:
  using Word = std::atomic<std::uint64_t>;

  Word& word(std::size_t shard, std::uint32_t cell) const {
    return words_[shard * kMaxCells + cell];
  }

  static std::size_t shard_of_thread() {
    thread_local const std::size_t shard = next_shard();
    return shard;
  }
  static std::size_t next_shard();

  Word* words_ = nullptr;
  std::size_t used_ = 0;
};

}  // namespace holdfast::telemetry
