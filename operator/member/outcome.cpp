#include "operator/member/outcome.h"

#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"

namespace holdfast::member {

namespace {

constexpr char kPayload[] = "holdfast.dev/outcome";

/// The proposal may be in the log when a member says these. Source: etcd's rpctypes.
constexpr std::array<std::string_view, 3> kMaybeApplied = {
    "etcdserver: request timed out",
    "etcdserver: server stopped",
    "etcdserver: leader changed",
};

/// Refused for the moment: a quorum, a leader or a learner's catching up may come.
constexpr std::array<std::string_view, 7> kPassing = {
    "etcdserver: no leader",
    "etcdserver: not leader",
    "etcdserver: unhealthy cluster",
    "etcdserver: too many requests",
    "etcdserver: can only promote a learner member which is in sync with leader",
    "etcdserver: re-configuration failed due to not enough started members",
    "etcdserver: leader transferee",
};

template <std::size_t N>
bool begins_with_any(absl::string_view text, const std::array<std::string_view, N>& prefixes) {
  for (const std::string_view prefix : prefixes) {
    if (absl::StartsWith(text, absl::string_view(prefix.data(), prefix.size()))) return true;
  }
  return false;
}

bool is_members_own(const absl::Status& status) {
  return absl::StartsWith(status.message(), "etcdserver:");
}

std::optional<Outcome> marked(const absl::Status& status) {
  const auto payload = status.GetPayload(kPayload);
  if (!payload || payload->size() != 1) return std::nullopt;
  return static_cast<Outcome>((*payload)[0] - '0');
}

Outcome by_code(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnknown:
      return Outcome::kRetry;
    default:
      return Outcome::kRejected;
  }
}

}  // namespace

Outcome outcome_of(const absl::Status& status) {
  if (status.ok()) return Outcome::kDone;
  if (const std::optional<Outcome> outcome = marked(status)) return *outcome;
  if (begins_with_any(status.message(), kPassing)) return Outcome::kRetry;
  return by_code(status);
}

absl::Status with_outcome(absl::Status status, Outcome outcome) {
  const char digit = static_cast<char>('0' + static_cast<int>(outcome));
  status.SetPayload(kPayload, absl::Cord(absl::string_view(&digit, 1)));
  return status;
}

absl::Status after_sending_a_change(const absl::Status& status) {
  if (status.ok()) return status;
  if (begins_with_any(status.message(), kMaybeApplied)) {
    return with_outcome(status, Outcome::kUnknown);
  }
  if (is_members_own(status)) return status;
  return by_code(status) == Outcome::kRetry ? with_outcome(status, Outcome::kUnknown) : status;
}

}  // namespace holdfast::member
