#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "datastore/cli/periodic_thread.h"
#include "datastore/config/options.h"
#include "datastore/crypto/tls_context.h"
#include "datastore/net/transport.h"
#include "datastore/telemetry/log.h"
#include "datastore/telemetry/metrics.h"

namespace holdfast::cli {

/// An address to listen on, and what is spoken there.
struct TlsDoor {
  config::Url url;
  /// Null: plain only.
  std::shared_ptr<const net::TransportFactory> transports;
  bool plain = true;
  bool secure = false;
};

/// TLS of a running member: both endpoints as the flags configure them, their log lines and
/// metrics, and the thread that takes changed files into use.
///
///   auto tls = Tls::open(options, log, metrics);       // before anything listens or dials
///   for (const TlsDoor& door : (*tls)->client_doors(options.listen_client_urls)) …
///   peer_options.listen_urls = (*tls)->peer_listen_urls();
///   peer_options.accept_tls = (*tls)->peer_acceptor();
///   peer_options.dial_tls = (*tls)->peer_dialer();
///   (*tls)->start({.retire_clients = [&] { server.retire_connections(); }, …});
///   …
///   (*tls)->stop();                                         // before the servers go
class Tls {
 public:
  static constexpr std::chrono::milliseconds kReloadInterval{500};

  /// Reads every file. `options` must outlive it, as must `log` and `metrics` every connection.
  /// Errors: InvalidArgument, a sentence that names the file.
  static absl::StatusOr<std::unique_ptr<Tls>> open(const config::Options& options,
                                                   telemetry::Logger& log,
                                                   telemetry::Metrics& metrics);
  ~Tls() { stop(); }
  Tls(const Tls&) = delete;
  Tls& operator=(const Tls&) = delete;

  /// What to open for `urls` of clients: one door an address, plain and secure at once if both
  /// schemes are given for it, as in etcd, or by --accept-plain-and-tls.
  std::vector<TlsDoor> client_doors(const std::vector<config::Url>& urls) const;

  /// --listen-peer-urls; as https where plain and TLS are both accepted.
  std::vector<std::string> peer_listen_urls() const;
  /// For the https among them; null without certificates of peers.
  std::shared_ptr<const net::TransportFactory> peer_acceptor() const;
  /// For peers with https URLs; null if nothing says whom to trust or what to show.
  std::shared_ptr<const net::TransportFactory> peer_dialer() const;

  /// What others have to do when files have changed; called on the thread that looks at them.
  struct Hooks {
    /// Clients' connections that the CAs do not vouch for any more should be ended in order: within
    /// kClientGrace, after which they are cut off.
    std::function<void()> retire_clients;
    /// That time is over.
    std::function<void()> recheck_clients;
    /// New streams between members should be made with what the files hold now: within kPeerGrace,
    /// after which those that are not vouched for any more are dropped.
    std::function<void()> renew_peers;
  };
  static constexpr std::chrono::milliseconds kPeerGrace{5000};
  /// Longer than it takes a client to answer that it has heard, and calls to finish.
  static constexpr std::chrono::milliseconds kClientGrace{3000};

  /// Looks at the files every kReloadInterval from now on. Once; when the servers run.
  void start(Hooks hooks);
  /// After this nothing calls a hook. A second call does nothing.
  void stop() { thread_.stop(); }

 private:
  Tls(const config::Options& options, telemetry::Metrics& metrics)
      : options_(options), metrics_(metrics) {}
  void look_at_clients();
  void look_at_peers();
  crypto::TlsContext::Reload reload(crypto::TlsContext& endpoint);
  void show_in_use(const crypto::TlsContext& endpoint);

  const config::Options& options_;
  telemetry::Metrics& metrics_;
  std::shared_ptr<crypto::TlsContext> clients_;  // null without certificates
  std::shared_ptr<crypto::TlsContext> peers_;    // null without any setting for them

  Hooks hooks_;
  PeriodicThread thread_;
};

}  // namespace holdfast::cli
