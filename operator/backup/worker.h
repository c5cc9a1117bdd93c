#pragma once

namespace holdfast::backup {

/// The first argument by which this program is a worker: `holdfast-operator backup-worker …`.
inline constexpr const char* kWorkerCommand = "backup-worker";

/// Whether the command line asks for a worker.
bool is_worker(int argc, char** argv);

/// Runs one: take, fetch, check or remove (`backup-worker --help`). Its last word is a Verdict, in
/// the log and in --verdict-file. Settings and secrets of the target come from the environment, as
/// rclone reads them; SIGTERM ends it early, with what it has stored removed. Returns the code to
/// exit with: 0 if it succeeded.
int run_worker(int argc, char** argv);

}  // namespace holdfast::backup
