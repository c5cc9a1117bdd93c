#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "datastore/telemetry/log.h"
#include "operator/kube/rest_client.h"

namespace holdfast::kube {

/// One run against an API server. The test and the program talk in lines: the program says words on
/// standard output, the test on standard input.
struct Scenario {
  Config config;
  std::vector<std::string> arguments;
  telemetry::Logger& log;
  telemetry::MetricRegistry& registry;
  RequestMetrics& metrics;

  /// A client with `config`, or one like it.
  std::unique_ptr<RestClient> connect() const { return connect(config); }
  std::unique_ptr<RestClient> connect(const Config& other) const;
  int number(std::size_t argument) const { return std::stoi(arguments.at(argument)); }
  bool counted(std::string_view series) const {
    return registry.text().find(series) != std::string::npos;
  }
};

/// Ends the program with status 1 and the words unless the condition holds.
void want(bool condition, std::string_view words);
/// The same for a Status that should be OK, and for one that should not.
void want_ok(const absl::Status& status, std::string_view words);
template <class T>
T want_value(absl::StatusOr<T> value, std::string_view words) {
  want_ok(value.status(), words);
  return *std::move(value);
}
/// Waits for the condition, as long as a busy machine may take.
void want_eventually(const std::function<bool()>& condition, std::string_view words);

void say(std::string_view words);
/// Waits for a line; false at the end of input.
bool await(std::string_view words);

/// f(0) … f(n-1) on eight threads.
void in_parallel(int n, const std::function<void(int)>& f);

inline const Resource kConfigMaps{
    .group = "", .version = "v1", .plural = "configmaps", .namespaced = true};
inline const Resource kNamespaces{
    .group = "", .version = "v1", .plural = "namespaces", .namespaced = false};

Json config_map(const std::string& ns, const std::string& name, const Json& data = Json::object());
void make_namespace(Client& client, const std::string& name);

void run_calls(const Scenario& scenario);
void run_apply(const Scenario& scenario);
void run_pages(const Scenario& scenario);
void run_discovery(const Scenario& scenario);
void run_events(const Scenario& scenario);
void run_token(const Scenario& scenario);
void run_leader(const Scenario& scenario);
void run_watch(const Scenario& scenario);
void run_memory(const Scenario& scenario);

}  // namespace holdfast::kube
