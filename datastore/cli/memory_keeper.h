#pragma once

#include <chrono>
#include <cstddef>
#include <optional>

#include "datastore/base/memory_budget.h"
#include "datastore/config/options.h"
#include "datastore/telemetry/log.h"
#include "datastore/telemetry/metrics.h"

namespace holdfast::cli {

/// What --memory-limit-bytes comes to: as given; else three quarters of what the control group
/// allows, since its limit counts file pages and the kernel's memory too; 0 where there is neither.
std::size_t effective_memory_limit(const config::Options& options);

/// Measures the process's memory, tells the budget of it, and says in log and metrics when it is
/// short. It refuses nothing by itself. One thread.
class MemoryKeeper {
 public:
  /// All outlive it.
  MemoryKeeper(MemoryBudget& budget, telemetry::Logger& log, telemetry::Metrics& metrics);

  /// To be called every tenth of a second or so.
  void tick();

 private:
  using Clock = std::chrono::steady_clock;
  void report_pressure();
  void report_state();
  void trim_if_worthwhile(std::size_t anonymous_bytes);

  MemoryBudget& budget_;
  telemetry::Logger& log_;
  telemetry::LogLimiter pressure_lines_{1};
  MemoryPressure reported_ = MemoryPressure::kNone;
  bool state_reported_ = false;
  Clock::time_point next_trim_;
};

}  // namespace holdfast::cli
