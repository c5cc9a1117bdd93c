#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "datastore/telemetry/log.h"
#include "operator/kube/client.h"
#include "operator/kube/informer.h"
#include "operator/kube/request_metrics.h"
#include "operator/observe/kinds.h"
#include "operator/observe/snapshot.h"

namespace holdfast::observe {

struct CachesOptions {
  std::vector<std::string> namespaces;  ///< empty: all
  std::string cluster_domain = "cluster.local";
  std::uint64_t seed = 0;
};

/// Everything of the API server's that decides about clusters, kept up to date by informers: ours
/// whole, of Kubernetes' own kinds only what carries our label, of nodes only name and labels.
/// Kinds that are not served, and nodes where we may not read them, are absent rather than empty.
/// Reading: any thread.
class Caches {
 public:
  /// Called on an informer's thread with the cluster that an object belongs to; must not wait.
  using Trigger = std::function<void(const kube::ObjectKey& cluster)>;

  /// Asks the API server which optional kinds it serves and lets us read; starts nothing.
  /// What is passed outlives the caches. Errors: the API's.
  static absl::StatusOr<std::unique_ptr<Caches>> open(kube::Client& client, CachesOptions options,
                                                      Trigger trigger, telemetry::Logger& log,
                                                      kube::RequestMetrics& metrics);
  ~Caches();
  Caches(const Caches&) = delete;
  Caches& operator=(const Caches&) = delete;

  void start();
  /// Ends every watch; joins.
  void stop();
  bool have_synced() const;
  /// The longest time that any informer has heard nothing.
  std::chrono::steady_clock::duration longest_silence() const;

  /// All clusters known.
  std::vector<kube::ObjectKey> clusters() const;
  /// Everything of one cluster; nothing if there is no such cluster.
  std::optional<Snapshot> snapshot(const kube::ObjectKey& cluster) const;
  /// Null if it is not cached.
  kube::Object get(const kube::Resource& resource, const kube::ObjectKey& key) const;

  bool serves_service_monitors() const { return serves_service_monitors_; }
  bool serves_alert_rules() const { return serves_alert_rules_; }

 private:
  Caches() = default;

  void watch(const kube::Resource& resource, bool labelled_only,
             std::function<kube::ObjectKey(const kube::Json&)> cluster_of);
  void watch_nodes();
  std::vector<const kube::Cache*> caches_of(const kube::Resource& resource) const;
  std::vector<kube::Object> labelled(const kube::Resource& resource,
                                     const kube::ObjectKey& cluster) const;

  kube::Client* client_ = nullptr;
  CachesOptions options_;
  Trigger trigger_;
  telemetry::Logger* log_ = nullptr;
  kube::RequestMetrics* metrics_ = nullptr;
  bool serves_service_monitors_ = false;
  bool serves_alert_rules_ = false;
  bool reads_nodes_ = false;
  /// By the resource's plural; one for each namespace watched.
  std::map<std::string, std::vector<std::unique_ptr<kube::Informer>>> informers_;
};

}  // namespace holdfast::observe
