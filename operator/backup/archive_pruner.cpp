#include "operator/backup/archive_pruner.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"

namespace holdfast::backup {

ArchivePruner::ArchivePruner(const Objects& objects, std::string folder,
                             std::chrono::milliseconds period, telemetry::Logger& log)
    : objects_(objects), folder_(std::move(folder)), period_(period), log_(log) {
}

ArchivePruner::~ArchivePruner() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ends_ = true;
  }
  wakes_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void ArchivePruner::start(const std::string& cluster_id) {
  if (!thread_.joinable()) thread_ = std::thread([this, cluster_id] { run(cluster_id); });
}

Pruned ArchivePruner::take_removed() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return std::exchange(removed_, Pruned());
}

void ArchivePruner::run(const std::string& cluster_id) {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!wakes_.wait_for(lock, period_, [this] { return ends_; })) {
    lock.unlock();
    prune(cluster_id);
    lock.lock();
  }
}

void ArchivePruner::prune(const std::string& cluster_id) {
  prune_former(cluster_id);
  const Pruned pruned = prune_archive(objects_, folder_, cluster_id);
  if (!pruned.status.ok() && !absl::IsCancelled(pruned.status)) {
    log_.warn("segments that no backup needs may be left", {telemetry::Field(pruned.status)});
  }
  if (pruned.removed == 0) return;
  log_.info("segments that no backup needs were removed",
            {{"segments", pruned.removed}, {"up-to-index", pruned.last_index}});
  const std::lock_guard<std::mutex> lock(mutex_);
  removed_.removed += pruned.removed;
  removed_.last_index = std::max(removed_.last_index, pruned.last_index);
}

void ArchivePruner::prune_former(const std::string& cluster_id) {
  const Pruned pruned = prune_former_archives(objects_, folder_, cluster_id, absl::Now());
  if (!pruned.status.ok() && !absl::IsCancelled(pruned.status)) {
    log_.warn("logs of clusters before this one may be left", {telemetry::Field(pruned.status)});
  }
  if (pruned.removed == 0) return;
  log_.info("segments of clusters before this one were removed", {{"segments", pruned.removed}});
}

}  // namespace holdfast::backup
