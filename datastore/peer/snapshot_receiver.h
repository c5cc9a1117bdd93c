#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "datastore/net/http.h"
#include "datastore/peer/context.h"

namespace holdfast::peer {

/// Where states that arrive are put. Any thread.
class SnapshotFiles {
 public:
  SnapshotFiles(ports::Disk& disk, std::string directory)
      : disk_(disk), directory_(std::move(directory)) {}

  /// Makes the directory, and removes what a crash left half written.
  absl::Status prepare();
  const std::string& directory() const { return directory_; }
  /// `<index as 16 hex>.snap.db`.
  std::string path(Index index) const;
  /// A name for a file that is being written, different each time.
  std::string temporary_path(Index index);
  ports::Disk& disk() const { return disk_; }

 private:
  ports::Disk& disk_;
  const std::string directory_;
  std::atomic<std::uint64_t> next_{0};
};

/// Takes one POST /raft/snapshot: its envelope, then the database, which a worker writes to a file
/// while the peer's next bytes come in; no more of them are held than the options allow. When all
/// is durable the node gets it, and the peer its 204. `active` counts the transfers under way.
std::unique_ptr<net::HttpUpload> receive_snapshot(Context& context, SnapshotFiles& files,
                                                  std::shared_ptr<std::size_t> active,
                                                  MemberId peer, net::HttpResponderRef responder);

}  // namespace holdfast::peer
