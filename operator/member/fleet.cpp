#include "operator/member/fleet.h"

#include <algorithm>
#include <atomic>
#include <thread>

namespace holdfast::member {

std::vector<Probe> probe_all(const std::vector<const Client*>& clients,
                             const ProbeOptions& options) {
  std::vector<Probe> probes(clients.size());
  std::atomic<std::size_t> next{0};
  const auto work = [&] {
    for (std::size_t i = next++; i < clients.size(); i = next++) {
      probes[i] = clients[i]->probe(options);
    }
  };
  {
    std::vector<std::jthread> threads;
    const std::size_t others = std::min(clients.size(), kMaxProbesAtOnce);
    for (std::size_t i = 1; i < others; ++i) threads.emplace_back(work);
    work();
  }
  return probes;
}

absl::Status at_any(const std::vector<const Client*>& clients,
                    const std::function<absl::Status(const Client&)>& call) {
  absl::Status last = absl::UnavailableError("no member to ask");
  for (const Client* client : clients) {
    last = call(*client);
    if (outcome_of(last) != Outcome::kRetry) return last;
  }
  return last;
}

}  // namespace holdfast::member
