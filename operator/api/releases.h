#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>

#include "operator/api/version.h"

namespace holdfast::api {

/// A minor release of etcd's API, "3.7": what members announce, agree on, and can only take back by
/// a downgrade that was enabled first.
struct EtcdLevel {
  int major = 0;
  int minor = 0;

  friend auto operator<=>(const EtcdLevel&, const EtcdLevel&) = default;
};

/// Of "3.7" or "3.7.1"; nothing for what is neither.
std::optional<EtcdLevel> parse_level(std::string_view text);

/// "3.7".
std::string format_level(EtcdLevel level);

/// What members of a release of holdfast announce. Nothing for a release that was made after this
/// operator: it can be gone up to, since a later release never announces less, but not down to.
std::optional<EtcdLevel> level_of(const Version& release);

}  // namespace holdfast::api
