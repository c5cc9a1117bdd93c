#include "datastore/telemetry/log_line.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <ctime>

#include <iterator>

#include "fmt/format.h"

namespace holdfast::telemetry {
namespace {

template <class... Args>
void append(std::string& out, fmt::format_string<Args...> format, Args&&... args) {
  fmt::format_to(std::back_inserter(out), format, std::forward<Args>(args)...);
}

// The length of the valid UTF-8 sequence at the start of text, 0 if it is none.
std::size_t utf8_sequence(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  const std::size_t length = first < 0x80   ? 1
                             : first < 0xC2 ? 0
                             : first < 0xE0 ? 2
                             : first < 0xF0 ? 3
                             : first < 0xF5 ? 4
                                            : 0;
  if (length == 0 || length > text.size()) {
    return 0;
  }
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) {
      return 0;
    }
  }
  const bool overlong = (first == 0xE0 && byte(1) < 0xA0) || (first == 0xF0 && byte(1) < 0x90);
  const bool surrogate = first == 0xED && byte(1) > 0x9F;
  const bool beyond_unicode = first == 0xF4 && byte(1) > 0x8F;
  return overlong || surrogate || beyond_unicode ? 0 : length;
}

void append_control(std::string& out, unsigned char byte) {
  switch (byte) {
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      append(out, "\\u{:04x}", byte);
  }
}

void append_escaped(std::string& out, std::string_view text) {
  while (!text.empty()) {
    const auto byte = static_cast<unsigned char>(text.front());
    const std::size_t length = utf8_sequence(text);
    if (length == 0) {
      out += "\\ufffd";
      text.remove_prefix(1);
      continue;
    }
    if (byte == '"' || byte == '\\') {
      out += '\\';
      out += static_cast<char>(byte);
    } else if (byte < 0x20) {
      append_control(out, byte);
    } else {
      out.append(text.substr(0, length));
    }
    text.remove_prefix(length);
  }
}

void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  if (text.size() <= kMaxLogTextBytes) {
    append_escaped(out, text);
  } else {
    append_escaped(out, text.substr(0, kMaxLogTextBytes));
    append(out, "… ({} bytes)", text.size());
  }
  out += '"';
}

void append_double(std::string& out, double value) {
  if (!std::isfinite(value)) {
    out += std::isnan(value) ? "\"NaN\"" : value > 0 ? "\"+Inf\"" : "\"-Inf\"";
    return;
  }
  std::array<char, 32> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  out.append(digits.data(), end);
}

struct ValueAppender {
  std::string& out;

  void operator()(std::string_view text) const { append_quoted(out, text); }
  void operator()(std::int64_t number) const { append(out, "{}", number); }
  void operator()(std::uint64_t number) const { append(out, "{}", number); }
  void operator()(double number) const { append_double(out, number); }
  void operator()(bool truth) const { out += truth ? "true" : "false"; }
  void operator()(std::chrono::nanoseconds duration) const {
    append(out, "\"{}\"", go_duration(duration));
  }
  void operator()(std::span<const std::string> texts) const {
    out += '[';
    for (const std::string& text : texts) {
      if (&text != &texts.front()) {
        out += ',';
      }
      append_quoted(out, text);
    }
    out += ']';
  }
};

void append_time(std::string& out, std::chrono::system_clock::time_point time) {
  const auto since_epoch =
      std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count();
  const std::time_t seconds = since_epoch / 1'000'000;
  std::tm local{};
  localtime_r(&seconds, &local);
  std::array<char, 48> text;
  std::size_t length = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &local);
  length +=
      static_cast<std::size_t>(std::snprintf(text.data() + length, text.size() - length, ".%06d",
                                             static_cast<int>(since_epoch % 1'000'000)));
  out.append(text.data(), length);
  if (local.tm_gmtoff == 0) {
    out += 'Z';
  } else {
    length = std::strftime(text.data(), text.size(), "%z", &local);
    out.append(text.data(), length);
  }
}

// The last folder and the file name, as etcd prints callers.
void append_caller(std::string& out, const std::source_location& where) {
  std::string_view path = where.file_name();
  const std::size_t file = path.rfind('/');
  if (file != std::string_view::npos && file > 0) {
    const std::size_t folder = path.rfind('/', file - 1);
    path.remove_prefix(folder == std::string_view::npos ? 0 : folder + 1);
  }
  append(out, "{}:{}", path, where.line());
}

void append_json(std::string& out, const LogLine& line) {
  append(out, R"({{"level":"{}","ts":")", log_level_name(line.level));
  append_time(out, line.time);
  out += R"(","caller":")";
  append_caller(out, line.where);
  out += R"(","msg":)";
  append_quoted(out, line.message);
  for (const Field& field : line.fields) {
    out += ',';
    append_quoted(out, field.key());
    out += ':';
    std::visit(ValueAppender{out}, field.value());
  }
  out += '}';
}

// One line must stay one line whatever it says.
void append_plain(std::string& out, std::string_view text) {
  append_escaped(out, text.substr(0, kMaxLogTextBytes));
}

void append_console(std::string& out, const LogLine& line) {
  append_time(out, line.time);
  append(out, "\t{}\t", log_level_name(line.level));
  append_caller(out, line.where);
  out += '\t';
  append_plain(out, line.message);
  if (line.fields.empty()) {
    return;
  }
  out += "\t{";
  for (const Field& field : line.fields) {
    if (&field != &line.fields.front()) {
      out += ", ";
    }
    append_quoted(out, field.key());
    out += ": ";
    std::visit(ValueAppender{out}, field.value());
  }
  out += '}';
}

void append_fraction(std::string& out, std::int64_t value, std::int64_t unit) {
  append(out, "{}", value / unit);
  std::int64_t rest = value % unit;
  if (rest == 0) {
    return;
  }
  out += '.';
  while (rest != 0) {
    unit /= 10;
    out += static_cast<char>('0' + rest / unit);
    rest %= unit;
  }
}

}  // namespace

std::string_view log_level_name(LogLevel level) {
  constexpr std::array<std::string_view, 6> kNames = {"debug", "info",  "warn",
                                                      "error", "panic", "fatal"};
  return kNames[static_cast<std::size_t>(level)];
}

std::string format_log_line(const LogLine& line, LogFormat format) {
  std::string out;
  out.reserve(256);
  if (format == LogFormat::kJson) {
    append_json(out, line);
  } else {
    append_console(out, line);
  }
  return out;
}

std::string go_duration(std::chrono::nanoseconds duration) {
  constexpr std::int64_t kMicrosecond = 1'000;
  constexpr std::int64_t kMillisecond = 1'000'000;
  constexpr std::int64_t kSecond = 1'000'000'000;
  std::int64_t left = duration.count();
  if (left == 0) {
    return "0s";
  }
  std::string out;
  if (left < 0) {
    out += '-';
    left = left == INT64_MIN ? INT64_MAX : -left;
  }
  if (left < kMicrosecond) {
    append(out, "{}ns", left);
  } else if (left < kMillisecond) {
    append_fraction(out, left, kMicrosecond);
    out += "µs";
  } else if (left < kSecond) {
    append_fraction(out, left, kMillisecond);
    out += "ms";
  } else {
    const std::int64_t hours = left / (3600 * kSecond);
    const std::int64_t minutes = left / (60 * kSecond) % 60;
    if (hours > 0) {
      append(out, "{}h", hours);
    }
    if (hours > 0 || minutes > 0) {
      append(out, "{}m", minutes);
    }
    append_fraction(out, left % (60 * kSecond), kSecond);
    out += 's';
  }
  return out;
}

}  // namespace holdfast::telemetry
