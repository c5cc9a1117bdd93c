#include "operator/specs/object.h"

#include "operator/api/names.h"
#include "operator/api/text.h"

namespace holdfast::specs {

using nlohmann::json;

api::StringMap cluster_labels(const api::HoldfastCluster& cluster) {
  return {{std::string(api::label::kName), std::string(api::label_value::kName)},
          {std::string(api::label::kInstance), cluster.metadata.name},
          {std::string(api::label::kManagedBy), std::string(api::label_value::kManagedBy)},
          {std::string(api::label::kCluster), cluster.metadata.name}};
}

api::StringMap member_selector(const api::HoldfastCluster& cluster) {
  return {{std::string(api::label::kName), std::string(api::label_value::kName)},
          {std::string(api::label::kComponent), std::string(api::label_value::kMember)},
          {std::string(api::label::kCluster), cluster.metadata.name}};
}

api::StringMap voter_selector(const api::HoldfastCluster& cluster) {
  api::StringMap labels = member_selector(cluster);
  labels.emplace(api::label::kRole, api::label_value::kVoter);
  return labels;
}

json owned_object(const api::HoldfastCluster& cluster, const ObjectKey& key) {
  return {{"apiVersion", key.api_version},
          {"kind", key.kind},
          {"metadata",
           {{"name", key.name},
            {"namespace", cluster.metadata.ns},
            {"labels", cluster_labels(cluster)},
            {"ownerReferences", json::array({owner_reference(cluster)})}}}};
}

json owner_reference(const api::HoldfastCluster& cluster) {
  return {{"apiVersion", api::kApiVersion},
          {"kind", api::HoldfastCluster::kKind},
          {"name", cluster.metadata.name},
          {"uid", cluster.metadata.uid},
          {"controller", true}};
}

void seal(json& object) {
  const std::string text = object.dump(-1, ' ', false, json::error_handler_t::replace);
  object["metadata"]["annotations"][std::string(api::annotation::kApplied)] = digest(text);
}

std::string digest(std::string_view bytes) {
  constexpr std::uint64_t kOffset = 0xcbf29ce484222325;
  constexpr std::uint64_t kPrime = 0x100000001b3;
  std::uint64_t hash = kOffset;
  for (const char byte : bytes) hash = (hash ^ static_cast<unsigned char>(byte)) * kPrime;
  return api::str_cat(absl::Hex(hash, absl::kZeroPad16));
}

}  // namespace holdfast::specs
