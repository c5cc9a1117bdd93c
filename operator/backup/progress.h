#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "datastore/telemetry/log.h"

namespace holdfast::backup {

/// Tells how far a stream is, in the log, every few seconds. One thread.
class Progress {
 public:
  Progress(std::string_view what, telemetry::Logger& log) : what_(what), log_(log) {}

  /// 0: nobody knows how much there will be.
  void expect(std::uint64_t total_bytes) { total_bytes_ = total_bytes; }
  void add(std::uint64_t bytes) {
    done_bytes_ += bytes;
    const auto now = std::chrono::steady_clock::now();
    if (now - told_ < kInterval) return;
    told_ = now;
    log_.info(what_, {{"done-bytes", done_bytes_}, {"total-bytes", total_bytes_}});
  }

 private:
  static constexpr std::chrono::seconds kInterval{5};

  const std::string what_;
  telemetry::Logger& log_;
  std::uint64_t done_bytes_ = 0;
  std::uint64_t total_bytes_ = 0;
  std::chrono::steady_clock::time_point told_{};
};

}  // namespace holdfast::backup
