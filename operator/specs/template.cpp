#include "operator/specs/template.h"

#include <algorithm>
#include <utility>

#include "operator/api/names.h"
#include "operator/api/resource.h"
#include "operator/api/text.h"
#include "operator/specs/object.h"

namespace holdfast::specs {
namespace {

using nlohmann::json;

/// Of template_hash; a new number restarts every member of every cluster.
constexpr int kHashVersion = 1;

/// Fields by name; one at its default is left out.
class Inputs {
 public:
  template <class T>
  void add(std::string_view name, const T& value, const T& its_default) {
    if (value != its_default) fields_[std::string(name)] = value;
  }
  void add(std::string_view name, const json& value) {
    if (!value.empty()) fields_[std::string(name)] = value;  // null is empty too
  }
  std::string text() const { return fields_.dump(-1, ' ', false, json::error_handler_t::replace); }

 private:
  json fields_ = json::object();
};

void add_options(Inputs& inputs, const api::Options& options) {
  const api::Options usual;
  inputs.add("compactionMode", std::string(api::name_of(options.compaction.mode)),
             std::string(api::name_of(usual.compaction.mode)));
  inputs.add("compactionRetention", options.compaction.retention, usual.compaction.retention);
  inputs.add("snapshotCount", options.snapshot_count, usual.snapshot_count);
  inputs.add("heartbeatMilliseconds", options.heartbeat_milliseconds, usual.heartbeat_milliseconds);
  inputs.add("electionMilliseconds", options.election_milliseconds, usual.election_milliseconds);
  inputs.add("maxRequestBytes", options.max_request_bytes, usual.max_request_bytes);
}

}  // namespace

MemberTemplate resolve_template(const api::HoldfastCluster& cluster, const Defaults& defaults,
                                TlsModes tls, std::int64_t volume_bytes) {
  const api::ClusterSpec& spec = cluster.spec;
  MemberTemplate member;
  member.version = spec.version.empty() ? defaults.version : spec.version;
  member.image = spec.image.empty() ? api::str_cat(defaults.image_repository, ":", member.version)
                                    : spec.image;
  const std::int64_t smallest =
      volume_bytes > 0 ? std::min(volume_bytes, spec.storage.size.bytes) : spec.storage.size.bytes;
  member.quota_bytes = spec.options.quota_bytes.value_or(quota_for_volume(smallest));
  member.options = spec.options;
  member.tls = tls;
  member.resources = spec.pod_template.resources;
  member.affinity = spec.pod_template.affinity;
  member.topology_spread_constraints = spec.pod_template.topology_spread_constraints;
  member.node_selector = spec.pod_template.node_selector;
  member.tolerations = spec.pod_template.tolerations;
  member.priority_class_name = spec.pod_template.priority_class_name;
  return member;
}

std::int64_t quota_for_volume(std::int64_t volume_bytes) {
  const std::int64_t reserve = std::min(volume_bytes / 8, 512 * api::kMebibyte);
  const std::int64_t half = (volume_bytes - reserve) / 2;
  return std::max(half / api::kMebibyte, std::int64_t{1}) * api::kMebibyte;
}

std::string template_hash(const MemberTemplate& member) {
  const std::string on(api::name_of(api::TlsMode::kOn));
  const std::string none;
  Inputs inputs;
  inputs.add("image", member.image, none);
  inputs.add("quotaBytes", member.quota_bytes, std::int64_t{0});
  add_options(inputs, member.options);
  inputs.add("clientTls", std::string(api::name_of(member.tls.client)), on);
  inputs.add("peerTls", std::string(api::name_of(member.tls.peer)), on);
  inputs.add("keysSecret", member.keys_secret, none);
  inputs.add("resources", member.resources);
  inputs.add("affinity", member.affinity);
  // An empty list says something here: no spreading at all.
  if (member.topology_spread_constraints) {
    inputs.add("topologySpreadConstraints", *member.topology_spread_constraints, json());
  }
  inputs.add("nodeSelector", json(member.node_selector));
  inputs.add("tolerations", member.tolerations);
  inputs.add("priorityClassName", member.priority_class_name, none);
  return api::str_cat(kHashVersion, "-", digest(inputs.text()));
}

}  // namespace holdfast::specs
