#include "operator/observe/lookups.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "operator/api/quantity.h"
#include "operator/observe/kinds.h"

namespace holdfast::observe {

namespace {

using kube::Json;

/// The nodes that one term of a volume's node affinity names; nothing if it names none.
std::optional<std::set<std::string>> nodes_of_term(const Json& term) {
  const Json* expressions = kube::find_at(term, {"matchExpressions"});
  if (expressions == nullptr || !expressions->is_array()) return std::nullopt;
  for (const Json& expression : *expressions) {
    if (kube::text_at(expression, {"key"}) != "kubernetes.io/hostname") continue;
    if (kube::text_at(expression, {"operator"}) != "In") continue;
    const Json* values = kube::find_at(expression, {"values"});
    if (values == nullptr || !values->is_array()) continue;
    std::set<std::string> nodes;
    for (const Json& value : *values) {
      if (value.is_string()) nodes.insert(value.get<std::string>());
    }
    return nodes;
  }
  return std::nullopt;
}

/// Every node that the volume could be used on is gone. False for one that is not bound to nodes.
bool only_on_gone_nodes(const Json& volume, const std::map<std::string, Node>& nodes) {
  const Json* terms =
      kube::find_at(volume, {"spec", "nodeAffinity", "required", "nodeSelectorTerms"});
  if (terms == nullptr || !terms->is_array() || terms->empty()) return false;
  return std::all_of(terms->begin(), terms->end(), [&](const Json& term) {
    const auto named = nodes_of_term(term);
    return named && std::none_of(named->begin(), named->end(),
                                 [&](const std::string& node) { return nodes.contains(node); });
  });
}

}  // namespace

template <class Ask>
bool Lookups::ask(const std::string& question, const Ask& ask) {
  const auto now = std::chrono::steady_clock::now();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto known = answers_.find(question);
    if (known != answers_.end() && now < known->second.until) return known->second.yes;
  }
  const bool yes = ask();
  const std::lock_guard<std::mutex> lock(mutex_);
  if (answers_.size() >= kMaxKept) answers_.clear();
  answers_[question] = {yes, now + kKeep};
  return yes;
}

bool Lookups::can_grow(const std::string& storage_class) {
  return ask(absl::StrCat("class ", storage_class), [&] {
    const auto object = client_.get(kinds::kStorageClasses, {"", storage_class});
    if (!object.ok()) return false;
    const Json* allowed = kube::find_at(*object, {"allowVolumeExpansion"});
    return allowed != nullptr && allowed->is_boolean() && allowed->get<bool>();
  });
}

bool Lookups::is_bound_to_gone_node(const Snapshot& snapshot, const std::string& volume) {
  return ask(absl::StrCat("volume ", volume), [&] {
    const auto object = client_.get(kinds::kVolumes, {"", volume});
    return object.ok() && only_on_gone_nodes(*object, *snapshot.nodes);
  });
}

LookedUp Lookups::look_up(const Snapshot& snapshot) {
  LookedUp found;
  const std::int64_t wanted = snapshot.cluster.spec.storage.size.bytes;
  for (const kube::Object& claim : snapshot.claims) {
    const auto size =
        api::parse_quantity(kube::text_at(*claim, {"spec", "resources", "requests", "storage"}));
    const std::string storage_class(kube::text_at(*claim, {"spec", "storageClassName"}));
    if (size.ok() && size->bytes < wanted && can_grow(storage_class)) {
      found.growing_classes.insert(storage_class);
    }
    const std::string node(
        kube::text_at(*claim, {"metadata", "annotations", "volume.kubernetes.io/selected-node"}));
    const std::string volume(kube::text_at(*claim, {"spec", "volumeName"}));
    const bool gone = snapshot.nodes && !node.empty() && !snapshot.nodes->contains(node);
    if (gone && !volume.empty() && is_bound_to_gone_node(snapshot, volume)) {
      found.lost_claims.insert(std::string(kube::name_of(*claim)));
    }
  }
  return found;
}

}  // namespace holdfast::observe
