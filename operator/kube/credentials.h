#pragma once

#include <chrono>
#include <mutex>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "operator/kube/clock.h"
#include "operator/kube/config.h"

namespace holdfast::kube {

/// Who we are, as of now: a bearer token, a client certificate with its key (PEM), both or neither.
struct Identity {
  std::string token;
  std::string certificate;
  std::string key;
};

/// Keeps the identity fresh. Files are read again after kReread, a plugin is run again when what it
/// gave has expired, and both as soon as the API server rejects the token. Any thread.
class Credentials {
 public:
  static constexpr std::chrono::seconds kReread{60};
  /// A plugin's credential is replaced this long before it expires.
  static constexpr std::chrono::seconds kExpiryMargin{10};

  /// The config and the clock outlive it.
  Credentials(const Config& config, const Clock& clock) : config_(config), clock_(clock) {}

  /// Errors: what is wrong with a file or plugin. A file that cannot be read again leaves the
  /// identity read before in use.
  absl::StatusOr<Identity> current();
  /// The API server answered 401 to `token`: read again at the next call, unless it is no longer
  /// the current one.
  void reject(const std::string& token);

 private:
  bool is_fresh() const;
  absl::StatusOr<Identity> load();
  absl::StatusOr<Identity> load_files() const;

  const Config& config_;
  const Clock& clock_;

  std::mutex mutex_;  // guards all below; held while a plugin runs, so that one runs at a time
  std::optional<Identity> identity_;
  Clock::TimePoint read_at_{};
  std::optional<std::chrono::system_clock::time_point> expires_;
  bool rejected_ = false;
};

/// The PEM itself, or its file's content.
absl::StatusOr<std::string> read_pem(const Pem& pem);

}  // namespace holdfast::kube
