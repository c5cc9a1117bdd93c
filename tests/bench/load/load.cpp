// holdfast_load: a load generator for servers of etcd's API that costs about a microsecond per
// request. One thread; prints one JSON line per phase. tests/bench/README.md says what runs it.
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "tests/bench/load/generator.h"

namespace {

using holdfast::bench::Connection;
using holdfast::bench::Generator;
using holdfast::bench::Operation;
using holdfast::bench::Phase;
using holdfast::bench::Report;
using holdfast::bench::Target;

struct Settings {
  Target target;
  std::string mode;
  double seconds = 0;
  uint64_t count = 0;
  double rate_per_second = 0;
  bool until_stdin_closes = false;
  uint64_t page_keys = 500;
};

/// The phases that a mode consists of.
std::vector<Phase> phases_of(const Settings& settings) {
  const auto simple = [&settings](const char* name, Operation operation) {
    return Phase{.name = name,
                 .operation = operation,
                 .seconds = settings.seconds,
                 .count = settings.count,
                 .until_stdin_closes = settings.until_stdin_closes,
                 .rate_per_second = settings.rate_per_second};
  };
  const Phase fill{.name = "fill", .operation = Operation::kPut, .count = settings.target.keys};
  if (settings.mode == "put") return {simple("put", Operation::kPut)};
  if (settings.mode == "fill") return {fill};
  if (settings.mode == "get") return {simple("get", Operation::kGet)};
  if (settings.mode == "txn") {
    Phase update = simple("update", Operation::kUpdate);
    return {Phase{.name = "create", .operation = Operation::kCreate}, update,
            Phase{.name = "delete", .operation = Operation::kDelete}};
  }
  if (settings.mode == "heartbeat") {
    Phase beat = simple("heartbeat", Operation::kUpdate);
    beat.watched = true;
    return {fill, beat};
  }
  if (settings.mode == "lease-grant") return {simple("lease-grant", Operation::kLeaseGrant)};
  if (settings.mode == "lease-keepalive") {
    const Phase grant{
        .name = "grant", .operation = Operation::kLeaseGrant, .count = settings.target.in_flight};
    return {grant, simple("lease-keepalive", Operation::kLeaseKeepAlive)};
  }
  Phase list = simple("list", Operation::kListPage);
  if (settings.mode == "list-paged") list.page_keys = settings.page_keys;
  if (settings.mode == "list-stream") list.operation = Operation::kListStream;
  return {list};
}

void print(const Report& report) {
  const nlohmann::json line = {{"name", report.name},
                               {"requests", report.requests},
                               {"errors", report.errors},
                               {"first_error", report.first_error},
                               {"entries", report.entries},
                               {"watched", report.watched},
                               {"seconds", report.seconds},
                               {"server_cpu_seconds", report.server_cpu_seconds},
                               {"own_cpu_seconds", report.own_cpu_seconds},
                               {"p50_ms", report.p50_ms},
                               {"p99_ms", report.p99_ms},
                               {"p999_ms", report.p999_ms},
                               {"max_ms", report.max_ms}};
  std::printf("%s\n", line.dump().c_str());
  std::fflush(stdout);
}

void define(CLI::App* app, Settings* settings) {
  Target& target = settings->target;
  app->add_option("mode", settings->mode, "what to run")
      ->required()
      ->check(CLI::IsMember({"put", "fill", "get", "txn", "heartbeat", "lease-grant",
                             "lease-keepalive", "list-paged", "list-whole", "list-stream"}));
  app->add_option("--address", target.address, "numeric IPv4 address");
  app->add_option("--port", target.port)->required();
  app->add_option("--server-pid", target.server_pid, "whose CPU time to report");
  app->add_option("--connections", target.connections)->check(CLI::Range(1, 10000));
  app->add_option("--in-flight", target.in_flight, "requests in flight over all connections")
      ->check(CLI::Range(1, 60000));
  app->add_option("--keys", target.keys, "keys in use");
  app->add_option("--prefix", target.shape.prefix, "of every key; ends with a slash");
  app->add_option("--value-bytes", target.shape.value_bytes)
      ->check(CLI::Range(0, static_cast<int>(Connection::kMaxRequestBytes) - 1024));
  app->add_flag("--serializable", target.shape.serializable);
  app->add_option("--ttl-seconds", target.shape.ttl_seconds);
  app->add_option("--lease-base", target.shape.lease_base,
                  "lease-grant: IDs from here on; put, fill: key n is attached to lease base + n");
  app->add_option("--seconds", settings->seconds, "how long; 0: until --count");
  app->add_option("--count", settings->count, "how many; 0: until --seconds");
  app->add_option("--rate", settings->rate_per_second, "requests per second, whatever the answers");
  app->add_flag("--until-stdin-closes", settings->until_stdin_closes);
  app->add_option("--page-keys", settings->page_keys);
}

int run(const Settings& settings) {
  auto generator = Generator::open(settings.target);
  if (!generator.ok()) {
    std::fprintf(stderr, "holdfast_load: %s\n", generator.status().ToString().c_str());
    return 1;
  }
  for (const Phase& phase : phases_of(settings)) {
    const absl::StatusOr<Report> report = (*generator)->run(phase);
    if (!report.ok()) {
      std::fprintf(stderr, "holdfast_load: %s: %s\n", phase.name.c_str(),
                   report.status().ToString().c_str());
      return 1;
    }
    print(*report);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  CLI::App app("Drives a server of etcd's API and measures it.");
  define(&app, &settings);
  CLI11_PARSE(app, argc, argv);
  return run(settings);
}
