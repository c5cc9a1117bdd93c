#include "operator/api/releases.h"

#include <cstdint>

#include "absl/strings/numbers.h"
#include "operator/api/text.h"

namespace holdfast::api {

namespace {

/// One row for each minor release, added with it.
struct Release {
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  EtcdLevel level;
};
constexpr Release kReleases[] = {
    {0, 1, {3, 7}},
};

bool read_number(std::string_view text, int& number) {
  return !text.empty() && absl::SimpleAtoi(to_absl(text), &number) && number >= 0;
}

}  // namespace

std::optional<EtcdLevel> parse_level(std::string_view text) {
  const std::size_t dot = text.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const std::string_view rest = text.substr(dot + 1);
  EtcdLevel level;
  const bool read = read_number(text.substr(0, dot), level.major) &&
                    read_number(rest.substr(0, rest.find('.')), level.minor);
  return read ? std::optional(level) : std::nullopt;
}

std::string format_level(EtcdLevel level) {
  return str_cat(level.major, ".", level.minor);
}

std::optional<EtcdLevel> level_of(const Version& release) {
  for (const Release& known : kReleases) {
    if (known.major == release.major && known.minor == release.minor) return known.level;
  }
  return std::nullopt;
}

}  // namespace holdfast::api
