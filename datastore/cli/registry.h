#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datastore/config/options.h"

namespace holdfast::cli {

/// What discovery needs of the cluster that serves it: an etcd's keys. Calls block, for the request
/// timeout at most. One thread.
class Registry {
 public:
  struct Entry {
    std::string key;
    std::string value;
    std::int64_t create_revision = 0;
  };

  virtual ~Registry() = default;
  /// Linearizable; no entry where there is no such key.
  virtual absl::StatusOr<std::vector<Entry>> read(const std::string& key) = 0;
  /// All whose key begins with `prefix`, ascending.
  virtual absl::StatusOr<std::vector<Entry>> read_prefix(const std::string& prefix) = 0;
  virtual absl::Status put(const std::string& key, const std::string& value) = 0;
};

/// The cluster at --discovery-endpoints, over gRPC with the --discovery-* timeouts, certificates
/// and user. Each endpoint is tried in turn until one answers. Errors of its calls: the server's;
/// Unavailable if none answers. Errors: InvalidArgument for a file that can't be read.
absl::StatusOr<std::unique_ptr<Registry>> connect_registry(const config::DiscoveryOptions& options);

}  // namespace holdfast::cli
