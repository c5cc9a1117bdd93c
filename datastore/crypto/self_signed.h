#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace holdfast::crypto {

struct SelfSigned {
  std::string certificate_pem;
  std::string key_pem;
  std::chrono::system_clock::time_point not_after;
};

/// A new P-256 key and a certificate of it that nobody vouches for, good from now on for servers
/// and clients. `hosts`: DNS names and addresses that it names. For --auto-tls and --peer-auto-tls.
/// Errors: Internal with OpenSSL's reason.
absl::StatusOr<SelfSigned> make_self_signed(const std::vector<std::string>& hosts,
                                            std::chrono::system_clock::time_point now,
                                            std::chrono::hours good_for);

}  // namespace holdfast::crypto
