#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "datastore/telemetry/log.h"
#include "operator/backup/archive_folder.h"
#include "operator/backup/objects.h"

namespace holdfast::backup {

/// Removes what no backup needs of an archive, now and then, on a thread of its own: the log is
/// followed meanwhile, and what is learnt of late would be told late. That something stays which
/// nobody needs is no trouble: the next time it goes.
class ArchivePruner {
 public:
  /// `objects`, of which this thread is the only user, and `log` must outlive it.
  ArchivePruner(const Objects& objects, std::string folder, std::chrono::milliseconds period,
                telemetry::Logger& log);
  /// Waits for what is under way.
  ~ArchivePruner();

  /// From now on; the cluster's ID is a part of the folder's name, and stays.
  void start(const std::string& cluster_id);
  /// What was removed since it was asked last; its status says nothing.
  Pruned take_removed();

 private:
  void run(const std::string& cluster_id);
  void prune(const std::string& cluster_id);
  void prune_former(const std::string& cluster_id);

  const Objects& objects_;
  const std::string folder_;
  const std::chrono::milliseconds period_;
  telemetry::Logger& log_;
  std::mutex mutex_;
  std::condition_variable wakes_;
  bool ends_ = false;  // guarded
  Pruned removed_;     // guarded
  std::thread thread_;
};

}  // namespace holdfast::backup
