#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datastore/config/options.h"
#include "datastore/telemetry/log.h"

namespace holdfast::config {

/// Something to log at start, about a setting that is taken but deserves a word.
struct Notice {
  telemetry::LogLevel level;
  std::string message;
  std::vector<std::pair<std::string, std::string>> fields;
};

/// Checks values against each other as etcd does, with its error texts, then that nothing is asked
/// that holdfast refuses, then that nothing is asked that this release lacks.
/// notices: gets what should be logged. Errors: InvalidArgument, one sentence that says what to do.
absl::Status validate(const Options& options, std::vector<Notice>& notices);

/// --auto-compaction-mode and -retention together.
absl::StatusOr<AutoCompaction> auto_compaction(const Options& options);

/// --quota-backend-bytes with etcd's default filled in; empty if there is no limit.
std::optional<std::int64_t> effective_quota_bytes(const Options& options);

/// --log-*; errors as etcd's for outputs that do not go together and malformed rotation settings.
absl::StatusOr<telemetry::LogOptions> log_options(const Options& options);

}  // namespace holdfast::config
