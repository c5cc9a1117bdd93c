// kubeclient SCENARIO KUBECONFIG [argument...]: exits with 0 if everything was as it should be.
#include <atomic>
#include <cstdlib>
#include <iostream>
#include <map>
#include <thread>

#include "tests/e2e/kubeclient/program/scenario.h"

namespace holdfast::kube {

constexpr std::chrono::seconds kPatience{120};

std::unique_ptr<RestClient> Scenario::connect(const Config& other) const {
  RestClientOptions options;
  options.requests_per_second = 100'000;  // what is measured is the server's pace, not our limit
  options.burst = 100'000;
  return want_value(RestClient::open(other, std::move(options), log, metrics), "open");
}

void want(bool condition, std::string_view words) {
  if (!condition) {
    std::cout << "FAILED: " << words << std::endl;
    std::_Exit(1);
  }
}

void want_ok(const absl::Status& status, std::string_view words) {
  want(status.ok(), std::string(words) + ": " + status.ToString());
}

void want_eventually(const std::function<bool()>& condition, std::string_view words) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    want(std::chrono::steady_clock::now() < deadline, std::string(words) + ": not in time");
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

void say(std::string_view words) {
  std::cout << words << std::endl;
}

bool await(std::string_view words) {
  std::string line;
  if (!std::getline(std::cin, line)) {
    return false;
  }
  want(line == words, "told '" + line + "' instead of '" + std::string(words) + "'");
  return true;
}

void in_parallel(int n, const std::function<void(int)>& f) {
  std::atomic<int> next{0};
  constexpr int kThreads = 8;
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int mine = next++; mine < n; mine = next++) {
        f(mine);
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

Json config_map(const std::string& ns, const std::string& name, const Json& data) {
  return {{"apiVersion", "v1"},
          {"kind", "ConfigMap"},
          {"metadata", {{"name", name}, {"namespace", ns}}},
          {"data", data}};
}

void make_namespace(Client& client, const std::string& name) {
  const Json ns = {{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", name}}}};
  want_ok(client.create(kNamespaces, ns).status(), "namespace " + name);
}

int run(int count, char** words) {
  const std::map<std::string, void (*)(const Scenario&)> scenarios{
      {"calls", run_calls},   {"apply", run_apply},   {"pages", run_pages},
      {"events", run_events}, {"token", run_token},   {"discovery", run_discovery},
      {"watch", run_watch},   {"leader", run_leader}, {"memory", run_memory},
  };
  const std::vector<std::string> all(words + 1, words + count);
  if (all.size() < 2 || !scenarios.contains(all[0])) {
    std::cerr << "usage: kubeclient SCENARIO KUBECONFIG [argument...]\n";
    return 2;
  }
  const auto log =
      want_value(telemetry::Logger::open({.level = telemetry::LogLevel::kInfo}), "log");
  telemetry::MetricRegistry registry;
  RequestMetrics metrics(registry);
  const Scenario scenario{.config = want_value(load_config(all[1]), "config"),
                          .arguments = {all.begin() + 2, all.end()},
                          .log = *log,
                          .registry = registry,
                          .metrics = metrics};
  scenarios.at(all[0])(scenario);
  say("done");
  return 0;
}

}  // namespace holdfast::kube

int main(int count, char** words) {
  return holdfast::kube::run(count, words);
}
