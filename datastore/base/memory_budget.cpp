#include "datastore/base/memory_budget.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "datastore/base/check.h"

namespace holdfast {
namespace {

constexpr std::size_t kRoomShare = 2;    // one half of what the state leaves
constexpr std::size_t kFloorShare = 16;  // of the limit, whatever the state needs

/// Shares of the limit, in percent, at which what is measured counts as pressure.
constexpr std::size_t kHighPercent = 75;
constexpr std::size_t kCriticalPercent = 88;

std::size_t index_of(MemoryUse use) {
  return static_cast<std::size_t>(use);
}

}  // namespace

std::string_view name_of(MemoryUse use) {
  switch (use) {
    case MemoryUse::kLists:
      return "lists";
    case MemoryUse::kWholeAnswers:
      return "whole-answers";
    case MemoryUse::kSnapshots:
      return "snapshots";
    case MemoryUse::kGateway:
      return "gateway";
    case MemoryUse::kTransactions:
      return "transactions";
  }
  return "unknown";
}

std::size_t MemoryBudget::room_bytes() const {
  if (!limited()) return std::numeric_limits<std::size_t>::max();
  const std::size_t state = std::min(state_bytes(), limit_bytes_);
  return std::max((limit_bytes_ - state) / kRoomShare, limit_bytes_ / kFloorShare);
}

bool MemoryBudget::reserve(MemoryUse use, std::size_t size_bytes) {
  if (pressure() != MemoryPressure::kNone) return false;
  const std::size_t room = room_bytes();
  std::size_t before = reserved_bytes();
  do {
    if (size_bytes > room || before > room - size_bytes) return false;
  } while (
      !reserved_.compare_exchange_weak(before, before + size_bytes, std::memory_order_relaxed));
  by_use_[index_of(use)].fetch_add(size_bytes, std::memory_order_relaxed);
  note_peak(peak_, before + size_bytes);
  return true;
}

void MemoryBudget::give_back(MemoryUse use, std::size_t size_bytes) {
  by_use_[index_of(use)].fetch_sub(size_bytes, std::memory_order_relaxed);
  reserved_.fetch_sub(size_bytes, std::memory_order_relaxed);
}

std::size_t MemoryBudget::reserved_bytes(MemoryUse use) const {
  return by_use_[index_of(use)].load(std::memory_order_relaxed);
}

void MemoryBudget::observe(std::size_t anonymous_bytes) {
  anonymous_.store(anonymous_bytes, std::memory_order_relaxed);
  note_peak(peak_anonymous_, anonymous_bytes);
  // With nothing reserved all of it is the state's. Meanwhile it is at least what the reservations
  // can't account for; they are rarely used in full, so that says little but never too much.
  const std::size_t reserved = reserved_bytes();
  const std::size_t beyond = anonymous_bytes > reserved ? anonymous_bytes - reserved : 0;
  state_.store(reserved == 0 ? anonymous_bytes : std::max(state_bytes(), beyond),
               std::memory_order_relaxed);
  if (!limited()) return;
  MemoryPressure pressure = MemoryPressure::kNone;
  if (anonymous_bytes > limit_bytes_ / 100 * kHighPercent) pressure = MemoryPressure::kHigh;
  if (anonymous_bytes > limit_bytes_ / 100 * kCriticalPercent) pressure = MemoryPressure::kCritical;
  pressure_.store(pressure, std::memory_order_relaxed);
}

void MemoryBudget::count_refused(MemoryUse use) {
  refused_[index_of(use)].fetch_add(1, std::memory_order_relaxed);
}

std::uint64_t MemoryBudget::refused(MemoryUse use) const {
  return refused_[index_of(use)].load(std::memory_order_relaxed);
}

void MemoryBudget::note_peak(std::atomic<std::size_t>& peak, std::size_t value) {
  std::size_t most = peak.load(std::memory_order_relaxed);
  while (value > most && !peak.compare_exchange_weak(most, value, std::memory_order_relaxed)) {
  }
}

MemoryReservation::MemoryReservation(MemoryReservation&& other) noexcept
    : budget_(std::exchange(other.budget_, nullptr)),
      use_(other.use_),
      size_bytes_(std::exchange(other.size_bytes_, 0)) {
}

MemoryReservation& MemoryReservation::operator=(MemoryReservation&& other) noexcept {
  if (this == &other) return *this;
  release();
  budget_ = std::exchange(other.budget_, nullptr);
  use_ = other.use_;
  size_bytes_ = std::exchange(other.size_bytes_, 0);
  return *this;
}

bool MemoryReservation::add(MemoryBudget& budget, MemoryUse use, std::size_t size_bytes) {
  HOLDFAST_CHECK(budget_ == nullptr || (budget_ == &budget && use_ == use));
  if (!budget.reserve(use, size_bytes)) return false;
  budget_ = &budget;
  use_ = use;
  size_bytes_ += size_bytes;
  return true;
}

void MemoryReservation::release() {
  if (budget_ == nullptr) return;
  std::exchange(budget_, nullptr)->give_back(use_, std::exchange(size_bytes_, 0));
}

}  // namespace holdfast
