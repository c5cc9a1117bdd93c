// Labels and annotations of members' Pods: those of the operator win over the user's, and the
// user's are remembered by name (annotation pod-template-keys), so that they can be taken away.

#include "operator/specs/pod_metadata.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "operator/api/names.h"
#include "operator/api/text.h"
#include "operator/specs/object.h"
#include "operator/specs/pod.h"

namespace holdfast::specs {
namespace {

using nlohmann::json;

constexpr std::string_view kLabels = "labels";
constexpr std::string_view kAnnotations = "annotations";
/// Most ordinals that are read from one annotation.
constexpr std::size_t kMaxJoining = 64;

constexpr std::pair<Start, std::string_view> kStarts[] = {
    {Start::kNewCluster, "NewCluster"},
    {Start::kJoinExisting, "JoinExisting"},
    {Start::kForceNewCluster, "ForceNewCluster"},
    {Start::kRestored, "Restored"},
    {Start::kReturned, "Returned"},
};

/// Null if there is no such thing: `live` is whatever came from outside.
const json& part(const json& object, std::string_view name) {
  static const json kNull;
  const auto found = object.find(name);
  return found == object.end() ? kNull : *found;
}

std::string text_of(const json& object, std::string_view name) {
  const json& value = part(object, name);
  return value.is_string() ? value.get<std::string>() : std::string();
}

/// What of the user's is taken over: nothing under the operator's own prefix.
api::StringMap of_user(const api::StringMap& map) {
  const std::string prefix = api::str_cat(api::kGroup, "/");
  api::StringMap out = map;
  std::erase_if(out, [&](const auto& entry) { return entry.first.starts_with(prefix); });
  return out;
}

/// The names of what the user asked for, as {"labels":[…],"annotations":[…]}; null if nothing.
json keys_of(const api::PodTemplate& pods) {
  json keys;
  for (const auto& [kind, map] :
       {std::pair(kLabels, &pods.labels), std::pair(kAnnotations, &pods.annotations)}) {
    for (const auto& [name, value] : of_user(*map)) keys[std::string(kind)].push_back(name);
  }
  return keys;
}

/// The entries to change in `live` for it to have all of `wanted` and, of what `before` names,
/// nothing else.
json map_patch(const api::StringMap& wanted, const json& live, const json& before) {
  json patch = json::object();
  for (const auto& [name, value] : wanted) {
    if (text_of(live, name) != value || !live.contains(name)) patch[name] = value;
  }
  for (const json& name : before) {
    if (!name.is_string()) continue;
    const std::string key = name.get<std::string>();
    if (!wanted.contains(key) && live.contains(key)) patch[key] = nullptr;
  }
  return patch;
}

}  // namespace

api::StringMap pod_labels(const api::HoldfastCluster& cluster, const MemberMarks& marks) {
  api::StringMap labels = cluster_labels(cluster);
  labels.emplace(api::label::kComponent, api::label_value::kMember);
  labels.emplace(api::label::kOrdinal, api::str_cat(marks.ordinal));
  labels.emplace(api::label::kRole,
                 marks.learner ? api::label_value::kLearner : api::label_value::kVoter);
  labels.merge(of_user(cluster.spec.pod_template.labels));
  return labels;
}

api::StringMap pod_annotations(const api::HoldfastCluster& cluster, const MemberMarks& marks) {
  api::StringMap annotations = marks.annotations;
  if (marks.id) annotations.emplace(api::annotation::kMemberId, api::format_id(marks.id));
  if (const json keys = keys_of(cluster.spec.pod_template); !keys.is_null()) {
    annotations.emplace(api::annotation::kPodTemplateKeys, keys.dump());
  }
  annotations.merge(of_user(cluster.spec.pod_template.annotations));
  return annotations;
}

api::StringMap origin_annotations(const MemberTemplate& member, const MemberStart& start) {
  const auto* name = std::find_if(std::begin(kStarts), std::end(kStarts),
                                  [&](const auto& entry) { return entry.first == start.start; });
  api::StringMap annotations = {
      {std::string(api::annotation::kSpecHash), template_hash(member)},
      {std::string(api::annotation::kVersion), member.version},
      {std::string(api::annotation::kStart), std::string(name->second)},
      {std::string(api::annotation::kJoining), absl::StrJoin(start.joining, ",")}};
  if (!start.restore.empty()) {
    annotations.emplace(api::annotation::kRestore, start.restore);
  }
  return annotations;
}

std::optional<json> pod_metadata_patch(const api::HoldfastCluster& cluster,
                                       const MemberMarks& marks, const json& live) {
  const json& metadata = part(live, "metadata");
  const json& old_annotations = part(metadata, kAnnotations);
  const json before =
      json::parse(text_of(old_annotations, api::annotation::kPodTemplateKeys), nullptr, false);
  api::StringMap annotations = pod_annotations(cluster, marks);
  json labels_patch =
      map_patch(pod_labels(cluster, marks), part(metadata, kLabels), part(before, kLabels));
  json annotations_patch = map_patch(annotations, old_annotations, part(before, kAnnotations));
  const std::string keys(api::annotation::kPodTemplateKeys);
  if (!annotations.contains(keys) && old_annotations.contains(keys)) {
    annotations_patch[keys] = nullptr;
  }
  if (labels_patch.empty() && annotations_patch.empty()) return std::nullopt;
  json patch = {{"metadata", {{"uid", text_of(metadata, "uid")}}}};
  if (!labels_patch.empty()) patch["metadata"][std::string(kLabels)] = std::move(labels_patch);
  if (!annotations_patch.empty()) {
    patch["metadata"][std::string(kAnnotations)] = std::move(annotations_patch);
  }
  return patch;
}

PodOrigin pod_origin(const json& live) {
  const json& annotations = part(part(live, "metadata"), kAnnotations);
  PodOrigin origin;
  origin.template_hash = text_of(annotations, api::annotation::kSpecHash);
  origin.version = text_of(annotations, api::annotation::kVersion);
  const std::string start = text_of(annotations, api::annotation::kStart);
  for (const auto& [value, name] : kStarts) {
    if (name == start) origin.start = value;
  }
  origin.restore = text_of(annotations, api::annotation::kRestore);
  const std::string joining = text_of(annotations, api::annotation::kJoining);
  for (const absl::string_view text : absl::StrSplit(joining, ',', absl::SkipEmpty())) {
    std::int32_t ordinal = 0;
    if (origin.joining.size() < kMaxJoining && absl::SimpleAtoi(text, &ordinal) && ordinal >= 0) {
      origin.joining.insert(ordinal);
    }
  }
  return origin;
}

}  // namespace holdfast::specs
