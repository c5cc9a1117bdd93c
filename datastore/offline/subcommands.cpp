#include "datastore/offline/subcommands.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>

#include "datastore/config/help.h"
#include "datastore/offline/completion.h"
#include "datastore/offline/subcommand.h"

namespace holdfast::offline {
namespace {

Subcommand add_version(CLI::App& root) {
  return {root.add_subcommand("version", "Print the version"), [] {
            std::cout << config::version_text();
            return 0;
          }};
}

Subcommand add_completion(CLI::App& root) {
  CLI::App* completion = root.add_subcommand("completion", "Print a script that completes for");
  completion->require_subcommand(1);
  return {completion->add_subcommand("bash", "bash: source <(holdfast completion bash)"), [] {
            std::cout << bash_completion();
            return 0;
          }};
}

std::vector<Subcommand> add_all(CLI::App& root) {
  CLI::App* snapshot = root.add_subcommand("snapshot", "Snapshot files");
  snapshot->require_subcommand(1);
  return {
      add_snapshot_restore(*snapshot),
      add_snapshot_status(*snapshot),
      add_snapshot_replay(*snapshot),
      add_import(root),
      add_status(root),
      add_hash_kv(root),
      add_verify(root),
      add_defrag(root),
      add_migrate(root),
      add_version(root),
      add_completion(root),
  };
}

}  // namespace

std::optional<int> run_subcommand(const std::vector<std::string>& args) {
  if (args.empty() || args.front().starts_with("-")) return std::nullopt;
  CLI::App app("holdfast: what works on files, without a member running", "holdfast");
  app.require_subcommand(1);
  const std::vector<Subcommand> subcommands = add_all(app);
  const bool known = std::ranges::any_of(
      app.get_subcommands([](const CLI::App*) { return true; }),
      [&](const CLI::App* subcommand) { return subcommand->check_name(args.front()); });
  if (!known) return std::nullopt;
  std::vector<std::string> reversed(args.rbegin(), args.rend());  // as CLI11 wants them
  try {
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const auto chosen = std::ranges::find_if(
      subcommands, [](const Subcommand& subcommand) { return subcommand.app->parsed(); });
  return chosen == subcommands.end() ? 2 : chosen->run();
}

}  // namespace holdfast::offline
