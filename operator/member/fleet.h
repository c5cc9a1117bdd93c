#pragma once

#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "operator/member/answers.h"
#include "operator/member/client.h"

namespace holdfast::member {

/// Members asked at once, one thread each; the rest waits for a thread.
inline constexpr std::size_t kMaxProbesAtOnce = 16;

/// Probes all, side by side: the time of the slowest, Timeouts::read at most. Answers stand in the
/// order of `clients`.
std::vector<Probe> probe_all(const std::vector<const Client*>& clients,
                             const ProbeOptions& options = {});

/// Makes a call that any member can serve, at one after the other until an outcome says that asking
/// another is of no use (done, rejected) or not safe (unknown). Returns the last answer.
/// Errors: Unavailable without clients.
absl::Status at_any(const std::vector<const Client*>& clients,
                    const std::function<absl::Status(const Client&)>& call);

}  // namespace holdfast::member
