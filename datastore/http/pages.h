#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "datastore/http/access.h"
#include "datastore/http/gateway.h"
#include "datastore/http/health.h"
#include "datastore/net/http.h"
#include "datastore/telemetry/log.h"
#include "datastore/telemetry/metrics.h"

namespace holdfast::http {

/// What /version says. Any thread.
struct Versions {
  std::string server;   ///< the etcd API level, 3.7.1
  std::string cluster;  ///< empty until the cluster has decided
  std::string storage;  ///< empty if not known
};

struct PagesOptions {
  std::function<Versions()> versions;  ///< needed unless metrics_only
  std::shared_ptr<Gateway> gateway;    ///< null with --enable-grpc-gateway=false
  /// Whether clients' certificates name users now: the gateway then refuses those with a common
  /// name, which would not be taken for a user there. Any thread; null: never.
  std::function<bool()> certificates_name_users;
  std::set<std::string> cors = {"*"};
  std::set<std::string> host_whitelist = {"*"};
  /// For --listen-metrics-urls: metrics and health alone, without access rules.
  bool metrics_only = false;
};

/// Every page of a client or metrics URL:
///
///   /health /livez /readyz   see HealthPages
///   /metrics                 Prometheus' text format
///   /version                 {"etcdserver":…,"etcdcluster":…,"storage":…}
///   /v3/…                    the API as JSON, see Gateway
///
/// Anything else is 404, in Go's words. Called on every loop; answers from other threads go back
/// through the request's own loop.
class Pages final : public net::HttpHandler {
 public:
  /// All references outlive it and every answer outstanding.
  Pages(PagesOptions options, HealthSource& health, telemetry::Metrics& metrics,
        telemetry::Logger& log);

  void on_request(net::HttpRequest request, net::HttpResponderRef responder) override;
  bool takes_upgrade(const net::HttpRequest& request) const override;
  std::unique_ptr<net::HttpUpload> on_upload(const net::HttpRequest& request,
                                             const net::HttpResponderRef& responder) override;

 private:
  bool is_api(const net::HttpRequest& request) const;
  /// What keeps the request from being served at all, if anything.
  std::optional<Reply> stop(const net::HttpRequest& request);
  void serve(const net::HttpRequest& request, ReplyDone done);
  Reply version(const net::HttpRequest& request) const;
  Reply metrics_page() const;

  const PagesOptions options_;
  const Access access_;
  HealthPages health_;
  telemetry::Metrics& metrics_;
  telemetry::Logger& log_;
  telemetry::LogLimiter limiter_{HealthPages::kLinesPerSecond};
};

}  // namespace holdfast::http
