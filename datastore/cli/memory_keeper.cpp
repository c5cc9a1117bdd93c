#include "datastore/cli/memory_keeper.h"

#include "datastore/platform/process_memory.h"

namespace holdfast::cli {
namespace {

/// Between two times that the allocator is asked to give back what it keeps.
constexpr std::chrono::seconds kTrimInterval{2};
/// Shares of the limit: what is reserved at most, and used at least, for that to be worthwhile.
constexpr std::size_t kIdleShare = 16;
constexpr std::size_t kTrimShare = 4;
/// Of the limit, in percent: a state that needs more leaves clients too little.
constexpr std::size_t kLargeStatePercent = 60;

}  // namespace

std::size_t effective_memory_limit(const config::Options& options) {
  if (options.memory_limit_bytes != 0) return options.memory_limit_bytes;
  const std::optional<std::size_t> group = platform::control_group_memory_bytes();
  return group && *group >= config::kMinMemoryLimitBytes ? *group / 4 * 3 : 0;
}

MemoryKeeper::MemoryKeeper(MemoryBudget& budget, telemetry::Logger& log,
                           telemetry::Metrics& metrics)
    : budget_(budget), log_(log) {
  metrics.show_memory(budget);
  if (budget.limited()) {
    log.info("memory for clients' requests is bounded",
             {{"memory-limit-bytes", static_cast<std::uint64_t>(budget.limit_bytes())}});
  }
}

void MemoryKeeper::tick() {
  const std::optional<std::size_t> anonymous = platform::anonymous_memory_bytes();
  if (!anonymous) return;
  budget_.observe(*anonymous);
  if (!budget_.limited()) return;
  report_pressure();
  report_state();
  trim_if_worthwhile(*anonymous);
}

void MemoryKeeper::report_pressure() {
  const MemoryPressure pressure = budget_.pressure();
  if (pressure == reported_) return;
  const bool worse = pressure > reported_;
  reported_ = pressure;
  if (!worse) return;
  log_.warn(pressure_lines_,
            "memory is short: big answers are held back until there is room; allow more by "
            "--memory-limit-bytes, or find out who asks for so much",
            {{"anonymous-bytes", static_cast<std::uint64_t>(budget_.anonymous_bytes())},
             {"reserved-bytes", static_cast<std::uint64_t>(budget_.reserved_bytes())},
             {"memory-limit-bytes", static_cast<std::uint64_t>(budget_.limit_bytes())}});
}

void MemoryKeeper::report_state() {
  const bool large = budget_.state_bytes() > budget_.limit_bytes() / 100 * kLargeStatePercent;
  if (large && !state_reported_) {
    log_.warn(
        "the store itself needs most of the memory allowed: lists will be refused; raise "
        "--memory-limit-bytes, or compact and delete keys",
        {{"state-bytes", static_cast<std::uint64_t>(budget_.state_bytes())},
         {"memory-limit-bytes", static_cast<std::uint64_t>(budget_.limit_bytes())}});
  }
  state_reported_ = large;
}

/// What malloc keeps counts as the state's, and would leave less and less room.
void MemoryKeeper::trim_if_worthwhile(std::size_t anonymous_bytes) {
  const bool idle = budget_.reserved_bytes() < budget_.limit_bytes() / kIdleShare &&
                    anonymous_bytes > budget_.limit_bytes() / kTrimShare;
  if (!idle && budget_.pressure() == MemoryPressure::kNone) return;
  const Clock::time_point now = Clock::now();
  if (now < next_trim_) return;
  next_trim_ = now + kTrimInterval;
  platform::give_back_free_memory();
}

}  // namespace holdfast::cli
