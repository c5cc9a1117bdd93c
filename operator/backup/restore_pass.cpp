// The controller's passes over HoldfastRestores.

#include <algorithm>
#include <utility>

#include "operator/api/names.h"
#include "operator/api/text.h"
#include "operator/backup/controller.h"
#include "operator/backup/restore_pods.h"
#include "operator/observe/kinds.h"

namespace holdfast::backup {
namespace {

using kube::Json;
using kube::Object;
using kube::ObjectKey;
namespace kinds = observe::kinds;

std::string text_of(const RestoreStepToTake& step) {
  if (const auto* proof = std::get_if<CreateProof>(&step)) {
    return api::str_cat("CreateProof ", proof->number);
  }
  if (const auto* discard = std::get_if<CreateDiscard>(&step)) {
    return api::str_cat("CreateDiscard ", discard->member, " ", discard->number);
  }
  if (const auto* remove = std::get_if<DeletePod>(&step)) {
    return api::str_cat("DeletePod ", remove->name);
  }
  return std::holds_alternative<HoldFinalizer>(step) ? "HoldFinalizer" : "ReleaseFinalizer";
}

/// Whether Pods on several nodes can mount it.
bool is_shared(const Json& claim) {
  const Json* modes = kube::find_at(claim, {"spec", "accessModes"});
  if (modes == nullptr || !modes->is_array()) return false;
  return std::any_of(modes->begin(), modes->end(), [](const Json& mode) {
    return mode == "ReadWriteMany" || mode == "ReadOnlyMany";
  });
}

}  // namespace

Controller::Delay Controller::reconcile_restore(const ObjectKey& key, actions::Writer& write) {
  const std::string queue_key = api::str_cat("restore ", kube::to_text(key));
  const Object object = find(restores_, key);
  if (!object) return after(queue_key, absl::OkStatus(), std::nullopt);
  absl::StatusOr<RestoreSeen> seen = look_at_restore(*object);
  if (!seen.ok()) return after(queue_key, seen.status(), std::nullopt);
  const RestorePlan plan = plan_restore(*seen);
  absl::Status status;
  if (plan.status) {
    api::HoldfastRestore next = seen->restore;
    next.status = *plan.status;
    Json body = api::status_to_apply(next);
    body["metadata"]["resourceVersion"] = seen->restore.metadata.resource_version;
    status = write.apply(kinds::kRestores, body, "status").status();
  } else if (plan.step) {
    status = perform(*seen, *plan.step, write);
  }
  if (status.ok()) announce(*object, plan.notes, "Restore");
  return after(queue_key, status, plan.look_again);
}

absl::StatusOr<RestoreSeen> Controller::look_at_restore(const Json& object) const {
  auto read = api::read<api::HoldfastRestore>(object);
  if (!read.ok()) return read.status();
  RestoreSeen seen;
  seen.restore = *std::move(read);
  seen.now = absl::Now();
  const std::string& ns = seen.restore.metadata.ns;
  seen.cluster = cluster_named(ns, seen.restore.spec.cluster_ref.name);
  if (const Object backup = find(backups_, {ns, seen.restore.spec.source.backup_ref.name})) {
    auto known = api::read<api::HoldfastBackup>(*backup);
    if (known.ok()) seen.backup = *std::move(known);
  }
  for (const auto& informer : restore_pods_) {
    for (const Object& pod : informer->cache().list(ns)) {
      if (auto one = read_restore_pod(*pod, seen.restore)) seen.pods.push_back(*std::move(one));
    }
  }
  for (const std::string& member : seen.restore.status.members) {
    if (parts_.caches.get(kinds::kClaims, {ns, api::str_cat("data-", member)})) {
      seen.members_with_claims.insert(member);
    }
  }
  const absl::StatusOr<bool> on_one_node = is_source_on_one_node(seen);
  if (!on_one_node.ok()) return on_one_node.status();
  seen.source_on_one_node = *on_one_node;
  return seen;
}

absl::StatusOr<bool> Controller::is_source_on_one_node(const RestoreSeen& seen) const {
  const api::RestoreSpec& spec = seen.restore.spec;
  if (seen.restore.status.source || (!spec.source.stored && !seen.backup)) return false;
  const api::BackupTarget& target =
      spec.source.stored ? spec.source.stored->target : seen.backup->spec.target;
  if (!target.pvc) return false;
  const auto claim =
      parts_.client.get(kinds::kClaims, {seen.restore.metadata.ns, target.pvc->claim_name});
  if (absl::IsNotFound(claim.status())) return false;  // the proof tells
  if (!claim.ok()) return claim.status();
  return !is_shared(*claim);
}

absl::Status Controller::perform(const RestoreSeen& seen, const RestoreStepToTake& step,
                                 actions::Writer& write) {
  const api::ObjectMeta& metadata = seen.restore.metadata;
  absl::Status status;
  if (const auto* proof = std::get_if<CreateProof>(&step)) {
    status = write.create(kinds::kPods, proof_pod(seen, *proof, parts_for(seen.cluster)));
  } else if (const auto* discard = std::get_if<CreateDiscard>(&step)) {
    status = write.create(kinds::kPods, discard_pod(seen, *discard, parts_for(seen.cluster)));
  } else if (const auto* remove = std::get_if<DeletePod>(&step)) {
    status = write.remove(kinds::kPods, {metadata.ns, remove->name}, remove->uid);
  } else {
    status = patch_finalizer(kinds::kRestores, metadata, api::kRestoreFinalizer,
                             std::holds_alternative<HoldFinalizer>(step), write);
  }
  parts_.log.info("a restore's step", {{"restore", metadata.name},
                                       {"step", text_of(step)},
                                       {"outcome", std::string(status.message())}});
  return status;
}

}  // namespace holdfast::backup
