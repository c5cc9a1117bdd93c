#pragma once

namespace holdfast::plugin {

/// Whether this program was called as kubectl's plugin: by a name that ends in "kubectl-holdfast",
/// or with the first argument "kubectl".
bool is_plugin(int argc, char** argv);

/// Runs it; `kubectl holdfast --help` has the commands. Returns the code to exit with: 0 if what
/// was asked for was done, 1 if it failed, 2 for a wrong command line.
int run_plugin(int argc, char** argv);

}  // namespace holdfast::plugin
