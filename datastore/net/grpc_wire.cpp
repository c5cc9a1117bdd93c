#include "datastore/net/grpc_wire.h"
#include "datastore/net/text.h"

#include <array>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"

#include "absl/strings/strip.h"

namespace holdfast::net {
namespace {

constexpr std::string_view kGrpcContentType = "application/grpc";

absl::Status malformed_timeout(std::string_view why, std::string_view text) {
  return absl::InternalError(
      concat("malformed grpc-timeout: transport: timeout ", why, ": ", go_quote(text)));
}

std::optional<std::chrono::nanoseconds> unit_of(char unit) {
  using namespace std::chrono;
  switch (unit) {
    case 'H':
      return hours(1);
    case 'M':
      return minutes(1);
    case 'S':
      return seconds(1);
    case 'm':
      return milliseconds(1);
    case 'u':
      return microseconds(1);
    case 'n':
      return nanoseconds(1);
    default:
      return std::nullopt;
  }
}

/// Length of the UTF-8 sequence at the start of `text`, 0 if it is none.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  std::size_t length = 0;
  unsigned char low = 0x80, high = 0xbf;  // bounds of the second byte
  if (first >= 0xc2 && first <= 0xdf) {
    length = 2;
  } else if (first >= 0xe0 && first <= 0xef) {
    length = 3;
    if (first == 0xe0) low = 0xa0;
    if (first == 0xed) high = 0x9f;
  } else if (first >= 0xf0 && first <= 0xf4) {
    length = 4;
    if (first == 0xf0) low = 0x90;
    if (first == 0xf4) high = 0x8f;
  } else {
    return 0;
  }
  if (text.size() < length || byte(1) < low || byte(1) > high) return 0;
  for (std::size_t i = 2; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  return length;
}

void append_percent(std::string& out, unsigned char byte) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  out += '%';
  out += kHex[byte >> 4];
  out += kHex[byte & 15];
}

}  // namespace

absl::StatusOr<std::chrono::nanoseconds> parse_grpc_timeout(std::string_view text) {
  if (text.size() < 2) return malformed_timeout("string is too short", text);
  if (text.size() > 9) return malformed_timeout("string is too long", text);
  const std::optional<std::chrono::nanoseconds> unit = unit_of(text.back());
  if (!unit) return malformed_timeout("unit is not recognized", text);
  std::int64_t count = 0;
  for (const char digit : text.substr(0, text.size() - 1)) {
    if (digit < '0' || digit > '9') {
      return absl::InternalError(concat("malformed grpc-timeout: strconv.ParseUint: parsing ",
                                        go_quote(text.substr(0, text.size() - 1)),
                                        ": invalid syntax"));
    }
    count = count * 10 + (digit - '0');
  }
  if (count > std::numeric_limits<std::int64_t>::max() / unit->count()) {
    return std::chrono::nanoseconds::max();
  }
  return *unit * count;
}

std::string percent_encode(std::string_view message) {
  std::string out;
  out.reserve(message.size());
  while (!message.empty()) {
    const std::size_t length = utf8_length(message);
    if (length == 1 && message[0] >= ' ' && message[0] <= '~' && message[0] != '%') {
      out += message[0];
    } else if (length == 0) {
      out += "%EF%BF%BD";
    } else {
      for (std::size_t i = 0; i < length; ++i) {
        append_percent(out, static_cast<unsigned char>(message[i]));
      }
    }
    message.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return out;
}

std::string base64_encode(BytesView bytes) {
  std::string out = absl::Base64Escape(to_absl(bytes));
  while (!out.empty() && out.back() == '=') out.pop_back();
  return out;
}

std::optional<Bytes> base64_decode(std::string_view text) {
  // Abseil's decoder skips white space and takes '.' for padding; the protocol has neither.
  for (const char c : text) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '+' && c != '/' && c != '=') {
      return std::nullopt;
    }
  }
  Bytes out;
  if (!absl::Base64Unescape(to_absl(text), &out)) return std::nullopt;
  return out;
}

bool is_binary_header(std::string_view name) {
  return name.ends_with("-bin");
}

ContentType classify_content_type(std::string_view value) {
  if (!value.starts_with(kGrpcContentType)) return ContentType::kOther;
  value.remove_prefix(kGrpcContentType.size());
  if (value.empty() || value[0] == '+' || value[0] == ';') return ContentType::kGrpc;
  return ContentType::kBadGrpc;
}

std::string go_quote(std::string_view text) {
  return concat("\"", absl::Utf8SafeCHexEscape(to_absl(text)), "\"");
}

}  // namespace holdfast::net
