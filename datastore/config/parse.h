#pragma once

#include <span>
#include <string>
#include <variant>
#include <vector>

#include "datastore/config/default_host.h"
#include "datastore/config/options.h"
#include "datastore/config/validate.h"

namespace holdfast::config {

struct Parsed {
  Options options;
  std::vector<Notice> notices;  ///< to be logged once the log is open
};

/// The process should end now.
struct Exit {
  enum class Kind {
    kAnswered,  ///< --help or --version: print to standard output
    kUsage,     ///< not a flag, or not a value for it: print to standard error
    kInvalid,   ///< settings that do not go together or are refused: log
  };
  Kind kind;
  std::string text;

  int code() const { return kind == Kind::kAnswered ? 0 : kind == Kind::kUsage ? 2 : 1; }
};

/// Reads a member's settings as etcd does.
///
/// Flags are -x v, --x v, -x=v or --x=v; a boolean takes its value after = only; of a repeated flag
/// the last counts; flags end at -- and nothing may follow. A flag not given may come from its
/// environment variable (empty ones count as unset); given in both, it is refused. With
/// --config-file (or ETCD_CONFIG_FILE) the file alone counts, and all other flags and variables
/// are set aside.
///
/// args: without the program's name. environment: NAME=value texts. find_host: asked only by whom
/// listens on 0.0.0.0 and advertises nothing of its own.
std::variant<Parsed, Exit> parse_options(std::span<const std::string> args,
                                         std::span<const std::string> environment,
                                         const FindHost& find_host = default_host);

/// Prints or logs why the process ends; returns its exit code.
int report(const Exit& exit);

}  // namespace holdfast::config
