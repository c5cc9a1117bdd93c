#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "operator/backup/archive_head.h"

/// How an archiver tells the operator how far it is: its head, as JSON over plain HTTP. Nothing in
/// it is secret, and nothing can be asked for but it.
namespace holdfast::backup {

inline constexpr int kArchivePort = 2382;

/// GET /status, on a thread of its own until destruction.
class ArchivePage {
 public:
  explicit ArchivePage(std::function<ArchiveHead()> head);
  ~ArchivePage();
  ArchivePage(const ArchivePage&) = delete;
  ArchivePage& operator=(const ArchivePage&) = delete;

  /// On all addresses. Errors: Unavailable if the port is taken.
  absl::Status start(int port);

 private:
  struct Server;
  std::unique_ptr<Server> server_;
  std::thread thread_;
};

/// Blocks for some seconds at most. Errors: Unavailable; what read_head says.
absl::StatusOr<ArchiveHead> ask_archiver(const std::string& address, int port = kArchivePort);

}  // namespace holdfast::backup
