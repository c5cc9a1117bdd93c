#include "datastore/cli/tls.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "datastore/cli/tls_log.h"
#include "datastore/crypto/cipher_suites.h"
#include "datastore/net/tls_transport.h"

namespace holdfast::cli {

using Reload = crypto::TlsContext::Reload;

namespace {

crypto::TlsSettings settings_of(const config::TlsOptions& tls, const config::Options& options) {
  crypto::TlsSettings out;
  out.cert_file = tls.cert_file;
  out.key_file = tls.key_file;
  out.dial_cert_file = tls.client_cert_file;
  out.dial_key_file = tls.client_key_file;
  out.trusted_ca_file = tls.trusted_ca_file;
  out.client_cert_auth = tls.client_cert_auth;
  out.crl_file = tls.crl_file;
  out.allowed_common_names = tls.allowed_cn;
  out.allowed_hostnames = tls.allowed_hostname;
  out.verify_server = !tls.auto_tls;
  out.cipher_suites = options.cipher_suites;
  if (options.tls_min_version == "TLS1.3") out.oldest = crypto::TlsVersion::k13;
  if (options.tls_max_version == "TLS1.2") out.newest = crypto::TlsVersion::k12;
  return out;
}

void add_secure_hosts(const std::vector<config::Url>& urls, std::vector<std::string>& hosts) {
  for (const config::Url& url : urls) {
    if (url.scheme == "https") hosts.push_back(url.host);
  }
}

crypto::TlsSettings client_settings(const config::Options& options) {
  crypto::TlsSettings out = settings_of(options.client_tls, options);
  out.endpoint = "client";
  out.drop_grace = Tls::kClientGrace;
  add_secure_hosts(options.advertise_client_urls, out.advertised_hosts);
  return out;
}

crypto::TlsSettings peer_settings(const config::Options& options) {
  crypto::TlsSettings out = settings_of(options.peer_tls, options);
  out.endpoint = "peer";
  out.check_client_address = !options.peer_tls.skip_client_san_verification;
  out.drop_grace = Tls::kPeerGrace;
  // A real etcd's listener offers h2 and does not speak it; peers speak HTTP/1.1 alone.
  out.server_protocols = {"http/1.1"};
  if (out.trusted_ca_file.empty()) out.server_name = options.discovery.srv;
  add_secure_hosts(options.initial_advertise_peer_urls, out.advertised_hosts);
  return out;
}

/// In etcd's form, for who looks for it.
std::string tls_info(const config::TlsOptions& tls) {
  return absl::StrCat("cert = ", tls.cert_file, ", key = ", tls.key_file,
                      ", client-cert=", tls.client_cert_file, ", client-key=", tls.client_key_file,
                      ", trusted-ca = ", tls.trusted_ca_file,
                      ", client-cert-auth = ", tls.client_cert_auth ? "true" : "false",
                      ", crl-file = ", tls.crl_file);
}

bool same_address(const config::Url& one, const config::Url& other) {
  return one.host == other.host && one.port == other.port &&
         one.unix_socket() == other.unix_socket();
}

config::Url secured(config::Url url) {
  url.scheme = url.unix_socket() ? "unixs" : "https";
  return url;
}

double unix_seconds(std::chrono::system_clock::time_point time) {
  return std::chrono::duration<double>(time.time_since_epoch()).count();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tls>> Tls::open(const config::Options& options,
                                               telemetry::Logger& log,
                                               telemetry::Metrics& metrics) {
  // Also where nothing speaks TLS, as etcd.
  if (absl::Status status = crypto::check_cipher_suites(options.cipher_suites); !status.ok()) {
    return status;
  }
  std::unique_ptr<Tls> tls(new Tls(options, metrics));
  const auto observer = std::make_shared<TlsLog>(log, metrics.tls);
  const config::TlsOptions& clients = options.client_tls;
  if (!clients.cert_file.empty()) {
    absl::StatusOr<std::shared_ptr<crypto::TlsContext>> opened =
        crypto::TlsContext::open(client_settings(options), observer);
    if (!opened.ok()) return opened.status();
    tls->clients_ = *std::move(opened);
    log.info("starting with client TLS", {{"tls-info", tls_info(clients)}});
  }
  const config::TlsOptions& peers = options.peer_tls;
  if (!peers.cert_file.empty() || !peers.trusted_ca_file.empty()) {
    absl::StatusOr<std::shared_ptr<crypto::TlsContext>> opened =
        crypto::TlsContext::open(peer_settings(options), observer);
    if (!opened.ok()) return opened.status();
    tls->peers_ = *std::move(opened);
    log.info("starting with peer TLS", {{"tls-info", tls_info(peers)}});
  }
  for (const auto& endpoint : {tls->clients_, tls->peers_}) {
    if (endpoint == nullptr) continue;
    tls->show_in_use(*endpoint);
    observer->trusts(endpoint->settings(), endpoint->material()->bundle_sha256());
  }
  return tls;
}

std::vector<TlsDoor> Tls::client_doors(const std::vector<config::Url>& urls) const {
  std::vector<TlsDoor> doors;
  for (const config::Url& url : urls) {
    const auto twin = std::ranges::find_if(
        doors, [&](const TlsDoor& door) { return same_address(door.url, url); });
    if (twin != doors.end()) {
      twin->plain = twin->plain || !url.secure();
      twin->secure = twin->secure || url.secure();
    } else {
      doors.push_back({url, nullptr, !url.secure(), url.secure()});
    }
  }
  for (TlsDoor& door : doors) {
    if (options_.accept_plain_and_tls && clients_ != nullptr) door.plain = door.secure = true;
    if (!door.secure) continue;
    door.url = secured(std::move(door.url));
    door.transports = door.plain ? net::make_plain_or_tls_server_factory(clients_)
                                 : net::make_tls_server_factory(clients_);
  }
  return doors;
}

std::vector<std::string> Tls::peer_listen_urls() const {
  std::vector<std::string> urls;
  const bool both = options_.accept_plain_and_tls && peer_acceptor() != nullptr;
  for (const config::Url& url : options_.listen_peer_urls) {
    urls.push_back(both ? secured(url).str() : url.str());
  }
  return urls;
}

std::shared_ptr<const net::TransportFactory> Tls::peer_acceptor() const {
  if (options_.peer_tls.cert_file.empty()) return nullptr;
  return options_.accept_plain_and_tls ? net::make_plain_or_tls_server_factory(peers_)
                                       : net::make_tls_server_factory(peers_);
}

std::shared_ptr<const net::TransportFactory> Tls::peer_dialer() const {
  return peers_ == nullptr ? nullptr : net::make_tls_client_factory(peers_);
}

void Tls::start(Hooks hooks) {
  if (clients_ == nullptr && peers_ == nullptr) return;
  hooks_ = std::move(hooks);
  thread_.start(kReloadInterval, [this] {
    if (clients_ != nullptr) look_at_clients();
    if (peers_ != nullptr) look_at_peers();
  });
}

void Tls::look_at_clients() {
  if (reload(*clients_) == Reload::kTrustChanged) hooks_.retire_clients();
  if (clients_->enforce_trust()) hooks_.recheck_clients();
}

void Tls::look_at_peers() {
  const Reload outcome = reload(*peers_);
  if (outcome == Reload::kReloaded || outcome == Reload::kTrustChanged) hooks_.renew_peers();
  peers_->enforce_trust();  // streams are never idle for long
}

crypto::TlsContext::Reload Tls::reload(crypto::TlsContext& endpoint) {
  const Reload outcome = endpoint.reload(std::chrono::system_clock::now());
  if (outcome == Reload::kReloaded || outcome == Reload::kTrustChanged) show_in_use(endpoint);
  return outcome;
}

void Tls::show_in_use(const crypto::TlsContext& endpoint) {
  const std::shared_ptr<const crypto::TlsMaterial> material = endpoint.material();
  std::vector<telemetry::TlsMetrics::Certificate> certificates;
  for (const crypto::UsedCertificate& each : material->certificates()) {
    certificates.push_back(
        {each.flag, each.info.subject, each.info.serial, unix_seconds(each.info.not_after)});
  }
  metrics_.tls.set_in_use(endpoint.settings().endpoint, std::move(certificates),
                          material->bundle_sha256());
}

}  // namespace holdfast::cli
