#include "datastore/config/help.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include "datastore/config/flags.h"
#include "datastore/config/go_values.h"
#include "datastore/config/version.h"
#include "fmt/format.h"

namespace holdfast::config {
namespace {

constexpr std::size_t kColumns = 100;
constexpr std::size_t kIndent = 6;

void append_wrapped(std::string& out, std::string_view text) {
  std::string line;
  for (const std::string& word : split(text, ' ')) {
    if (!line.empty() && kIndent + line.size() + 1 + word.size() > kColumns) {
      out.append(kIndent, ' ').append(line) += '\n';
      line.clear();
    }
    line += (line.empty() ? "" : " ") + word;
  }
  out.append(kIndent, ' ').append(line) += '\n';
}

std::string description(const Flag& flag) {
  std::string text(flag.meaning);
  if (flag.status == FlagStatus::kMet) {
    text += fmt::format(" [nothing to do: {}]", flag.reason);
  }
  if (flag.status == FlagStatus::kLater) {
    text += fmt::format(" [no effect yet: {}]", flag.reason);
  }
  if (flag.status == FlagStatus::kRefused) {
    text += fmt::format(" [refused: {}]", flag.reason);
  }
  return text;
}

std::string heading(const Flag& flag) {
  static const Options kDefaults;
  const std::string value = value_text(flag, kDefaults);
  const std::string shown = flag.name == "data-dir" ? "<name>.etcd" : value;
  return fmt::format("  --{} {}{}\n", flag.name, kind_name(flag),
                     shown.empty() ? "" : fmt::format("  (default {})", shown));
}

}  // namespace

std::string usage_text() {
  return "Usage:\n"
         "  holdfast [flags]                        run a member\n"
         "  holdfast --config-file=<file>           run a member with the file's settings alone\n"
         "  holdfast snapshot restore <file> …      make a member out of a saved snapshot\n"
         "  holdfast snapshot status <file>         what a snapshot holds\n"
         "  holdfast snapshot replay <file> …       a later snapshot, of one and an archive of the "
         "log\n"
         "  holdfast import <etcd data dir> …       make a member out of a stopped etcd's data\n"
         "  holdfast status --data-dir=<dir>        where a stopped member's log and state stand\n"
         "  holdfast hashkv <file or data dir>      the hash that members of a cluster agree on\n"
         "  holdfast verify <file or data dir>      read and check every byte\n"
         "  holdfast defrag --data-dir=<dir>        give a stopped member's free space back\n"
         "  holdfast migrate --data-dir=<dir> …     make its state one of another etcd release\n"
         "  holdfast completion bash                print a script that completes all of this\n"
         "  holdfast --version                      print the release\n"
         "  holdfast --help                         print every flag\n";
}

std::string help_text() {
  std::string out = usage_text();
  out +=
      "\nA flag may be written -name value, --name value or --name=value; a boolean takes =true "
      "or\n"
      "=false. A flag that is not given is read from its environment variable: --data-dir from\n"
      "ETCD_DATA_DIR. With --config-file (or ETCD_CONFIG_FILE) all other flags and variables are\n"
      "set aside; the file's keys are the flags' names, its durations whole nanoseconds.\n";
  for (std::size_t group = 0; group < kFlagGroups; ++group) {
    out += fmt::format("\n{}:\n", flag_group_title(static_cast<FlagGroup>(group)));
    for (const Flag& flag : flags()) {
      if (flag.group == static_cast<FlagGroup>(group)) {
        out += heading(flag);
        append_wrapped(out, description(flag));
      }
    }
  }
  return out;
}

std::string version_text() {
  return fmt::format("holdfast Version: {}\netcd API Version: {}\nCompiler: GCC {}\n", release(),
                     etcd_version(), __VERSION__);
}

}  // namespace holdfast::config
