#include "operator/observe/caches.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "operator/api/names.h"
#include "operator/api/text.h"

namespace holdfast::observe {

namespace {

using kube::Json;
using kube::Object;
using kube::ObjectKey;

constexpr std::string_view kZoneLabel = "topology.kubernetes.io/zone";

std::string label_of(const Json& object, std::string_view label) {
  return std::string(kube::text_at(object, {"metadata", "labels", label}));
}

/// By the label that everything of ours carries.
ObjectKey labelled_cluster(const Json& object) {
  return {std::string(kube::namespace_of(object)), label_of(object, api::label::kCluster)};
}

ObjectKey referenced_cluster(const Json& object) {
  return {std::string(kube::namespace_of(object)),
          std::string(kube::text_at(object, {"spec", "clusterRef", "name"}))};
}

/// Kubelets write a node's status every few seconds; all that counts here is its name and labels.
void keep_name_and_labels(Json& node) {
  Json metadata = Json::object();
  for (const char* field : {"name", "uid", "resourceVersion", "labels"}) {
    if (const Json* value = kube::find_at(node, {"metadata", field})) metadata[field] = *value;
  }
  node = Json{{"metadata", std::move(metadata)}};
}

}  // namespace

absl::StatusOr<std::unique_ptr<Caches>> Caches::open(kube::Client& client, CachesOptions options,
                                                     Trigger trigger, telemetry::Logger& log,
                                                     kube::RequestMetrics& metrics) {
  std::unique_ptr<Caches> caches(new Caches());
  caches->client_ = &client;
  caches->options_ = std::move(options);
  caches->trigger_ = std::move(trigger);
  caches->log_ = &log;
  caches->metrics_ = &metrics;
  if (caches->options_.namespaces.empty()) caches->options_.namespaces.emplace_back();

  const absl::StatusOr<bool> monitors = client.serves(kinds::kServiceMonitors);
  const absl::StatusOr<bool> rules = client.serves(kinds::kAlertRules);
  if (!monitors.ok()) return monitors.status();
  if (!rules.ok()) return rules.status();
  caches->serves_service_monitors_ = *monitors;
  caches->serves_alert_rules_ = *rules;
  const absl::StatusOr<kube::ListPage> nodes = client.list_page(kinds::kNodes, {.limit = 1});
  if (!nodes.ok() && !absl::IsPermissionDenied(nodes.status())) return nodes.status();
  caches->reads_nodes_ = nodes.ok();

  caches->watch(kinds::kClusters, false, [](const Json& object) { return kube::key_of(object); });
  caches->watch(kinds::kOperations, false, referenced_cluster);
  caches->watch(kinds::kRestores, false, referenced_cluster);
  for (const kube::Resource& resource :
       {kinds::kPods, kinds::kClaims, kinds::kServices, kinds::kServiceAccounts, kinds::kConfigMaps,
        kinds::kSecrets, kinds::kBudgets, kinds::kNetworkPolicies}) {
    caches->watch(resource, true, labelled_cluster);
  }
  if (*monitors) caches->watch(kinds::kServiceMonitors, true, labelled_cluster);
  if (*rules) caches->watch(kinds::kAlertRules, true, labelled_cluster);
  if (caches->reads_nodes_) caches->watch_nodes();
  return caches;
}

Caches::~Caches() {
  stop();
}

void Caches::watch(const kube::Resource& resource, bool labelled_only,
                   std::function<ObjectKey(const Json&)> cluster_of) {
  for (const std::string& ns : options_.namespaces) {
    kube::InformerOptions options;
    options.resource = resource;
    options.ns = ns;
    if (labelled_only) options.label_selector = std::string(api::label::kCluster);
    options.transform = kube::drop_managed_fields;
    auto informer = std::make_unique<kube::Informer>(*client_, std::move(options), *log_, *metrics_,
                                                     options_.seed++);
    informer->add_handler(
        [this, cluster_of](const ObjectKey&, const Object& before, const Object& now) {
          const ObjectKey cluster = cluster_of(now ? *now : *before);
          if (!cluster.name.empty()) trigger_(cluster);
        });
    informers_[resource.plural].push_back(std::move(informer));
  }
}

/// A node that comes or goes may concern any cluster with a Pod on it.
void Caches::watch_nodes() {
  kube::InformerOptions options;
  options.resource = kinds::kNodes;
  options.transform = keep_name_and_labels;
  auto informer = std::make_unique<kube::Informer>(*client_, std::move(options), *log_, *metrics_,
                                                   options_.seed++);
  informer->add_handler([this](const ObjectKey& key, const Object& before, const Object& now) {
    if (before && now) return;
    for (const kube::Cache* cache : caches_of(kinds::kPods)) {
      for (const Object& pod : cache->list()) {
        if (kube::text_at(*pod, {"spec", "nodeName"}) == key.name) trigger_(labelled_cluster(*pod));
      }
    }
  });
  informers_[kinds::kNodes.plural].push_back(std::move(informer));
}

void Caches::start() {
  for (auto& [plural, informers] : informers_) {
    for (auto& informer : informers) informer->start();
  }
}

void Caches::stop() {
  for (auto& [plural, informers] : informers_) {
    for (auto& informer : informers) informer->stop();
  }
}

bool Caches::have_synced() const {
  for (const auto& [plural, informers] : informers_) {
    for (const auto& informer : informers) {
      if (!informer->has_synced()) return false;
    }
  }
  return true;
}

std::chrono::steady_clock::duration Caches::longest_silence() const {
  const auto now = std::chrono::steady_clock::now();
  std::chrono::steady_clock::duration longest{0};
  for (const auto& [plural, informers] : informers_) {
    for (const auto& informer : informers)
      longest = std::max(longest, now - informer->last_heard());
  }
  return longest;
}

std::vector<const kube::Cache*> Caches::caches_of(const kube::Resource& resource) const {
  std::vector<const kube::Cache*> caches;
  const auto found = informers_.find(resource.plural);
  if (found == informers_.end()) return caches;
  for (const auto& informer : found->second) caches.push_back(&informer->cache());
  return caches;
}

std::vector<ObjectKey> Caches::clusters() const {
  std::vector<ObjectKey> keys;
  for (const kube::Cache* cache : caches_of(kinds::kClusters)) {
    for (const Object& object : cache->list()) keys.push_back(kube::key_of(*object));
  }
  return keys;
}

Object Caches::get(const kube::Resource& resource, const ObjectKey& key) const {
  for (const kube::Cache* cache : caches_of(resource)) {
    if (Object object = cache->get(key)) return object;
  }
  return nullptr;
}

std::vector<Object> Caches::labelled(const kube::Resource& resource,
                                     const ObjectKey& cluster) const {
  std::vector<Object> objects;
  for (const kube::Cache* cache : caches_of(resource)) {
    for (Object& object : cache->list(cluster.ns)) {
      if (label_of(*object, api::label::kCluster) == cluster.name) {
        objects.push_back(std::move(object));
      }
    }
  }
  return objects;
}

std::optional<Snapshot> Caches::snapshot(const ObjectKey& key) const {
  Snapshot snapshot;
  snapshot.cluster_domain = options_.cluster_domain;
  snapshot.object = get(kinds::kClusters, key);
  if (!snapshot.object) return std::nullopt;
  snapshot.pods = labelled(kinds::kPods, key);
  snapshot.claims = labelled(kinds::kClaims, key);
  const auto add_those_that_name_it = [&](const kube::Resource& resource,
                                          std::vector<Object>& objects) {
    for (const kube::Cache* cache : caches_of(resource)) {
      for (Object& object : cache->list(key.ns)) {
        if (referenced_cluster(*object) == key) objects.push_back(std::move(object));
      }
    }
  };
  add_those_that_name_it(kinds::kOperations, snapshot.operations);
  add_those_that_name_it(kinds::kRestores, snapshot.restores);
  const auto add_standing = [&](std::string_view kind) {
    for (Object& object : labelled(*resource_of(kind), key)) {
      std::string name(kube::name_of(*object));
      snapshot.standing.emplace(std::pair(std::string(kind), std::move(name)), std::move(object));
    }
  };
  for (const std::string_view kind :
       {"Service", "ServiceAccount", "ConfigMap", "Secret", "PodDisruptionBudget", "NetworkPolicy",
        "ServiceMonitor", "PrometheusRule"}) {
    add_standing(kind);
  }
  if (reads_nodes_) {
    snapshot.nodes.emplace();
    for (const kube::Cache* cache : caches_of(kinds::kNodes)) {
      for (const Object& node : cache->list()) {
        snapshot.nodes->emplace(kube::name_of(*node), Node{label_of(*node, kZoneLabel)});
      }
    }
  }
  return snapshot;
}

}  // namespace holdfast::observe
