#include "operator/kube/rest_client.h"

#include <algorithm>
#include <random>
#include <utility>

#include "operator/kube/backoff.h"
#include "operator/kube/text.h"

namespace holdfast::kube {
namespace {

using End = ExchangeResult::End;

constexpr std::size_t kMaxErrorBodyBytes = 64U << 10;
constexpr std::uint64_t kJitterPercent = 50;

std::string target_of(const Request& request) {
  std::string target = request.path;
  char separator = '?';
  for (const auto& [name, value] : request.query) {
    target += separator;
    append(target, name, "=", percent_encode(value));
    separator = '&';
  }
  return target;
}

bool is_cancelled(const Request& request) {
  return request.options.cancellation != nullptr && request.options.cancellation->cancelled();
}

bool is_success(int status) {
  return status >= 200 && status < 300;
}

std::string what(const Request& request) {
  return concat(request.verb, " ", request.path);
}

/// Sleeps; false if the call was cancelled meanwhile.
bool sleep(const Request& request, Clock::Duration duration) {
  static const Cancellation kNever;
  const Cancellation* cancellation = request.options.cancellation;
  return (cancellation == nullptr ? kNever : *cancellation).sleep_for(duration);
}

/// The error of an exchange that brought no answer.
ApiError unanswered(const Request& request, const ExchangeResult& result) {
  const bool perhaps_done = result.end != End::kNotSent && request.changes();
  return {.code = 0,
          .message = concat(result.problem, perhaps_done ? "; it may have been done" : ""),
          .fate = perhaps_done ? Fate::kUnknown : Fate::kRetry};
}

}  // namespace

/// How one attempt ended.
struct RestClient::Attempt {
  absl::StatusOr<Json> answer;
  End end = End::kAnswered;
  int code = 0;
  std::chrono::seconds retry_after{0};
};

absl::StatusOr<std::unique_ptr<RestClient>> RestClient::open(Config config,
                                                             RestClientOptions options,
                                                             telemetry::Logger& log,
                                                             RequestMetrics& metrics,
                                                             const Clock& clock) {
  std::unique_ptr<RestClient> client(
      new RestClient(std::move(config), std::move(options), log, metrics, clock));
  if (absl::Status bad = client->transport_.check(); !bad.ok()) {
    return bad;
  }
  return client;
}

RestClient::RestClient(Config config, RestClientOptions options, telemetry::Logger& log,
                       RequestMetrics& metrics, const Clock& clock)
    : options_(std::move(options)),
      log_(log),
      metrics_(metrics),
      transport_(std::move(config), options_.transport, clock),
      rate_(options_.requests_per_second, options_.burst, std::chrono::steady_clock::now()),
      prng_(std::random_device{}()) {
}

std::uint64_t RestClient::seed() {
  const std::lock_guard lock(mutex_);
  return prng_.next();
}

absl::Status RestClient::wait_for_rate(const Request& request, Clock::TimePoint deadline) {
  Clock::Duration wait{};
  const auto now = std::chrono::steady_clock::now();
  {
    const std::lock_guard lock(mutex_);
    wait = rate_.reserve(now);
    if (now + wait >= deadline) {
      rate_.put_back();
    }
  }
  if (now + wait >= deadline) {
    return to_status({.message = concat("the client's own limit of ", options_.requests_per_second,
                                        " requests per second leaves it no turn in time"),
                      .fate = Fate::kRetry},
                     what(request));
  }
  metrics_.observe_rate_limit(std::chrono::duration<double>(wait).count());
  if (wait > Clock::Duration::zero() && !sleep(request, wait)) {
    return absl::CancelledError(concat(what(request), ": cancelled"));
  }
  return absl::OkStatus();
}

ExchangeResult RestClient::exchange(const Request& request, Clock::TimePoint deadline, bool streams,
                                    const Receiver& receive) {
  const auto began = std::chrono::steady_clock::now();
  ExchangeResult result = transport_.send({.method = request.method,
                                           .target = target_of(request),
                                           .content_type = request.content_type,
                                           .body = request.body,
                                           .deadline = deadline,
                                           .cancellation = request.options.cancellation,
                                           .streams = streams,
                                           .receive = receive});
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  metrics_.observe(request.verb, result.status, took.count());
  if (result.status == 401) {
    transport_.reject_token(result.token);
  }
  return result;
}

RestClient::Attempt RestClient::attempt(const Request& request, Clock::TimePoint deadline) {
  std::string body;
  const ExchangeResult result =
      exchange(request, deadline, false, [this, &body](int status, std::string_view piece) {
        const std::size_t bound = is_success(status) ? options_.max_body_bytes : kMaxErrorBodyBytes;
        body.append(piece.substr(0, bound - std::min(bound, body.size())));
        return body.size() < bound;
      });
  Attempt attempt{.answer = Json(),
                  .end = result.end,
                  .code = result.status,
                  .retry_after = result.retry_after};
  if (is_cancelled(request)) {
    attempt.answer = absl::CancelledError(concat(what(request), ": cancelled"));
  } else if (result.end == End::kStopped && is_success(result.status)) {
    attempt.answer = absl::ResourceExhaustedError(
        concat(what(request), ": the answer is larger than ", options_.max_body_bytes,
               " bytes; ask for fewer objects per page"));
  } else if (result.end == End::kNotSent || result.end == End::kNoAnswer) {
    attempt.answer = to_status(unanswered(request, result), what(request));
  } else if (!is_success(result.status)) {
    const ApiError error = read_error(result.status, body, result.retry_after, request.changes());
    attempt.retry_after = error.retry_after;
    attempt.answer = to_status(error, what(request));
  } else if (!body.empty()) {
    attempt.answer = parse_json(body);
    if (!attempt.answer.ok()) {
      attempt.answer = absl::InternalError(
          concat(what(request), ": the API server's answer: ", attempt.answer.status().message()));
    }
  }
  return attempt;
}

bool RestClient::should_repeat(const Request& request, const Attempt& attempt) const {
  switch (attempt.end) {
    case End::kNotSent:
      return true;
    case End::kNoAnswer:
      return request.repeatable;
    case End::kStopped:
      return false;
    case End::kAnswered:
      break;
  }
  switch (attempt.code) {
    case 429:
      return request.options.retry_when_throttled &&
             attempt.retry_after <= options_.max_retry_after;
    case 500:  // of a change: most often a webhook or a quota, which would fail again
      return !request.changes();
    case 502:
    case 503:
    case 504:
      return request.repeatable && attempt.retry_after <= options_.max_retry_after;
    default:
      return false;
  }
}

absl::StatusOr<Json> RestClient::call(const Request& request) {
  const auto deadline = std::chrono::steady_clock::now() + request.options.timeout;
  Backoff backoff(options_.first_backoff, options_.last_backoff, kJitterPercent, seed());
  bool reauthenticated = false;
  for (int number = 1;; ++number) {
    if (absl::Status refused = wait_for_rate(request, deadline); !refused.ok()) {
      return refused;
    }
    Attempt last = attempt(request, deadline);
    if (last.answer.ok() || is_cancelled(request)) {
      return std::move(last.answer);
    }
    if (last.code == 401 && !reauthenticated) {
      reauthenticated = true;
      metrics_.count_retry(request.verb);
      continue;
    }
    const Clock::Duration wait = std::max<Clock::Duration>(backoff.next(), last.retry_after);
    const bool in_time = std::chrono::steady_clock::now() + wait < deadline;
    if (number >= options_.max_attempts || !in_time || !should_repeat(request, last)) {
      return std::move(last.answer);
    }
    log_.debug(
        "repeating a request to the API server",
        {{"request", what(request)}, {"attempt", number}, telemetry::Field(last.answer.status())});
    metrics_.count_retry(request.verb);
    if (!sleep(request, wait)) {
      return absl::CancelledError(concat(what(request), ": cancelled"));
    }
  }
}

absl::Status RestClient::stream(const Request& request,
                                const std::function<bool(std::string_view)>& receive) {
  const auto deadline = std::chrono::steady_clock::now() + request.options.timeout;
  for (bool reauthenticated = false;; reauthenticated = true) {
    if (absl::Status refused = wait_for_rate(request, deadline); !refused.ok()) {
      return refused;
    }
    std::string complaint;
    const ExchangeResult result =
        exchange(request, deadline, true, [&](int status, std::string_view piece) {
          if (is_success(status)) {
            return receive(piece);
          }
          complaint.append(piece.substr(0, kMaxErrorBodyBytes - complaint.size()));
          return complaint.size() < kMaxErrorBodyBytes;
        });
    if (is_cancelled(request)) {
      return absl::CancelledError(concat(what(request), ": cancelled"));
    }
    if (result.status == 401 && !reauthenticated) {
      continue;
    }
    if (result.status != 0 && !is_success(result.status)) {
      return to_status(read_error(result.status, complaint, result.retry_after, request.changes()),
                       what(request));
    }
    if (result.end == End::kNotSent || result.end == End::kNoAnswer) {
      return to_status(unanswered(request, result), what(request));
    }
    return absl::OkStatus();
  }
}

}  // namespace holdfast::kube
