#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "datastore/telemetry/metric.h"
#include "operator/api/condition.h"
#include "operator/backup/summary.h"
#include "operator/kube/resource.h"

namespace holdfast::backup {

/// How far a schedule's archive is.
struct ArchiveFigures {
  std::string cluster;
  std::optional<absl::Time> until;  ///< all that was acknowledged before is stored
  std::int64_t revision = 0;
  std::int64_t stored_bytes = 0;
  api::ConditionStatus healthy = api::ConditionStatus::kUnknown;
};

/// What the operator tells of clusters' backups, as holdfast_backup_*, one series a cluster, and of
/// archives, as holdfast_operator_archive_*, one a schedule. Any thread.
class Figures {
 public:
  explicit Figures(telemetry::MetricRegistry& registry);
  Figures(const Figures&) = delete;
  Figures& operator=(const Figures&) = delete;

  void set_cluster(const kube::ObjectKey& cluster, const Summary& summary);
  void forget(const kube::ObjectKey& cluster);
  void set_schedule(const kube::ObjectKey& schedule, const ArchiveFigures& archive);
  void forget_schedule(const kube::ObjectKey& schedule);

 private:
  void add(telemetry::MetricRegistry& registry, const std::string& name, const std::string& help,
           std::optional<double> (*figure)(const Summary&));
  void add_archive(telemetry::MetricRegistry& registry, const std::string& name,
                   const std::string& help, std::optional<double> (*figure)(const ArchiveFigures&));

  std::mutex mutex_;  // guards all below
  std::map<kube::ObjectKey, Summary> clusters_;
  std::map<kube::ObjectKey, ArchiveFigures> schedules_;
};

}  // namespace holdfast::backup
