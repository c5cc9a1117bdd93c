#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "datastore/telemetry/field.h"
#include "datastore/telemetry/log_line.h"

namespace holdfast::telemetry {

/// How a file of the log is rotated. Source: etcd's --log-rotation-config-json.
struct LogRotation {
  std::int64_t max_size_bytes = 100LL * 1024 * 1024;
  int max_age_days = 0;     ///< 0: keep whatever the age
  int max_backups = 0;      ///< 0: keep any number
  bool local_time = false;  ///< of the stamp in a backup's name; else UTC
  bool compress = false;    ///< backups become .gz
};

struct LogOptions {
  LogLevel level = LogLevel::kInfo;
  LogFormat format = LogFormat::kJson;
  /// "default" and "stderr", "stdout", or paths to append to; "/dev/null" anywhere discards all.
  std::vector<std::string> outputs = {"default"};
  std::optional<LogRotation> rotation;  ///< of the one file among the outputs
};

/// Admits at most `per_second` of something each second, and counts what it held back. Any thread.
/// Give each message that a client can provoke its own.
class LogLimiter {
 public:
  explicit LogLimiter(std::uint32_t per_second) : per_second_(per_second) {}

  /// Empty if over the limit; else how many were held back since the last admission.
  std::optional<std::uint64_t> admit() {
    return admit(std::chrono::steady_clock::now().time_since_epoch());
  }
  std::optional<std::uint64_t> admit(std::chrono::nanoseconds now);

 private:
  std::uint32_t per_second_;
  std::atomic<std::int64_t> second_{0};
  std::atomic<std::uint32_t> admitted_{0};
  std::atomic<std::uint64_t> held_back_{0};
};

/// Writes structured lines in etcd's form.
///
///     log.info("ready to serve client requests", {{"address", address}});
///     log.warn(limiter_, "rejected connection", {{"remote-addr", peer}});
///
/// A call below the level costs one comparison. Above it, the line is formatted on the calling
/// thread and queued (kQueueLines at most) for one writer thread: the caller never waits for a disk
/// or a terminal. When the queue is full the oldest line goes, is counted, and the next line is
/// preceded by one that says how many are missing. Destruction and fatal write out what is queued.
/// All calls from any thread.
class Logger {
 public:
  static constexpr std::size_t kQueueLines = 2048;

  /// Errors: InvalidArgument names the output that cannot be opened, and why.
  static absl::StatusOr<std::unique_ptr<Logger>> open(const LogOptions& options);
  /// Hands every formatted line to `write` on the calling thread; for tests and tools.
  static std::unique_ptr<Logger> to_function(LogLevel level,
                                             std::function<void(std::string_view)> write);
  /// Discards everything.
  static std::unique_ptr<Logger> none();

  ~Logger();
  Logger(const Logger&) = delete;
  Logger& operator=(const Logger&) = delete;

  using Fields = std::initializer_list<Field>;
  using Where = std::source_location;

  bool enabled(LogLevel level) const { return level >= level_; }

  void debug(std::string_view message, Fields fields = {}, Where where = Where::current()) {
    log(LogLevel::kDebug, message, fields, where);
  }
  void info(std::string_view message, Fields fields = {}, Where where = Where::current()) {
    log(LogLevel::kInfo, message, fields, where);
  }
  void warn(std::string_view message, Fields fields = {}, Where where = Where::current()) {
    log(LogLevel::kWarn, message, fields, where);
  }
  void error(std::string_view message, Fields fields = {}, Where where = Where::current()) {
    log(LogLevel::kError, message, fields, where);
  }
  /// What hostile input can provoke: limited, with the number held back as field "suppressed".
  void warn(LogLimiter& limiter, std::string_view message, Fields fields = {},
            Where where = Where::current());
  /// Writes the line, waits for the queue to be written, and exits with status 1.
  [[noreturn]] void fatal(std::string_view message, Fields fields = {},
                          Where where = Where::current());

  /// For fields that are only known at run time.
  void log(LogLevel level, std::string_view message, std::span<const Field> fields, Where where) {
    if (enabled(level)) {
      write(level, message, fields, where);
    }
  }
  void log(LogLevel level, std::string_view message, Fields fields, Where where) {
    log(level, message, std::span<const Field>(fields.begin(), fields.size()), where);
  }

  /// Lines given up so far because the queue was full.
  std::uint64_t dropped() const;

 private:
  class Writer;
  class QueueWriter;
  class FunctionWriter;

  Logger(LogLevel level, LogFormat format, std::unique_ptr<Writer> writer);
  void write(LogLevel level, std::string_view message, std::span<const Field> fields, Where where);
  void report_drops();

  LogLevel level_;
  LogFormat format_;
  std::unique_ptr<Writer> writer_;  // null: discard
  std::atomic<std::uint64_t> drops_reported_{0};
};

}  // namespace holdfast::telemetry
