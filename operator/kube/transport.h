#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "operator/kube/cancellation.h"
#include "operator/kube/clock.h"
#include "operator/kube/config.h"
#include "operator/kube/credentials.h"
#include "operator/kube/tls_context.h"

namespace holdfast::kube {

struct TransportOptions {
  std::size_t max_connections = 16;  ///< for calls; each stream has one of its own besides
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::seconds idle_timeout{60};
  std::string user_agent = "holdfast-operator";
};

/// One HTTP exchange.
struct Exchange {
  std::string method;
  std::string target;  ///< path and query, encoded
  std::string content_type{};
  std::string_view body{};
  Clock::TimePoint deadline{};  ///< of the machine's clock
  Cancellation* cancellation = nullptr;
  bool streams = false;  ///< on a connection of its own
  /// Called with each piece of the answer's body, and its status; false ends the exchange.
  std::function<bool(int status, std::string_view piece)> receive;
};

struct ExchangeResult {
  enum class End {
    kNotSent,   ///< the request never left
    kNoAnswer,  ///< it may have arrived; no answer came, or none to its end
    kStopped,   ///< `receive` returned false
    kAnswered,
  };
  End end = End::kNotSent;
  int status = 0;
  std::chrono::seconds retry_after{0};
  std::string problem{};  ///< for all but kAnswered
  std::string token{};    ///< what authenticated it; never logged
};

/// HTTPS connections to one API server: TLS, credentials, keep-alive, and cancellation. Any thread.
///
/// The CA and the client certificate are read again each minute and after a failed handshake;
/// connections made with older ones end when they fall idle. Only the configured CA is trusted:
/// never the system's beside it. No redirect is followed, for that would hand our token elsewhere.
class Transport {
 public:
  Transport(Config config, TransportOptions options, const Clock& clock);
  ~Transport();
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  /// Reads all files and runs the plugin once. Errors: say which cannot be used, and why.
  absl::Status check();

  ExchangeResult send(const Exchange& exchange);

  /// The API server answered 401 to this token.
  void reject_token(const std::string& token) { credentials_.reject(token); }

  const Config& config() const { return config_; }

 private:
  struct Connection;

  absl::StatusOr<std::shared_ptr<const TlsContext>> current_tls(const Identity& identity);
  absl::StatusOr<std::unique_ptr<Connection>> connect(std::shared_ptr<const TlsContext> tls);
  absl::StatusOr<std::unique_ptr<Connection>> acquire(const Exchange& exchange,
                                                      const Identity& identity);
  void release(std::unique_ptr<Connection> connection, bool reusable);
  ExchangeResult run(const Exchange& exchange, Connection& connection, const Identity& identity);

  const Config config_;
  const TransportOptions options_;
  const Clock& clock_;
  Credentials credentials_;

  std::mutex mutex_;  // guards all below
  std::condition_variable released_;
  std::shared_ptr<const TlsContext> tls_;
  Clock::TimePoint tls_read_at_{};
  bool tls_suspected_ = false;                    // a handshake failed: perhaps the CA was replaced
  std::deque<std::unique_ptr<Connection>> idle_;  // the last used at the back
  std::size_t in_use_ = 0;
};

}  // namespace holdfast::kube
