#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace holdfast::crypto {

enum class TlsVersion : std::uint8_t { k12, k13 };

/// Which end of a connection this process is.
enum class TlsRole : std::uint8_t { kServer, kClient };

/// How one endpoint (the clients' side or the peers' side) speaks TLS, as etcd's flags say it: the
/// same files serve the listener and the dialer. A plain value.
struct TlsSettings {
  /// "client" or "peer": names the endpoint in log lines and metrics, and its flags:
  /// --cert-file or --peer-cert-file.
  std::string endpoint;

  std::string cert_file;  // PEM, the leaf first; shown by the listener
  std::string key_file;
  /// Shown by the dialer; empty: cert_file and key_file.
  std::string dial_cert_file;
  std::string dial_key_file;
  /// PEM: whom to trust, on both sides. Empty: whom the system trusts.
  std::string trusted_ca_file;
  /// The listener demands a certificate if this is set or trusted_ca_file is given, as etcd's does.
  bool client_cert_auth = false;
  /// The listener also compares a client certificate's names with the client's address.
  /// Source: etcd-facts 1.7.
  bool check_client_address = false;

  /// Of the certificates that the other side may show, on both sides, the only ones: by common
  /// name, or by a name or address that one is good for. Empty: every one that the CAs vouch for.
  /// Not both.
  std::vector<std::string> allowed_common_names;
  std::vector<std::string> allowed_hostnames;
  /// The certificates that the other side may not show any more, on both sides: a CRL, DER or PEM.
  std::string crl_file;
  /// Whether the dialer checks what it is shown. Not with generated certificates, which nobody
  /// vouches for.
  bool verify_server = true;

  /// How long connections that the CAs trusted now do not vouch for go on after these have changed:
  /// time to end them in order and dial again.
  std::chrono::milliseconds drop_grace{0};

  TlsVersion oldest = TlsVersion::k12;
  TlsVersion newest = TlsVersion::k13;
  /// By their IANA names, the only ones of TLS 1.2; those of TLS 1.3 are not for choosing, as in
  /// Go. Empty: OpenSSL's choice.
  std::vector<std::string> cipher_suites;
  /// ALPN, in order of preference. A client that offers none is served too; one that offers only
  /// others is refused. The dialer's may be empty: it then offers nothing.
  std::vector<std::string> server_protocols = {"h2", "http/1.1"};
  std::vector<std::string> dial_protocols;
  /// The name that a dialled server must prove instead of the one that was dialled.
  std::string server_name;
  /// The hosts of the URLs that this endpoint advertises: its own certificate should name each.
  std::vector<std::string> advertised_hosts;

  bool demands_client_certificate() const { return client_cert_auth || !trusted_ca_file.empty(); }
  /// "--peer-" or "--": what the names of this endpoint's flags begin with.
  std::string flag_prefix() const { return endpoint == "peer" ? "--peer-" : "--"; }
};

}  // namespace holdfast::crypto
