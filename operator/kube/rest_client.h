#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>

#include "datastore/base/prng.h"
#include "datastore/telemetry/log.h"
#include "operator/kube/client.h"
#include "operator/kube/clock.h"
#include "operator/kube/config.h"
#include "operator/kube/request_metrics.h"
#include "operator/kube/token_bucket.h"
#include "operator/kube/transport.h"

namespace holdfast::kube {

struct RestClientOptions {
  double requests_per_second = 50;
  double burst = 100;
  int max_attempts = 5;
  std::chrono::milliseconds first_backoff{100};
  std::chrono::milliseconds last_backoff{5'000};
  /// A Retry-After that is longer is given to the caller, not waited for.
  std::chrono::seconds max_retry_after{30};
  std::size_t max_body_bytes = 128U << 20;
  TransportOptions transport{};
};

/// The Client of a real API server. Any thread.
///
/// Repeated, with backoff and within the call's timeout: what never left; what was refused with
/// 429; and, if sending it twice does no more than once, what got no answer or a server's failure.
/// A 401 is answered once with fresh credentials. Everything else goes to the caller at once.
/// Streams are never repeated: their reader must look at what it got first.
class RestClient final : public Client {
 public:
  /// Reads the files that `config` names, but does not connect. What is passed outlives the client.
  /// Errors: what is wrong with the config, by name of file.
  static absl::StatusOr<std::unique_ptr<RestClient>> open(Config config, RestClientOptions options,
                                                          telemetry::Logger& log,
                                                          RequestMetrics& metrics,
                                                          const Clock& clock = Clock::system());

  absl::StatusOr<Json> call(const Request& request) override;
  absl::Status stream(const Request& request,
                      const std::function<bool(std::string_view)>& receive) override;

  const Config& config() const { return transport_.config(); }

 private:
  RestClient(Config config, RestClientOptions options, telemetry::Logger& log,
             RequestMetrics& metrics, const Clock& clock);

  struct Attempt;
  using Receiver = std::function<bool(int, std::string_view)>;

  absl::Status wait_for_rate(const Request& request, Clock::TimePoint deadline);
  ExchangeResult exchange(const Request& request, Clock::TimePoint deadline, bool streams,
                          const Receiver& receive);
  Attempt attempt(const Request& request, Clock::TimePoint deadline);
  bool should_repeat(const Request& request, const Attempt& attempt) const;
  std::uint64_t seed();

  const RestClientOptions options_;
  telemetry::Logger& log_;
  RequestMetrics& metrics_;
  Transport transport_;

  std::mutex mutex_;  // guards all below
  TokenBucket rate_;
  Prng prng_;
};

}  // namespace holdfast::kube
