#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace holdfast::kube {

/// What became of a request that failed; the caller's next step depends on nothing else.
enum class Fate {
  kRejected,  ///< not done, and the same request will be refused again
  kRetry,     ///< not done; the same request may succeed later
  kUnknown,   ///< perhaps done: look before repeating it
};

/// An error of the API, as every Status of this room carries it.
struct ApiError {
  int code = 0;         ///< HTTP status; 0 if no answer came
  std::string reason;   ///< Kubernetes' word: "Conflict", "AlreadyExists", "Expired", …
  std::string message;  ///< the API server's sentence, cut at kMaxErrorMessageBytes
  std::chrono::seconds retry_after{0};
  Fate fate = Fate::kRejected;
};

inline constexpr std::size_t kMaxErrorMessageBytes = 4096;

/// Makes a Status of it: its canonical code follows code and reason (404 NotFound, 409
/// AlreadyExists or Aborted, 410 OutOfRange, 429 ResourceExhausted, …); the rest travels as its
/// payload. `what` says what was attempted: "patch pods default/x".
absl::Status to_status(const ApiError& error, std::string_view what);

/// The inverse; none if the Status did not come from the API.
std::optional<ApiError> api_error(const absl::Status& status);

/// kRejected for a Status that is not of the API.
Fate fate_of(const absl::Status& status);

/// 409 with reason Conflict: another writer was first, or another field manager owns a field.
bool is_conflict(const absl::Status& status);
/// 410, or reason Expired: the resourceVersion is no longer kept; list again.
bool is_expired(const absl::Status& status);

/// Reads an answer's body, a Status object or any text. `changes`: the request would have changed
/// something, so that a server's failure leaves its outcome unknown.
ApiError read_error(int code, std::string_view body, std::chrono::seconds retry_after,
                    bool changes);

}  // namespace holdfast::kube
