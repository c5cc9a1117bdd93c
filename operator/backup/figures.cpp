#include "operator/backup/figures.h"

#include <algorithm>

#include "absl/time/clock.h"

namespace holdfast::backup {
namespace {

using Figure = std::optional<double>;

Figure seconds_of(const std::optional<absl::Time>& time) {
  return time ? Figure(absl::ToDoubleSeconds(*time - absl::UnixEpoch())) : std::nullopt;
}

Figure figure_of(api::ConditionStatus status) {
  if (status == api::ConditionStatus::kUnknown) return std::nullopt;
  return status == api::ConditionStatus::kTrue ? 1 : 0;
}

}  // namespace

Figures::Figures(telemetry::MetricRegistry& registry) {
  add(registry, "holdfast_backup_last_success_timestamp_seconds",
      "When the newest complete backup was stored, in seconds since 1970.",
      [](const Summary& summary) { return seconds_of(summary.last_success); });
  add(registry, "holdfast_backup_last_verified_timestamp_seconds",
      "When a backup was last proved by restoring it, in seconds since 1970.",
      [](const Summary& summary) { return seconds_of(summary.last_verified); });
  add(registry, "holdfast_backup_restore_seconds",
      "How long the last proof took to restore and serve: the measured recovery time.",
      [](const Summary& summary) -> Figure {
        return summary.restore_seconds > 0 ? Figure(summary.restore_seconds) : std::nullopt;
      });
  add(registry, "holdfast_backup_last_size_bytes", "Size of the newest complete backup, as stored.",
      [](const Summary& summary) -> Figure {
        return summary.last_success ? Figure(static_cast<double>(summary.last_size_bytes))
                                    : std::nullopt;
      });
  add(registry, "holdfast_backup_healthy",
      "The condition BackupHealthy: 1 if True, 0 if False, absent while nobody can tell.",
      [](const Summary& summary) { return figure_of(summary.healthy.status); });
  add_archive(registry, "holdfast_operator_archive_lag_seconds",
              "How old the newest moment is that could be restored if the cluster were lost now.",
              [](const ArchiveFigures& archive) -> Figure {
                if (!archive.until) return std::nullopt;
                return std::max(absl::ToDoubleSeconds(absl::Now() - *archive.until), 0.0);
              });
  add_archive(
      registry, "holdfast_operator_archive_revision", "The archive holds at least this revision.",
      [](const ArchiveFigures& archive) { return Figure(static_cast<double>(archive.revision)); });
  add_archive(registry, "holdfast_operator_archive_stored_bytes",
              "Bytes of all segments stored so far, those that retention removed included.",
              [](const ArchiveFigures& archive) {
                return Figure(static_cast<double>(archive.stored_bytes));
              });
  add_archive(registry, "holdfast_operator_archive_healthy",
              "The condition ArchiveHealthy: 1 if True, 0 if False, absent while nobody can tell.",
              [](const ArchiveFigures& archive) { return figure_of(archive.healthy); });
}

void Figures::add_archive(telemetry::MetricRegistry& registry, const std::string& name,
                          const std::string& help, Figure (*figure)(const ArchiveFigures&)) {
  registry.samples_from(name, help, prometheus::MetricType::Gauge, [this, figure] {
    telemetry::MetricRegistry::Samples samples;
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const auto& [key, archive] : schedules_) {
      const Figure value = figure(archive);
      if (!value) continue;
      samples.push_back(
          {{{"namespace", key.ns}, {"cluster", archive.cluster}, {"schedule", key.name}}, *value});
    }
    return samples;
  });
}

void Figures::add(telemetry::MetricRegistry& registry, const std::string& name,
                  const std::string& help, Figure (*figure)(const Summary&)) {
  registry.samples_from(name, help, prometheus::MetricType::Gauge, [this, figure] {
    telemetry::MetricRegistry::Samples samples;
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const auto& [key, summary] : clusters_) {
      const Figure value = figure(summary);
      if (value) samples.push_back({{{"namespace", key.ns}, {"cluster", key.name}}, *value});
    }
    return samples;
  });
}

void Figures::set_cluster(const kube::ObjectKey& cluster, const Summary& summary) {
  const std::lock_guard<std::mutex> lock(mutex_);
  clusters_[cluster] = summary;
}

void Figures::set_schedule(const kube::ObjectKey& schedule, const ArchiveFigures& archive) {
  const std::lock_guard<std::mutex> lock(mutex_);
  schedules_[schedule] = archive;
}

void Figures::forget_schedule(const kube::ObjectKey& schedule) {
  const std::lock_guard<std::mutex> lock(mutex_);
  schedules_.erase(schedule);
}

void Figures::forget(const kube::ObjectKey& cluster) {
  const std::lock_guard<std::mutex> lock(mutex_);
  clusters_.erase(cluster);
}

}  // namespace holdfast::backup
