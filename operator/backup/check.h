#pragma once

#include <atomic>
#include <chrono>
#include <optional>
#include <string>

#include "datastore/telemetry/log.h"
#include "operator/backup/verdict.h"
#include "operator/member/endpoint.h"

namespace holdfast::backup {

struct CheckRequest {
  /// What a fetch has put there.
  std::string folder;
  /// The scratch member that was restored from it.
  member::Endpoint endpoint;
  /// The log was replayed on it: it is later than its manifest, and what its hash should be is not
  /// known.
  bool replayed = false;
  /// Any member of the cluster itself, which is asked for its hash at the revision that the replay
  /// has led to. One that does not answer, or has compacted that away, proves nothing either way.
  std::optional<member::Endpoint> live;
  /// For the member to serve at all.
  std::chrono::seconds patience{600};
};

/// Proves a restored copy: it serves, holds the manifest's revision, hashes to the manifest's
/// HashKV and every key of it can be read. Changes the scratch member (it may compact it). Blocks.
Verdict check(const CheckRequest& request, const std::atomic<bool>& stopping,
              telemetry::Logger& log);

}  // namespace holdfast::backup
