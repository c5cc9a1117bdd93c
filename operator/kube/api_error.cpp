#include "operator/kube/api_error.h"

#include "absl/strings/cord.h"
#include "operator/kube/json.h"
#include "operator/kube/text.h"

namespace holdfast::kube {
namespace {

constexpr absl::string_view kPayload = "holdfast.dev/kubernetes-error";

absl::StatusCode canonical(const ApiError& error) {
  if (error.reason == "AlreadyExists") {
    return absl::StatusCode::kAlreadyExists;
  }
  if (error.reason == "Expired") {
    return absl::StatusCode::kOutOfRange;
  }
  switch (error.code) {
    case 400:
    case 413:
    case 422:
      return absl::StatusCode::kInvalidArgument;
    case 401:
      return absl::StatusCode::kUnauthenticated;
    case 403:
      return absl::StatusCode::kPermissionDenied;
    case 404:
      return absl::StatusCode::kNotFound;
    case 405:
    case 406:
    case 415:
      return absl::StatusCode::kUnimplemented;
    case 408:
    case 504:
      return absl::StatusCode::kDeadlineExceeded;
    case 409:
      return absl::StatusCode::kAborted;
    case 410:
      return absl::StatusCode::kOutOfRange;
    case 429:
      return absl::StatusCode::kResourceExhausted;
    case 0:
    case 502:
    case 503:
      return absl::StatusCode::kUnavailable;
    default:
      return absl::StatusCode::kInternal;
  }
}

/// 429 is answered before anything is done; other failures of the server may come after.
Fate fate_of_code(int code, bool changes) {
  if (code == 429) {
    return Fate::kRetry;
  }
  if (code == 408 || code >= 500) {
    return changes ? Fate::kUnknown : Fate::kRetry;
  }
  return Fate::kRejected;
}

}  // namespace

absl::Status to_status(const ApiError& error, std::string_view what) {
  absl::Status status(canonical(error), concat(what, ": ", error.message));
  const Json payload = {{"code", error.code},
                        {"reason", error.reason},
                        {"message", error.message},
                        {"retryAfter", error.retry_after.count()},
                        {"fate", static_cast<int>(error.fate)}};
  // Not made of the string itself: that constructor has another name in a library that GCC
  // compiled.
  const std::string text = to_text(payload);
  status.SetPayload(kPayload, absl::Cord(absl::string_view(text)));
  return status;
}

std::optional<ApiError> api_error(const absl::Status& status) {
  const auto payload = status.GetPayload(kPayload);
  if (!payload.has_value()) {
    return std::nullopt;
  }
  const absl::StatusOr<Json> parsed = parse_json(std::string(*payload));
  if (!parsed.ok()) {
    return std::nullopt;
  }
  ApiError error;
  error.code = static_cast<int>(integer_at(*parsed, {"code"}).value_or(0));
  error.reason = text_at(*parsed, {"reason"});
  error.message = text_at(*parsed, {"message"});
  error.retry_after = std::chrono::seconds(integer_at(*parsed, {"retryAfter"}).value_or(0));
  error.fate = static_cast<Fate>(integer_at(*parsed, {"fate"}).value_or(0));
  return error;
}

Fate fate_of(const absl::Status& status) {
  const std::optional<ApiError> error = api_error(status);
  return error.has_value() ? error->fate : Fate::kRejected;
}

bool is_conflict(const absl::Status& status) {
  return absl::IsAborted(status) && api_error(status).has_value();
}

bool is_expired(const absl::Status& status) {
  return absl::IsOutOfRange(status) && api_error(status).has_value();
}

ApiError read_error(int code, std::string_view body, std::chrono::seconds retry_after,
                    bool changes) {
  ApiError error{.code = code, .retry_after = retry_after, .fate = fate_of_code(code, changes)};
  const absl::StatusOr<Json> parsed = parse_json(body);
  if (parsed.ok() && text_at(*parsed, {"kind"}) == "Status") {
    error.reason = text_at(*parsed, {"reason"});
    error.message = text_at(*parsed, {"message"}).substr(0, kMaxErrorMessageBytes);
    const auto seconds = integer_at(*parsed, {"details", "retryAfterSeconds"});
    if (retry_after.count() == 0 && seconds.value_or(0) > 0) {
      error.retry_after = std::chrono::seconds(*seconds);
    }
  } else {
    error.message = body.substr(0, kMaxErrorMessageBytes);
  }
  if (error.message.empty()) {
    error.message = concat("the API server answered ", code, " without a reason");
  }
  return error;
}

}  // namespace holdfast::kube
