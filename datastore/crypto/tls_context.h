#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "datastore/crypto/tls_material.h"
#include "datastore/crypto/tls_observer.h"
#include "datastore/crypto/tls_settings.h"

namespace holdfast::crypto {

/// One endpoint's TLS while files come and go: what connections are made of now, and whether those
/// that exist may stay. Any thread; no handshake ever reads a file.
///
///   auto tls = TlsContext::open(settings, observer);       // at the start: what is wrong is fatal
///   TlsSession session(*tls, TlsRole::kServer, "10.0.0.7:41312");
///   (*tls)->reload(now);                                   // twice a second: what is wrong is
///   told
class TlsContext {
 public:
  /// Reads the files. `observer` may be null. Errors: InvalidArgument, a sentence that names the
  /// file.
  static absl::StatusOr<std::shared_ptr<TlsContext>> open(TlsSettings settings,
                                                          std::shared_ptr<TlsObserver> observer);

  enum class Reload : std::uint8_t {
    kUnchanged,
    kReloaded,
    kTrustChanged,  // the CAs among them
    kRefused,       // what the files hold can't be used, or is half written: the earlier stays
  };
  /// Reads the files again and compares their bytes with those in use, so that no rename, link or
  /// coarse time stamp hides a change. Tells the observer what changed, what was refused, and which
  /// of our own certificates began to fail by `now`. Blocks on the disk; one thread.
  Reload reload(std::chrono::system_clock::time_point now);

  /// After a change of the CAs and TlsSettings::drop_grace: from now on each connection is checked
  /// again before its next byte. True if that began just now, and idle ones should be swept. To be
  /// called as often as reload(), after it, on the same thread.
  bool enforce_trust();

  std::shared_ptr<const TlsMaterial> material() const;
  /// Rises TlsSettings::drop_grace after the trusted CAs have changed, when existing connections
  /// are to be checked again. One atomic load.
  std::uint64_t trust_generation() const {
    return trust_generation_.load(std::memory_order_acquire);
  }
  const TlsSettings& settings() const { return settings_; }
  TlsObserver& observer() const { return *observer_; }

 private:
  TlsContext(TlsSettings settings, std::shared_ptr<TlsObserver> observer)
      : settings_(std::move(settings)), observer_(std::move(observer)) {}
  Reload reload_files();
  Reload refuse(const absl::Status& why);
  void tell_own_failures(std::chrono::system_clock::time_point now);

  const TlsSettings settings_;
  const std::shared_ptr<TlsObserver> observer_;
  std::atomic<std::uint64_t> trust_generation_{1};
  mutable std::mutex mutex_;
  std::shared_ptr<const TlsMaterial> material_;  // guarded by mutex_

  // Of the reloading thread.
  TlsFiles files_;
  std::optional<std::chrono::steady_clock::time_point> enforce_at_;
  std::string refused_;            // the last refusal, told once
  std::set<std::string> failing_;  // own failures already told
};

}  // namespace holdfast::crypto
