#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace holdfast {

/// What clients make a member hold that is too big to be left to luck.
enum class MemoryUse : std::uint8_t {
  kLists,         // long ranges on their way: what is read ahead of the client
  kWholeAnswers,  // what must be in memory at once: sorted and compressed ranges
  kSnapshots,     // databases being downloaded
  kGateway,       // JSON made of long answers
  kTransactions,  // big answers of transactions, and of writes that tell what was before
};
inline constexpr std::size_t kMemoryUses = 5;
std::string_view name_of(MemoryUse use);

enum class MemoryPressure : std::uint8_t {
  kNone,
  kHigh,      // nothing big is begun
  kCritical,  // and nothing that could wait or be read again is kept
};

/// One account of the anonymous memory of a process: what big answers reserve before they are made,
/// and what the process really uses, measured now and then.
///
/// The state (index, values not yet in the engine, connections) comes first and is never refused
/// anything: half of what it leaves of the limit may be reserved. Small requests, heartbeats and
/// keep-alives reserve nothing; the other half is theirs, so that no flood of big ones starves
/// them. Measuring also sees what nobody accounts for, such as what malloc keeps.
///
/// Any thread. Without a limit everything is granted and counted.
class MemoryBudget {
 public:
  /// 0: no limit.
  explicit MemoryBudget(std::size_t limit_bytes = 0) : limit_bytes_(limit_bytes) {}
  MemoryBudget(const MemoryBudget&) = delete;
  MemoryBudget& operator=(const MemoryBudget&) = delete;

  std::size_t limit_bytes() const { return limit_bytes_; }
  bool limited() const { return limit_bytes_ != 0; }

  /// False, and nothing reserved, if there is no room now. Whoever reserves gives back the same.
  bool reserve(MemoryUse use, std::size_t size_bytes);
  void give_back(MemoryUse use, std::size_t size_bytes);
  /// What all big answers together may reserve at present: at least a sixteenth of the limit.
  std::size_t room_bytes() const;

  /// Tells how much anonymous memory the process has now. One thread.
  void observe(std::size_t anonymous_bytes);
  MemoryPressure pressure() const { return pressure_.load(std::memory_order_relaxed); }

  std::size_t reserved_bytes() const { return reserved_.load(std::memory_order_relaxed); }
  std::size_t reserved_bytes(MemoryUse use) const;
  std::size_t peak_reserved_bytes() const { return peak_.load(std::memory_order_relaxed); }
  /// As observed last, and the most ever observed.
  std::size_t anonymous_bytes() const { return anonymous_.load(std::memory_order_relaxed); }
  std::size_t peak_anonymous_bytes() const {
    return peak_anonymous_.load(std::memory_order_relaxed);
  }
  /// What the process needs when no big answer is on its way, as far as it is known.
  std::size_t state_bytes() const { return state_.load(std::memory_order_relaxed); }

  /// Counts a request that was refused for want of memory or of a place in a line.
  void count_refused(MemoryUse use);
  std::uint64_t refused(MemoryUse use) const;

 private:
  void note_peak(std::atomic<std::size_t>& peak, std::size_t value);

  const std::size_t limit_bytes_;
  std::atomic<std::size_t> reserved_{0};
  std::atomic<std::size_t> peak_{0};
  std::atomic<std::size_t> state_{0};
  std::atomic<std::size_t> anonymous_{0};
  std::atomic<std::size_t> peak_anonymous_{0};
  std::atomic<MemoryPressure> pressure_{MemoryPressure::kNone};
  std::array<std::atomic<std::size_t>, kMemoryUses> by_use_{};
  std::array<std::atomic<std::uint64_t>, kMemoryUses> refused_{};
};

/// Some of a budget, given back when it goes. Movable; may outlive whatever asked for it, but not
/// the budget.
class MemoryReservation {
 public:
  MemoryReservation() = default;
  MemoryReservation(MemoryReservation&& other) noexcept;
  MemoryReservation& operator=(MemoryReservation&& other) noexcept;
  ~MemoryReservation() { release(); }

  /// Takes `size_bytes` more for the same use. False if there is no room: what it had it keeps.
  bool add(MemoryBudget& budget, MemoryUse use, std::size_t size_bytes);
  void release();
  std::size_t size_bytes() const { return size_bytes_; }

 private:
  MemoryBudget* budget_ = nullptr;
  MemoryUse use_ = MemoryUse::kLists;
  std::size_t size_bytes_ = 0;
};

}  // namespace holdfast
