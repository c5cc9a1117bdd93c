#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "datastore/config/options.h"

namespace holdfast::config {

enum class FlagGroup : std::uint8_t {
  kMember,
  kClustering,
  kSecurity,
  kAuth,
  kMonitoring,
  kLogging,
  kTracing,
  kFeatures,
  kUnsafe,
  kHoldfast,
};
inline constexpr std::size_t kFlagGroups = static_cast<std::size_t>(FlagGroup::kHoldfast) + 1;
std::string_view flag_group_title(FlagGroup group);

/// What a value given for a flag does here.
enum class FlagStatus : std::uint8_t {
  kUsed,     ///< what it does in etcd
  kMet,      ///< nothing: what it asks for is so anyway; said at start
  kLater,    ///< nothing yet: what it governs comes with a later release; said at start
  kRefused,  ///< it cannot mean anything here: any value but the default is refused
};

/// The field that a flag fills; which alternative it is tells the flag's kind.
template <class T>
using FieldOf = T& (*)(Options&);
using Field =
    std::variant<FieldOf<bool>, FieldOf<std::string>, FieldOf<std::int64_t>, FieldOf<std::uint64_t>,
                 FieldOf<std::uint32_t>, FieldOf<std::chrono::nanoseconds>,
                 FieldOf<std::vector<Url>>, FieldOf<std::vector<std::string>>,
                 FieldOf<std::set<std::string>>, FieldOf<std::map<std::string, bool>>>;

struct Flag {
  std::string_view name;
  FlagGroup group;
  Field field;
  std::string_view meaning;
  FlagStatus status = FlagStatus::kUsed;
  std::string_view reason = {};  ///< one sentence, if status is not kUsed
  /// Its place in --config-file if not its name at top level; "-" if it has none there.
  std::string_view file_key = {};
  std::vector<std::string_view> choices = {};  ///< the only values taken, if any
};

/// Every flag, in the order of --help. --config-file, --help and --version are not among them.
std::span<const Flag> flags();
/// The flag of that name; null if there is none.
const Flag* find_flag(std::string_view name);

bool is_boolean(const Flag& flag);
/// int, duration, string, list …: for --help and messages.
std::string_view kind_name(const Flag& flag);

/// Reads text into the flag's field, by etcd's rules for its kind.
/// Errors: InvalidArgument with what is wrong, not naming the flag.
absl::Status set_from_text(const Flag& flag, std::string_view text, Options& options);

/// The value as one would write it on a command line.
std::string value_text(const Flag& flag, const Options& options);

/// ETCD_DATA_DIR for data-dir; our own flags start with HOLDFAST_.
std::string environment_name(const Flag& flag);

/// What a refused or unknown flag should hear: the current name of a renamed or removed one, or
/// the nearest in spelling. Empty if nothing is near.
std::string suggestion_for(std::string_view unknown_name);

}  // namespace holdfast::config
