#include "datastore/telemetry/cells.h"

#include <sys/mman.h>

#include <bit>

#include "datastore/base/check.h"

namespace holdfast::telemetry {
namespace {

constexpr std::size_t kMapBytes = Cells::kShards * Cells::kMaxCells * sizeof(std::uint64_t);

}  // namespace

Cells::Cells() {
  void* map = mmap(nullptr, kMapBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  HOLDFAST_CHECK(map != MAP_FAILED);
  words_ = static_cast<Word*>(map);  // zero pages are zero words
}

Cells::~Cells() {
  munmap(words_, kMapBytes);
}

std::uint32_t Cells::allocate(std::size_t count) {
  HOLDFAST_CHECK(used_ + count <= kMaxCells);
  const auto first = static_cast<std::uint32_t>(used_);
  used_ += count;
  return first;
}

void Cells::add_double(std::uint32_t cell, double amount) {
  Word& target = word(shard_of_thread(), cell);
  std::uint64_t seen = target.load(std::memory_order_relaxed);
  while (!target.compare_exchange_weak(
      seen, std::bit_cast<std::uint64_t>(std::bit_cast<double>(seen) + amount),
      std::memory_order_relaxed)) {
  }
}

std::uint64_t Cells::sum(std::uint32_t cell) const {
  std::uint64_t total = 0;
  for (std::size_t shard = 0; shard < kShards; ++shard) {
    total += word(shard, cell).load(std::memory_order_relaxed);
  }
  return total;
}

double Cells::sum_double(std::uint32_t cell) const {
  double total = 0;
  for (std::size_t shard = 0; shard < kShards; ++shard) {
    total += std::bit_cast<double>(word(shard, cell).load(std::memory_order_relaxed));
  }
  return total;
}

std::size_t Cells::next_shard() {
  static std::atomic<std::size_t> threads{0};
  return threads.fetch_add(1, std::memory_order_relaxed) % kShards;
}

}  // namespace holdfast::telemetry
