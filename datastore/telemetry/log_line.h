#pragma once

#include <chrono>
#include <cstdint>
#include <source_location>
#include <span>
#include <string>
#include <string_view>

#include "datastore/telemetry/field.h"

namespace holdfast::telemetry {

enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarn, kError, kPanic, kFatal };
enum class LogFormat : std::uint8_t { kJson, kConsole };

std::string_view log_level_name(LogLevel level);

/// Everything that one line says.
struct LogLine {
  LogLevel level;
  std::chrono::system_clock::time_point time;
  std::source_location where;
  std::string_view message;
  std::span<const Field> fields;
};

/// A longer text in a line is cut here, and says so: what a client sends must not fill a disk.
inline constexpr std::size_t kMaxLogTextBytes = 16 * 1024;

/// Formats one line as etcd's logger does, without the newline. JSON: level, ts (local time,
/// microseconds, Z or an offset), caller (folder/file:line), msg, then the fields in order.
/// Console: the same separated by tabs, the fields as one JSON object. Text that is not valid UTF-8
/// has U+FFFD in place of each bad byte, so every line is valid JSON whatever a client sent.
std::string format_log_line(const LogLine& line, LogFormat format);

/// Go's notation: 0s, 1.5ms, 1h2m3s.
std::string go_duration(std::chrono::nanoseconds duration);

}  // namespace holdfast::telemetry
