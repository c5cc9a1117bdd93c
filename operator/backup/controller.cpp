#include "operator/backup/controller.h"

#include <algorithm>
#include <utility>

#include "operator/api/names.h"
#include "operator/api/text.h"
#include "operator/backup/pods.h"
#include "operator/observe/kinds.h"

namespace holdfast::backup {
namespace {

using kube::Json;
using kube::Object;
using kube::ObjectKey;
namespace kinds = observe::kinds;

/// The longest delay of a queue: a backup is looked at this often while nothing else calls for it.
constexpr absl::Duration kLongestDelay = absl::Hours(1);

/// The object of `kind` that a worker's Pod belongs to.
ObjectKey owner_of(const Json& pod, std::string_view kind) {
  const Json* owners = kube::find_at(pod, {"metadata", "ownerReferences"});
  if (owners == nullptr || !owners->is_array()) return {};
  for (const Json& owner : *owners) {
    if (kube::text_at(owner, {"kind"}) == kind) {
      return {std::string(kube::namespace_of(pod)), std::string(kube::text_at(owner, {"name"}))};
    }
  }
  return {};
}

// Keys of the queue: what kind of thing, and which.
constexpr std::string_view kBackupKey = "backup ";
constexpr std::string_view kScheduleKey = "schedule ";
constexpr std::string_view kClusterKey = "cluster ";
constexpr std::string_view kRestoreKey = "restore ";

std::string queue_key(std::string_view kind, const ObjectKey& key) {
  return api::str_cat(kind, kube::to_text(key));
}

/// The cluster that a backup or a schedule is about.
ObjectKey cluster_key(const Json& object) {
  return {std::string(kube::namespace_of(object)),
          std::string(kube::text_at(object, {"spec", "clusterRef", "name"}))};
}

std::vector<MemberSeen> members_of(const api::HoldfastCluster& cluster) {
  std::vector<MemberSeen> members;
  for (const api::MemberStatus& member : cluster.status.members) {
    const bool voter =
        member.role == api::MemberRole::kLeader || member.role == api::MemberRole::kFollower;
    members.push_back({member.name, member.version, member.role == api::MemberRole::kLeader,
                       voter && member.ready});
  }
  return members;
}

std::string text_of(const Step& step) {
  if (const auto* create = std::get_if<CreatePod>(&step)) {
    return api::str_cat("CreatePod ", name_of(create->job), " ", create->number);
  }
  if (const auto* remove = std::get_if<DeletePod>(&step)) {
    return api::str_cat("DeletePod ", remove->name);
  }
  return std::holds_alternative<HoldFinalizer>(step) ? "HoldFinalizer" : "ReleaseFinalizer";
}

}  // namespace

Controller::Controller(const ControllerParts& parts, ControllerOptions options)
    : parts_(parts),
      options_(std::move(options)),
      workers_(options_.workers,
               [this](const std::string& key, const actions::Workers::Term& term) {
                 const Delay again = reconcile(key, term);
                 return again ? actions::Workers::Again(
                                    absl::ToChronoMilliseconds(std::min(*again, kLongestDelay)))
                              : std::nullopt;
               }) {
  watch();
}

Controller::~Controller() {
  stop();
}

void Controller::watch() {
  std::vector<std::string> namespaces = options_.namespaces;
  if (namespaces.empty()) namespaces.emplace_back();
  std::uint64_t seed = options_.seed;
  using Handler = std::function<void(const Json&)>;
  const auto add = [&](Informers& informers, const kube::Resource& resource,
                       std::string_view selector, const Handler& handle) {
    for (const std::string& ns : namespaces) {
      kube::InformerOptions informer;
      informer.resource = resource;
      informer.ns = ns;
      informer.label_selector = std::string(selector);
      informer.transform = kube::drop_managed_fields;
      informers.push_back(std::make_unique<kube::Informer>(parts_.client, std::move(informer),
                                                           parts_.log, parts_.metrics, seed++));
      informers.back()->add_handler([handle](const ObjectKey&, const Object& before,
                                             const Object& now) { handle(now ? *now : *before); });
    }
  };
  add(backups_, kinds::kBackups, "", [this](const Json& backup) { trigger_backup(backup); });
  add(schedules_, kinds::kSchedules, "", [this](const Json& schedule) {
    workers_.add(queue_key(kScheduleKey, kube::key_of(schedule)));
    workers_.add(queue_key(kClusterKey, cluster_key(schedule)));
  });
  add(pods_, kinds::kPods, api::label::kBackup, [this](const Json& pod) {
    const ObjectKey owner = owner_of(pod, api::HoldfastBackup::kKind);
    if (!owner.name.empty()) workers_.add(queue_key(kBackupKey, owner));
  });
  add(restores_, kinds::kRestores, "",
      [this](const Json& restore) { workers_.add(queue_key(kRestoreKey, kube::key_of(restore))); });
  add(restore_pods_, kinds::kPods, api::label::kRestore, [this](const Json& pod) {
    const ObjectKey owner = owner_of(pod, api::HoldfastRestore::kKind);
    if (!owner.name.empty()) workers_.add(queue_key(kRestoreKey, owner));
  });
  add(archivers_, kinds::kPods, api::label::kArchive, [this](const Json& pod) {
    const ObjectKey owner = owner_of(pod, api::HoldfastBackupSchedule::kKind);
    if (!owner.name.empty()) workers_.add(queue_key(kScheduleKey, owner));
  });
}

void Controller::trigger_backup(const Json& backup) {
  workers_.add(queue_key(kBackupKey, kube::key_of(backup)));
  workers_.add(queue_key(kClusterKey, cluster_key(backup)));
  const std::string_view label =
      kube::text_at(backup, {"metadata", "labels", api::label::kSchedule});
  if (label.empty()) return;
  for (const auto& informer : schedules_) {
    for (const Object& schedule : informer->cache().list(kube::namespace_of(backup))) {
      const ObjectKey key = kube::key_of(*schedule);
      if (schedule_label(key.name) == label) workers_.add(queue_key(kScheduleKey, key));
    }
  }
}

void Controller::start() {
  for (const Informers* list : informers()) {
    for (const auto& informer : *list) informer->start();
  }
  workers_.start();
}

void Controller::stop() {
  workers_.stop();
  for (const Informers* list : informers()) {
    for (const auto& informer : *list) informer->stop();
  }
}

bool Controller::have_synced() const {
  for (const Informers* list : informers()) {
    for (const auto& informer : *list) {
      if (!informer->has_synced()) return false;
    }
  }
  return true;
}

std::chrono::steady_clock::duration Controller::longest_silence() const {
  const auto now = std::chrono::steady_clock::now();
  std::chrono::steady_clock::duration longest{0};
  for (const Informers* list : informers()) {
    for (const auto& informer : *list) longest = std::max(longest, now - informer->last_heard());
  }
  return longest;
}

void Controller::lead(actions::Workers::Term term) {
  workers_.lead(std::move(term));
  for (const auto& informer : schedules_) {
    for (const Object& schedule : informer->cache().list()) {
      workers_.add(queue_key(kScheduleKey, kube::key_of(*schedule)));
      workers_.add(queue_key(kClusterKey, cluster_key(*schedule)));
    }
  }
  for (const auto& informer : backups_) {
    for (const Object& backup : informer->cache().list()) trigger_backup(*backup);
  }
  for (const auto& informer : restores_) {
    for (const Object& restore : informer->cache().list()) {
      workers_.add(queue_key(kRestoreKey, kube::key_of(*restore)));
    }
  }
}

void Controller::follow() {
  workers_.follow();
}

Object Controller::find(const Informers& informers, const ObjectKey& key) {
  for (const auto& informer : informers) {
    if (Object object = informer->cache().get(key)) return object;
  }
  return nullptr;
}

std::optional<api::HoldfastCluster> Controller::cluster_named(const std::string& ns,
                                                              const std::string& name) const {
  const Object object = parts_.caches.get(kinds::kClusters, {ns, name});
  if (!object) return std::nullopt;
  auto cluster = api::read<api::HoldfastCluster>(*object);
  if (!cluster.ok()) return std::nullopt;
  return *std::move(cluster);
}

std::optional<BackupSeen> Controller::look(const Object& object) const {
  auto read = api::read<api::HoldfastBackup>(*object);
  if (!read.ok()) {
    parts_.log.error("a backup cannot be read", {{"backup", kube::to_text(kube::key_of(*object))},
                                                 telemetry::Field(read.status())});
    return std::nullopt;
  }
  BackupSeen seen;
  seen.backup = *std::move(read);
  seen.now = absl::Now();
  const auto cluster = cluster_named(seen.backup.metadata.ns, seen.backup.spec.cluster_ref.name);
  if (cluster && cluster->status.cluster_id) seen.members = members_of(*cluster);
  for (const auto& informer : pods_) {
    for (const Object& pod : informer->cache().list(seen.backup.metadata.ns)) {
      if (auto worker = read_pod(*pod, seen.backup)) seen.pods.push_back(*std::move(worker));
    }
  }
  return seen;
}

Controller::Delay Controller::reconcile(const std::string& queue_key,
                                        const actions::Workers::Term& term) {
  actions::Writer write(parts_.client, term);
  std::string_view key = queue_key;
  if (api::consume_prefix(key, kScheduleKey)) {
    return reconcile_schedule(kube::parse_key(key), write);
  }
  if (api::consume_prefix(key, kClusterKey)) {
    return summarize_cluster(kube::parse_key(key), write);
  }
  if (api::consume_prefix(key, kRestoreKey)) {
    return reconcile_restore(kube::parse_key(key), write);
  }
  api::consume_prefix(key, kBackupKey);
  return reconcile_backup(kube::parse_key(key), write);
}

Controller::Delay Controller::after(const std::string& queue_key, const absl::Status& status,
                                    Delay planned) {
  if (kube::is_conflict(status) || absl::IsAborted(status)) {
    return absl::FromChrono(actions::kUntilCacheFollows);
  }
  if (status.ok()) {
    workers_.forget(queue_key);
    return planned;  // what was written comes back as an event, too
  }
  parts_.log.warn("a step for backups was not carried out; trying again",
                  {{"key", queue_key}, telemetry::Field(status)});
  workers_.retry(queue_key);
  return std::nullopt;
}

void Controller::announce(const Json& object, const std::vector<Note>& notes,
                          std::string_view action) {
  using Type = kube::EventRecorder::Type;
  for (const Note& each : notes) {
    parts_.events.record(object, each.warning ? Type::kWarning : Type::kNormal, each.reason, action,
                         each.message);
  }
}

Controller::Delay Controller::reconcile_backup(const ObjectKey& key, actions::Writer& write) {
  const Object object = find(backups_, key);
  if (!object) return after(queue_key(kBackupKey, key), absl::OkStatus(), std::nullopt);
  const std::optional<BackupSeen> seen = look(object);
  if (!seen) return std::nullopt;
  const BackupPlan plan = plan_backup(*seen);
  const absl::Status status = carry_out(*seen, plan, write);
  if (status.ok()) announce(*object, plan.notes);
  return after(queue_key(kBackupKey, key), status, plan.look_again);
}

absl::Status Controller::carry_out(const BackupSeen& seen, const BackupPlan& plan,
                                   actions::Writer& write) {
  if (plan.status) return write_status(seen, *plan.status, write);
  return plan.step ? perform(seen, *plan.step, write) : absl::OkStatus();
}

absl::Status Controller::write_status(const BackupSeen& seen, const api::BackupStatus& status,
                                      actions::Writer& write) {
  api::HoldfastBackup next = seen.backup;
  next.status = status;
  Json body = api::status_to_apply(next);
  body["metadata"]["resourceVersion"] = seen.backup.metadata.resource_version;
  return write.apply(kinds::kBackups, body, "status").status();
}

absl::Status Controller::perform(const BackupSeen& seen, const Step& step, actions::Writer& write) {
  absl::Status status;
  if (const auto* create = std::get_if<CreatePod>(&step)) {
    status = create_pod(seen, *create, write);
  } else if (const auto* remove = std::get_if<DeletePod>(&step)) {
    status = write.remove(kinds::kPods, {seen.backup.metadata.ns, remove->name}, remove->uid);
  } else {
    status = patch_finalizer(kinds::kBackups, seen.backup.metadata, api::kBackupFinalizer,
                             std::holds_alternative<HoldFinalizer>(step), write);
  }
  parts_.log.info("a backup's step", {{"backup", seen.backup.metadata.name},
                                      {"step", text_of(step)},
                                      {"outcome", std::string(status.message())}});
  return status;
}

PodParts Controller::parts_for(const std::optional<api::HoldfastCluster>& cluster) const {
  PodParts parts;
  parts.worker_image = options_.worker_image;
  parts.member_image =
      api::str_cat(options_.defaults.image_repository, ":", options_.defaults.version);
  if (!cluster) return parts;
  parts.cluster = &*cluster;
  if (cluster->status.target && !cluster->status.target->image.empty()) {
    parts.member_image = cluster->status.target->image;
  }
  return parts;
}

absl::Status Controller::create_pod(const BackupSeen& seen, const CreatePod& step,
                                    actions::Writer& write) {
  const std::optional<api::HoldfastCluster> cluster =
      cluster_named(seen.backup.metadata.ns, seen.backup.spec.cluster_ref.name);
  PodParts parts = parts_for(cluster);
  parts.with_archive = is_archived(seen.backup);
  const absl::Status status = write.create(kinds::kPods, worker_pod(seen.backup, step, parts));
  const Object object = find(backups_, {seen.backup.metadata.ns, seen.backup.metadata.name});
  if (!status.ok() && object) {
    announce(*object, {{true, "PodRefused", std::string(status.message())}});
  }
  // In a namespace that is going nothing can be made any more: it must not wait for us.
  if (absl::IsPermissionDenied(status) && seen.backup.metadata.deletion_timestamp) {
    return patch_finalizer(kinds::kBackups, seen.backup.metadata, api::kBackupFinalizer, false,
                           write);
  }
  return status;
}

absl::Status Controller::patch_finalizer(const kube::Resource& resource,
                                         const api::ObjectMeta& metadata,
                                         std::string_view finalizer, bool hold,
                                         actions::Writer& write) {
  std::vector<std::string> wanted = metadata.finalizers;
  std::erase(wanted, finalizer);
  if (hold) wanted.emplace_back(finalizer);
  const Json patch = {{"metadata",
                       {{"uid", metadata.uid},
                        {"resourceVersion", metadata.resource_version},
                        {"finalizers", wanted}}}};
  return actions::look_again_after(write.patch(resource, {metadata.ns, metadata.name}, patch));
}

}  // namespace holdfast::backup
