#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "operator/web/access.h"
#include "operator/web/elsewhere.h"
#include "operator/web/recent_events.h"
#include "operator/web/view.h"

namespace holdfast::web {

/// Where the page's figures come from. Each is called on a request's thread and must not wait.
struct Sources {
  /// Keys of all clusters, and what is known of one; nothing if it is gone.
  std::function<std::vector<kube::ObjectKey>()> clusters;
  std::function<std::optional<ClusterView>(const kube::ObjectKey&)> cluster;
  /// Somebody looks at all clusters, or closely at one: figures should be fresh.
  std::function<void(const std::optional<kube::ObjectKey>& closely)> look;
  std::string release;
  /// Other Kubernetes clusters; null: there are none. What this one is called beside them.
  ElsewhereFolder* elsewhere = nullptr;
  std::string name = "here";
};

/// The fleet page over plain HTTP, on threads of its own, for GET alone:
///
///   /  /app.css  /app.js  /icon.svg      the page; it holds no figures, and asks for a token
///   /api/v1/clusters                     every cluster that the token's user may list
///   /api/v1/clusters/NAMESPACE/NAME      one, with its events
///   /api/v1/clusters/KUBERNETES/NAMESPACE/NAME   the same where there are several Kubernetes
///
/// The token comes as `Authorization: Bearer …`, or as `Holdfast-Authorization: Bearer …`: proxies
/// in between keep the first for themselves. Without one that Kubernetes knows: 401, to a browser
/// with the page that asks for it. What the user may not list is not there: 404, never 403.
/// Clusters of another Kubernetes are read with rights of ours, not the user's: who may list the
/// clusters of all namespaces here sees them, and nobody else.
class FleetPage {
 public:
  FleetPage(Sources sources, Access& access, RecentEvents& events);
  /// Stops.
  ~FleetPage();
  FleetPage(const FleetPage&) = delete;
  FleetPage& operator=(const FleetPage&) = delete;

  /// Port 0: any that is free. Errors: Unavailable if the address cannot be listened on.
  absl::Status start(const std::string& host, int port);
  int port() const { return port_; }
  void stop();

 private:
  struct Server;
  std::unique_ptr<Server> server_;
  std::thread thread_;
  int port_ = 0;
};

}  // namespace holdfast::web
