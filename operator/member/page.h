#pragma once

#include <chrono>
#include <string_view>

#include "absl/status/statusor.h"
#include "operator/member/answers.h"
#include "operator/member/endpoint.h"

namespace holdfast::member {

/// A longer metrics page is not read to its end.
inline constexpr std::size_t kMaxPageBytes = 4 * 1024 * 1024;

/// Picks what the operator needs out of a metrics page in Prometheus' text format; lines it does
/// not know are passed over, so a page of etcd's gives an empty answer.
MetricsPage parse_metrics_page(std::string_view text);

/// GET /metrics at the endpoint's metrics port, over plain HTTP/1.1. Blocks, for `timeout` at most
/// from the first byte to the last.
/// Errors: Unavailable if nobody answers with a 200; DeadlineExceeded; OutOfRange for a page over
/// kMaxPageBytes.
absl::StatusOr<MetricsPage> fetch_metrics_page(const Endpoint& endpoint,
                                               std::chrono::milliseconds timeout);

}  // namespace holdfast::member
