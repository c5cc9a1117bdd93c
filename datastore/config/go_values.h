#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Text to values exactly as etcd's flags read it, which is how Go's library does. Empty on text
/// that Go refuses.
namespace holdfast::config {

/// 1, t, T, TRUE, true, True and their opposites.
std::optional<bool> parse_bool(std::string_view text);

/// Decimal, or with prefix 0x, 0o, 0b or 0; underscores are not taken.
std::optional<std::uint64_t> parse_unsigned(std::string_view text);
std::optional<std::int64_t> parse_signed(std::string_view text);

/// 0, 300ms, 1.5h, 1h2m3s, -1s; units ns, us, µs, ms, s, m, h.
std::optional<std::chrono::nanoseconds> parse_duration(std::string_view text);

/// The parts between separators; one empty part for empty text.
std::vector<std::string> split(std::string_view text, char separator);
std::string_view trim(std::string_view text);

}  // namespace holdfast::config
