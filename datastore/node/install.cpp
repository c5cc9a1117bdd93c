#include "datastore/node/install.h"
namespace holdfast::node {
absl::Status install_snapshot(ports::Disk&, const std::string&, const raft::SnapshotMetadata&,
                              ports::KvBackend&) {
  return absl::UnimplementedError("to come");
}
}  // namespace holdfast::node
