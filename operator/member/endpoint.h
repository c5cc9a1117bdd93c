#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace holdfast::member {

/// What a TLS connection to a member needs, each as PEM text.
struct TlsMaterial {
  std::string ca_bundle_pem;    ///< who may sign the member's certificate; never empty
  std::string certificate_pem;  ///< shown to members that ask; empty with key_pem: none
  std::string private_key_pem;
};

/// Whom a cluster with auth knows us as.
struct Credentials {
  std::string user;
  std::string password;

  friend bool operator==(const Credentials&, const Credentials&) = default;
};

class Session;

/// Where one member answers clients.
struct Endpoint {
  std::string name;     ///< for messages, and for who is who in answers: the Pod's name
  std::string address;  ///< IPv4, IPv6 without brackets, or a DNS name
  std::uint16_t port = 2379;
  std::string server_name;         ///< that the member's certificate must carry; empty: `address`
  std::optional<TlsMaterial> tls;  ///< none: plain HTTP/2
  /// Who we are if the cluster has auth on, shared by its members' endpoints. Null: nobody, or whom
  /// our certificate names.
  std::shared_ptr<Session> session;
  std::uint16_t metrics_port = 2381;  ///< plain HTTP: health and metrics; 0: never asked
};

/// How long calls may take, connecting included.
struct Timeouts {
  std::chrono::milliseconds read{2000};
  /// Longer than the 7 s after which a member itself gives a change of members up: its answer is
  /// worth more than our own deadline, which leaves the outcome unknown.
  std::chrono::milliseconds change{8000};
  std::chrono::milliseconds maintenance{60000};  ///< defragment, compact, hash
  std::chrono::milliseconds stall{60000};        ///< between two pieces of a snapshot
};

}  // namespace holdfast::member
