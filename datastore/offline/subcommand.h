#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace holdfast::offline {

/// One of the words after `holdfast`, as the parser knows it and as it is run: the exit code.
struct Subcommand {
  CLI::App* app = nullptr;
  std::function<int()> run;
};

// Those that make a data directory, and log what they do.
Subcommand add_snapshot_restore(CLI::App& snapshot);
Subcommand add_snapshot_replay(CLI::App& snapshot);
Subcommand add_import(CLI::App& root);

// Those that look at what is there, and print what they find.
Subcommand add_snapshot_status(CLI::App& snapshot);
Subcommand add_hash_kv(CLI::App& root);
Subcommand add_status(CLI::App& root);
Subcommand add_verify(CLI::App& root);

// Those that change a stopped member's store.
Subcommand add_defrag(CLI::App& root);
Subcommand add_migrate(CLI::App& root);

}  // namespace holdfast::offline
