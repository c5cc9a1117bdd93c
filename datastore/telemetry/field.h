#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/status.h"

namespace holdfast::telemetry {

/// One key and value of a log line. Holds views only: use it in the call that logs, never keep it.
class Field {
 public:
  using Value = std::variant<std::string_view, std::int64_t, std::uint64_t, double, bool,
                             std::chrono::nanoseconds, std::span<const std::string>>;

  Field(std::string_view key, std::string_view value) : key_(key), value_(value) {}
  Field(std::string_view key, const char* value) : key_(key), value_(std::string_view(value)) {}
  Field(std::string_view key, const std::string& value)
      : key_(key), value_(std::string_view(value)) {}
  Field(std::string_view key, bool value) : key_(key), value_(value) {}
  Field(std::string_view key, double value) : key_(key), value_(value) {}
  template <std::signed_integral T>
  Field(std::string_view key, T value) : key_(key), value_(static_cast<std::int64_t>(value)) {}
  template <std::unsigned_integral T>
    requires(!std::same_as<T, bool>)
  Field(std::string_view key, T value) : key_(key), value_(static_cast<std::uint64_t>(value)) {}
  /// Printed as Go prints durations: 1.5ms, 2m0s.
  template <class Rep, class Period>
  Field(std::string_view key, std::chrono::duration<Rep, Period> value)
      : key_(key), value_(std::chrono::duration_cast<std::chrono::nanoseconds>(value)) {}
  Field(std::string_view key, std::span<const std::string> value) : key_(key), value_(value) {}
  Field(std::string_view key, const std::vector<std::string>& value)
      : key_(key), value_(std::span<const std::string>(value)) {}
  /// The error's text, under the key that etcd uses.
  explicit Field(const absl::Status& error)
      : Field("error", std::string_view(error.message().data(), error.message().size())) {}

  std::string_view key() const { return key_; }
  const Value& value() const { return value_; }

 private:
  std::string_view key_;
  Value value_;
};

}  // namespace holdfast::telemetry
