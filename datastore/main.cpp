// The front door key: settings in, a member or a subcommand out.
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "datastore/cli/serve.h"
#include "datastore/config/parse.h"
#include "datastore/offline/subcommands.h"

extern char** environ;

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (const std::optional<int> code = holdfast::offline::run_subcommand(args)) return *code;
  std::vector<std::string> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) environment.emplace_back(*entry);
  const std::variant<holdfast::config::Parsed, holdfast::config::Exit> parsed =
      holdfast::config::parse_options(args, environment);
  if (const auto* exit = std::get_if<holdfast::config::Exit>(&parsed)) {
    return holdfast::config::report(*exit);
  }
  const auto& [options, notices] = std::get<holdfast::config::Parsed>(parsed);
  return holdfast::cli::serve(options, notices);
}
