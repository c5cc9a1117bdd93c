#include "operator/specs/claim.h"

#include <utility>

#include "operator/api/names.h"
#include "operator/api/text.h"
#include "operator/specs/object.h"

namespace holdfast::specs {
namespace {

using nlohmann::json;

json patch_of(const std::string& uid) {
  return {{"metadata", {{"uid", uid}}}};
}

/// Owners of `live`, whatever it is, without this cluster.
json other_owners(const api::HoldfastCluster& cluster, const json& owners) {
  json others = json::array();
  if (!owners.is_array()) return others;
  for (const json& owner : owners) {
    const auto uid = owner.find("uid");
    if (uid == owner.end() || *uid != cluster.metadata.uid) others.push_back(owner);
  }
  return others;
}

}  // namespace

json member_claim(const api::HoldfastCluster& cluster, const NewClaim& claim) {
  const api::Storage& storage = cluster.spec.storage;
  json out = owned_object(cluster, {"v1", "PersistentVolumeClaim",
                                    api::claim_name(cluster.metadata.name, claim.ordinal)});
  json& metadata = out["metadata"];
  if (storage.retention == api::VolumeRetention::kRetain) metadata.erase("ownerReferences");
  metadata["labels"][std::string(api::label::kComponent)] = api::label_value::kMember;
  metadata["labels"][std::string(api::label::kOrdinal)] = api::str_cat(claim.ordinal);
  json& annotations = metadata["annotations"];
  annotations[std::string(api::annotation::kOwnerUid)] = cluster.metadata.uid;
  if (claim.cluster_id) {
    annotations[std::string(api::annotation::kClusterId)] = api::format_id(claim.cluster_id);
  }
  json& spec = out["spec"];
  spec["accessModes"] = {"ReadWriteOnce"};
  spec["resources"]["requests"]["storage"] = api::format_quantity(storage.size);
  if (!storage.storage_class_name.empty()) spec["storageClassName"] = storage.storage_class_name;
  return out;
}

json latch_patch(const std::string& claim_uid, ClusterId cluster_id) {
  json patch = patch_of(claim_uid);
  patch["metadata"]["annotations"][std::string(api::annotation::kClusterId)] =
      api::format_id(cluster_id);
  return patch;
}

json grow_patch(const std::string& claim_uid, std::int64_t bytes) {
  json patch = patch_of(claim_uid);
  patch["spec"]["resources"]["requests"]["storage"] = api::format_quantity({bytes});
  return patch;
}

std::optional<json> retention_patch(const api::HoldfastCluster& cluster, const json& live) {
  const auto metadata = live.find("metadata");
  if (metadata == live.end() || !metadata->is_object()) return std::nullopt;
  const auto uid = metadata->find("uid");
  if (uid == metadata->end() || !uid->is_string()) return std::nullopt;
  const auto found = metadata->find("ownerReferences");
  const json owners = found == metadata->end() ? json::array() : *found;
  json wanted = other_owners(cluster, owners);
  const bool owned = wanted.size() != owners.size();
  const bool to_own = cluster.spec.storage.retention == api::VolumeRetention::kDelete;
  if (owned == to_own) return std::nullopt;
  if (to_own) wanted.push_back(owner_reference(cluster));
  json patch = patch_of(uid->get<std::string>());
  patch["metadata"]["ownerReferences"] = wanted.empty() ? json() : std::move(wanted);
  return patch;
}

}  // namespace holdfast::specs
