#include "operator/api/version.h"

#include <algorithm>
#include <cstddef>
#include <tuple>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "operator/api/text.h"

namespace holdfast::api {
namespace {

constexpr std::size_t kMaxVersionBytes = 128;

bool all_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(),
                                      [](unsigned char c) { return absl::ascii_isdigit(c); });
}

bool is_identifier(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '-';
  });
}

/// A number without sign or leading zero.
bool read_number(std::string_view text, std::uint32_t& number) {
  return all_digits(text) && (text.size() == 1 || text[0] != '0') &&
         absl::SimpleAtoi(to_absl(text), &number);
}

std::vector<std::string_view> split_at_dots(std::string_view text) {
  std::vector<std::string_view> parts;
  for (std::size_t dot = text.find('.'); dot != std::string_view::npos; dot = text.find('.')) {
    parts.push_back(text.substr(0, dot));
    text.remove_prefix(dot + 1);
  }
  parts.push_back(text);
  return parts;
}

/// Digits compare as numbers and stand before words.
std::strong_ordering compare_identifiers(std::string_view left, std::string_view right) {
  const bool left_number = all_digits(left);
  const bool right_number = all_digits(right);
  if (left_number != right_number) {
    return left_number ? std::strong_ordering::less : std::strong_ordering::greater;
  }
  if (left_number && left.size() != right.size()) return left.size() <=> right.size();
  return left.compare(right) <=> 0;
}

}  // namespace

std::strong_ordering operator<=>(const Version& left, const Version& right) {
  const auto numbers = std::tie(left.major, left.minor, left.patch) <=>
                       std::tie(right.major, right.minor, right.patch);
  if (numbers != 0) return numbers;
  if (left.prerelease.empty() != right.prerelease.empty()) {
    return left.prerelease.empty() ? std::strong_ordering::greater : std::strong_ordering::less;
  }
  const std::size_t shared = std::min(left.prerelease.size(), right.prerelease.size());
  for (std::size_t i = 0; i < shared; ++i) {
    const auto order = compare_identifiers(left.prerelease[i], right.prerelease[i]);
    if (order != 0) return order;
  }
  return left.prerelease.size() <=> right.prerelease.size();
}

absl::StatusOr<Version> parse_version(std::string_view text) {
  absl::Status refused = absl::InvalidArgumentError(
      str_cat("\"", text.substr(0, kMaxVersionBytes), "\" is not a version such as 1.2.3"));
  if (text.size() > kMaxVersionBytes) return refused;
  std::string_view rest = text;
  consume_prefix(rest, "v");
  const std::size_t plus = rest.find('+');
  if (plus != std::string_view::npos) {
    for (std::string_view part : split_at_dots(rest.substr(plus + 1))) {
      if (!is_identifier(part)) return refused;
    }
    rest = rest.substr(0, plus);
  }
  Version version;
  const std::size_t dash = rest.find('-');
  if (dash != std::string_view::npos) {
    for (std::string_view part : split_at_dots(rest.substr(dash + 1))) {
      const bool padded = all_digits(part) && part.size() > 1 && part[0] == '0';
      if (!is_identifier(part) || padded) return refused;
      version.prerelease.emplace_back(part);
    }
    rest = rest.substr(0, dash);
  }
  const std::vector<std::string_view> numbers = split_at_dots(rest);
  if (numbers.size() != 3 || !read_number(numbers[0], version.major) ||
      !read_number(numbers[1], version.minor) || !read_number(numbers[2], version.patch)) {
    return refused;
  }
  return version;
}

std::string format_version(const Version& version) {
  std::string text = str_cat(version.major, ".", version.minor, ".", version.patch);
  if (!version.prerelease.empty()) {
    absl::StrAppend(&text, "-", absl::StrJoin(version.prerelease, "."));
  }
  return text;
}

absl::StatusOr<VersionStep> judge_version_change(const Version& from, const Version& to) {
  if (to == from) return VersionStep::kNone;
  const std::string wanted = format_version(to);
  const std::string running = format_version(from);
  if (to.major != from.major) {
    return absl::FailedPreconditionError(
        str_cat("version ", wanted, " is of another major release than the running ", running,
                "; there is no way between them in place"));
  }
  if (to.minor == from.minor) return VersionStep::kPatch;
  if (to.minor == from.minor + 1) return VersionStep::kUpgrade;
  if (to.minor + 1 == from.minor) return VersionStep::kDowngrade;
  const std::uint32_t next = to.minor > from.minor ? from.minor + 1 : from.minor - 1;
  return absl::FailedPreconditionError(
      str_cat("version ", wanted, " is more than one minor release away from the running ", running,
              "; set spec.version to a ", from.major, ".", next, " release first"));
}

}  // namespace holdfast::api
