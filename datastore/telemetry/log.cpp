#include "datastore/telemetry/log.h"

#include <algorithm>
#include <cstdlib>

#include "datastore/telemetry/rotating_file.h"
#include "spdlog/async.h"
#include "spdlog/async_logger.h"
#include "spdlog/pattern_formatter.h"
#include "spdlog/sinks/base_sink.h"
#include "spdlog/sinks/stdout_sinks.h"

namespace holdfast::telemetry {
namespace {

using Sink = std::shared_ptr<spdlog::sinks::sink>;

/// spdlog's view of a file that rotates by etcd's rules.
class FileSink : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 public:
  explicit FileSink(std::unique_ptr<RotatingFile> file) : file_(std::move(file)) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    file_->append_line({message.payload.data(), message.payload.size()});
  }
  void flush_() override {}

 private:
  std::unique_ptr<RotatingFile> file_;
};

absl::StatusOr<Sink> open_sink(const std::string& output,
                               const std::optional<LogRotation>& rotation) {
  if (output == "default" || output == "stderr") {
    return std::make_shared<spdlog::sinks::stderr_sink_st>();
  }
  if (output == "stdout") {
    return std::make_shared<spdlog::sinks::stdout_sink_st>();
  }
  absl::StatusOr<std::unique_ptr<RotatingFile>> file = RotatingFile::open(output, rotation);
  if (!file.ok()) {
    return file.status();
  }
  return std::make_shared<FileSink>(*std::move(file));
}

}  // namespace

std::optional<std::uint64_t> LogLimiter::admit(std::chrono::nanoseconds now) {
  const std::int64_t second = std::chrono::duration_cast<std::chrono::seconds>(now).count();
  std::int64_t seen = second_.load(std::memory_order_relaxed);
  if (seen != second && second_.compare_exchange_strong(seen, second)) {
    admitted_.store(0, std::memory_order_relaxed);
  }
  if (admitted_.fetch_add(1, std::memory_order_relaxed) >= per_second_) {
    admitted_.fetch_sub(1, std::memory_order_relaxed);
    held_back_.fetch_add(1, std::memory_order_relaxed);
    return std::nullopt;
  }
  return held_back_.exchange(0, std::memory_order_relaxed);
}

class Logger::Writer {
 public:
  virtual ~Writer() = default;
  virtual void write(std::string_view line) = 0;
  virtual std::uint64_t dropped() const { return 0; }
};

/// A bounded queue and a thread behind it.
class Logger::QueueWriter : public Logger::Writer {
 public:
  explicit QueueWriter(std::vector<Sink> sinks)
      : pool_(std::make_shared<spdlog::details::thread_pool>(kQueueLines, 1)),
        logger_(std::make_shared<spdlog::async_logger>(
            "", sinks.begin(), sinks.end(), pool_, spdlog::async_overflow_policy::overrun_oldest)) {
    logger_->set_level(spdlog::level::trace);
    logger_->set_pattern("%v", spdlog::pattern_time_type::utc);
  }

  /// Writes out the queue, and only then lets go of the files: not the thread is to be their last
  /// holder.
  ~QueueWriter() override { pool_.reset(); }

  void write(std::string_view line) override {
    logger_->log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
  }
  std::uint64_t dropped() const override { return pool_->overrun_counter(); }

 private:
  std::shared_ptr<spdlog::details::thread_pool> pool_;
  std::shared_ptr<spdlog::async_logger> logger_;
};

class Logger::FunctionWriter : public Logger::Writer {
 public:
  explicit FunctionWriter(std::function<void(std::string_view)> write) : write_(std::move(write)) {}
  void write(std::string_view line) override { write_(line); }

 private:
  std::function<void(std::string_view)> write_;
};

Logger::Logger(LogLevel level, LogFormat format, std::unique_ptr<Writer> writer)
    : level_(level), format_(format), writer_(std::move(writer)) {
}

Logger::~Logger() = default;

absl::StatusOr<std::unique_ptr<Logger>> Logger::open(const LogOptions& options) {
  std::vector<std::string> outputs = options.outputs;
  if (std::ranges::find(outputs, "/dev/null") != outputs.end()) {
    return none();
  }
  std::ranges::sort(outputs);
  outputs.erase(std::unique(outputs.begin(), outputs.end()), outputs.end());
  std::vector<Sink> sinks;
  for (const std::string& output : outputs) {
    absl::StatusOr<Sink> sink = open_sink(output, options.rotation);
    if (!sink.ok()) {
      return sink.status();
    }
    sinks.push_back(*std::move(sink));
  }
  return std::unique_ptr<Logger>(
      new Logger(options.level, options.format, std::make_unique<QueueWriter>(std::move(sinks))));
}

std::unique_ptr<Logger> Logger::to_function(LogLevel level,
                                            std::function<void(std::string_view)> write) {
  return std::unique_ptr<Logger>(
      new Logger(level, LogFormat::kJson, std::make_unique<FunctionWriter>(std::move(write))));
}

std::unique_ptr<Logger> Logger::none() {
  return std::unique_ptr<Logger>(new Logger(LogLevel::kFatal, LogFormat::kJson, nullptr));
}

void Logger::warn(LogLimiter& limiter, std::string_view message, Fields fields, Where where) {
  if (!enabled(LogLevel::kWarn)) {
    return;
  }
  const std::optional<std::uint64_t> held_back = limiter.admit();
  if (!held_back) {
    return;
  }
  if (*held_back == 0) {
    write(LogLevel::kWarn, message, {fields.begin(), fields.size()}, where);
    return;
  }
  std::vector<Field> with_count(fields);
  with_count.emplace_back("suppressed", *held_back);
  write(LogLevel::kWarn, message, with_count, where);
}

void Logger::fatal(std::string_view message, Fields fields, Where where) {
  write(LogLevel::kFatal, message, {fields.begin(), fields.size()}, where);
  writer_.reset();
  std::_Exit(1);
}

std::uint64_t Logger::dropped() const {
  return writer_ == nullptr ? 0 : writer_->dropped();
}

void Logger::write(LogLevel level, std::string_view message, std::span<const Field> fields,
                   Where where) {
  if (writer_ == nullptr) {
    return;
  }
  report_drops();
  writer_->write(
      format_log_line({level, std::chrono::system_clock::now(), where, message, fields}, format_));
}

void Logger::report_drops() {
  const std::uint64_t dropped = writer_->dropped();
  const std::uint64_t reported = drops_reported_.exchange(dropped, std::memory_order_relaxed);
  if (dropped <= reported) {
    return;
  }
  const Field missing("lines", dropped - reported);
  writer_->write(
      format_log_line({LogLevel::kWarn,
                       std::chrono::system_clock::now(),
                       Where::current(),
                       "log lines were dropped because they came faster than they could be written",
                       {&missing, 1}},
                      format_));
}

}  // namespace holdfast::telemetry
