#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace holdfast::cli {

/// One SRV record's answer (RFC 2782).
struct SrvRecord {
  std::uint16_t priority = 0;
  std::uint16_t weight = 0;
  std::uint16_t port = 0;
  std::string target;  ///< without the trailing dot
  friend auto operator<=>(const SrvRecord&, const SrvRecord&) = default;
};

/// Where to ask, if not where /etc/resolv.conf says.
struct DnsOptions {
  std::string server_address;  ///< IPv4; empty: the system's servers
  std::uint16_t server_port = 53;
  /// For each try; there are kTries to each server.
  std::chrono::seconds timeout{5};
  static constexpr int kTries = 2;
};

/// The SRV records of `name`, such as _etcd-server._tcp.example.com, ascending; no search domains.
/// Blocks. Errors: NotFound if there is no such name or it has no such record, Unavailable if no
/// server answers, DataLoss for an answer that can't be read.
absl::StatusOr<std::vector<SrvRecord>> lookup_srv(const std::string& name,
                                                  const DnsOptions& options = {});

}  // namespace holdfast::cli
