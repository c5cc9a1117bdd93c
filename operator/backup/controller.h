#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "datastore/telemetry/log.h"
#include "operator/actions/workers.h"
#include "operator/actions/writer.h"
#include "operator/backup/figures.h"
#include "operator/backup/plan.h"
#include "operator/backup/pods.h"
#include "operator/backup/restore_plan.h"
#include "operator/backup/schedule_plan.h"
#include "operator/backup/summary.h"
#include "operator/kube/event_recorder.h"
#include "operator/kube/informer.h"
#include "operator/kube/request_metrics.h"
#include "operator/observe/caches.h"
#include "operator/specs/template.h"

namespace holdfast::backup {

struct ControllerOptions {
  std::vector<std::string> namespaces;  ///< empty: all
  std::uint64_t seed = 0;
  /// The operator's own image, for workers.
  std::string worker_image;
  /// Of members of clusters that name none.
  specs::Defaults defaults;
  int workers = 2;
};

/// What the controller works with; all of it outlives the controller.
struct ControllerParts {
  kube::Client& client;
  const observe::Caches& caches;
  kube::EventRecorder& events;
  telemetry::Logger& log;
  kube::RequestMetrics& metrics;
  Figures& figures;
};

/// Looks at one HoldfastBackup, schedule or HoldfastRestore after the other and takes the one step
/// that its planner names: the same loop as that of clusters, with caches of its own for backups,
/// schedules and workers' Pods. Whatever changes of a cluster's backups also changes what its
/// status says of them. Works only while it leads. Any thread.
class Controller {
 public:
  Controller(const ControllerParts& parts, ControllerOptions options);
  /// Stops.
  ~Controller();
  Controller(const Controller&) = delete;
  Controller& operator=(const Controller&) = delete;

  void start();
  /// Lets passes that run come to their end; joins. Idempotent.
  void stop();
  bool have_synced() const;
  std::chrono::steady_clock::duration longest_silence() const;
  /// How long the pass that runs longest has run, or a key has waited for a worker.
  std::chrono::steady_clock::duration longest_wait() const { return workers_.longest_wait(); }

  /// A term begins: every backup is looked at.
  void lead(actions::Workers::Term term);
  /// The term is over: passes under way stop at their next write.
  void follow();

 private:
  using Delay = std::optional<absl::Duration>;
  /// One for each namespace watched.
  using Informers = std::vector<std::unique_ptr<kube::Informer>>;

  void watch();
  std::array<const Informers*, 6> informers() const {
    return {&backups_, &schedules_, &pods_, &restores_, &restore_pods_, &archivers_};
  }
  void trigger_backup(const kube::Json& backup);
  static kube::Object find(const Informers& informers, const kube::ObjectKey& key);
  Delay reconcile(const std::string& queue_key, const actions::Workers::Term& term);
  Delay reconcile_backup(const kube::ObjectKey& key, actions::Writer& write);
  Delay reconcile_schedule(const kube::ObjectKey& key, actions::Writer& write);
  Delay reconcile_restore(const kube::ObjectKey& key, actions::Writer& write);
  absl::StatusOr<RestoreSeen> look_at_restore(const kube::Json& object) const;
  absl::StatusOr<bool> is_source_on_one_node(const RestoreSeen& seen) const;
  absl::Status perform(const RestoreSeen& seen, const RestoreStepToTake& step,
                       actions::Writer& write);
  /// Of a schedule with an archive, or with an archiver that is left.
  ArchiveSeen look_at_archive(const api::HoldfastBackupSchedule& schedule) const;
  /// Whether the schedule that made it keeps an archive.
  bool is_archived(const api::HoldfastBackup& backup) const;
  std::string other_archiving(const api::HoldfastBackupSchedule& schedule) const;
  void tell_archive(const ScheduleSeen& seen, const SchedulePlan& plan);
  absl::Status perform(const ScheduleSeen& seen, const ScheduleStep& step, actions::Writer& write);
  /// Tells a cluster's status, and metrics, how well it is backed up.
  Delay summarize_cluster(const kube::ObjectKey& key, actions::Writer& write);
  /// What to do after a write: nothing but the planner's own wish if it succeeded.
  Delay after(const std::string& queue_key, const absl::Status& status, Delay planned);
  void announce(const kube::Json& object, const std::vector<Note>& notes,
                std::string_view action = "Backup");
  std::optional<BackupSeen> look(const kube::Object& object) const;
  absl::Status carry_out(const ScheduleSeen& seen, const SchedulePlan& plan,
                         actions::Writer& write);
  absl::Status write_summary(const api::HoldfastCluster& cluster, const Summary& summary,
                             actions::Writer& write);
  std::optional<api::HoldfastCluster> cluster_named(const std::string& ns,
                                                    const std::string& name) const;
  /// What Pods of workers for it are made of.
  PodParts parts_for(const std::optional<api::HoldfastCluster>& cluster) const;
  absl::Status carry_out(const BackupSeen& seen, const BackupPlan& plan, actions::Writer& write);
  absl::Status write_status(const BackupSeen& seen, const api::BackupStatus& status,
                            actions::Writer& write);
  absl::Status perform(const BackupSeen& seen, const Step& step, actions::Writer& write);
  absl::Status create_pod(const BackupSeen& seen, const CreatePod& step, actions::Writer& write);
  static absl::Status patch_finalizer(const kube::Resource& resource,
                                      const api::ObjectMeta& metadata, std::string_view finalizer,
                                      bool hold, actions::Writer& write);
  std::vector<api::HoldfastBackup> backups_in(
      const std::string& ns, const std::function<bool(const api::HoldfastBackup&)>& wanted) const;

  const ControllerParts parts_;
  const ControllerOptions options_;
  Informers backups_;
  Informers schedules_;
  Informers pods_;
  Informers restores_;
  Informers restore_pods_;
  Informers archivers_;
  actions::Workers workers_;  // last: their passes use all the others
};

}  // namespace holdfast::backup
