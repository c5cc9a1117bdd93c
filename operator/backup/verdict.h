#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "operator/backup/manifest.h"

namespace holdfast::backup {

/// Reasons that more than people go by.
namespace reason {
inline constexpr std::string_view kDamaged = "Damaged";
inline constexpr std::string_view kArchiveDamaged = "ArchiveDamaged";
}  // namespace reason

/// What a worker has to say at its end, as its Pod's termination message: JSON of at most 4,096
/// bytes, which is what Kubernetes keeps.
struct Verdict {
  bool succeeded = false;
  /// Trying again later may help: nothing is wrong with what was asked.
  bool retryable = false;
  /// Something of it may be stored that could not be removed.
  bool leftover = false;
  /// CamelCase, for conditions and events.
  std::string reason;
  /// For people; cut at kMaxVerdictMessageBytes.
  std::string message;
  /// Of what was stored or checked.
  std::optional<Manifest> manifest;
  /// Of a check: from the first byte fetched to the first linearizable read.
  double restore_seconds = 0;

  friend bool operator==(const Verdict&, const Verdict&) = default;
};

inline constexpr std::size_t kMaxVerdictMessageBytes = 1500;

std::string write_verdict(const Verdict& verdict);
/// Nothing if the text is no verdict: the worker was killed before it could say one.
std::optional<Verdict> read_verdict(std::string_view text);

}  // namespace holdfast::backup
