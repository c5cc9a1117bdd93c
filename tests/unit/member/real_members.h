#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "operator/member/client.h"
#include "tests/unit/crypto/test_certificates.h"

namespace holdfast::member {

/// What one test's members have in common.
struct RealTls {
  std::string ca_pem;
  crypto::TestIdentity server;
  crypto::TestIdentity client;
};

/// A holdfast process on ports of its own, which ends with the object.
class RealMember {
 public:
  RealMember(std::string name, const std::optional<RealTls>& tls);
  ~RealMember();
  RealMember(const RealMember&) = delete;
  RealMember& operator=(const RealMember&) = delete;

  /// Starts the process; `initial_cluster` as holdfast takes it.
  void start(const std::string& initial_cluster, bool joins);
  void freeze();

  std::string peer_url() const;
  std::string named_peer_url() const;
  Endpoint endpoint() const;
  Client client(Timeouts timeouts = {}) const;

 private:
  std::string name_;
  std::optional<RealTls> tls_;
  crypto::TestFiles files_;
  std::uint16_t client_port_;
  std::uint16_t peer_port_;
  std::uint16_t metrics_port_;
  pid_t process_ = 0;
};

/// A loopback port that was free a moment ago.
std::uint16_t free_port();

}  // namespace holdfast::member
