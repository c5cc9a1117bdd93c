// Runs seeds of the simulation: see tests/simulation/README.md.

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "datastore/simulation/run.h"

namespace {

using holdfast::simulation::Fault;
using holdfast::simulation::FaultCounts;
using holdfast::simulation::kFaultCount;
using holdfast::simulation::kFaultNames;
using holdfast::simulation::RunOptions;
using holdfast::simulation::RunReport;

struct Arguments {
  std::uint64_t first_seed = 1;
  std::uint64_t seeds = 1;
  std::uint64_t operations = 2000;
  std::uint64_t members = 0;
  bool verbose = false;
  bool trace = false;
};

volatile std::uint64_t running_seed = 0;

void print_replay(std::uint64_t seed) {
  std::fprintf(stderr, "replay: tests/simulation/run --seed %llu\n",
               static_cast<unsigned long long>(seed));
}

/// A CHECK has failed: say which seed does it again.
void on_abort(int) {
  print_replay(running_seed);
  std::_Exit(3);
}

bool parse(int argc, char** argv, Arguments* out) {
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--verbose") {
      out->verbose = true;
      continue;
    }
    if (name == "--trace") {
      out->trace = true;
      continue;
    }
    if (i + 1 == argc) return false;
    const std::uint64_t value = std::strtoull(argv[++i], nullptr, 10);
    if (name == "--first-seed") {
      out->first_seed = value;
    } else if (name == "--seeds") {
      out->seeds = value;
    } else if (name == "--operations") {
      out->operations = value;
    } else if (name == "--members") {
      out->members = value;
    } else {
      return false;
    }
  }
  return true;
}

void print(const RunReport& report, std::uint64_t seed) {
  std::printf(
      "seed %llu: %llu members, %llu steps, %.1f s simulated, %llu answered, %llu unknown, "
      "%lld revisions, %llu watched, %llu elections, %llu faults, digest %016llx\n",
      static_cast<unsigned long long>(seed), static_cast<unsigned long long>(report.members),
      static_cast<unsigned long long>(report.steps), report.simulated_seconds,
      static_cast<unsigned long long>(report.acknowledged),
      static_cast<unsigned long long>(report.unknown), static_cast<long long>(report.revisions),
      static_cast<unsigned long long>(report.watch_events),
      static_cast<unsigned long long>(report.elections),
      static_cast<unsigned long long>(report.faults.events()),
      static_cast<unsigned long long>(report.digest));
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  if (!parse(argc, argv, &arguments)) {
    std::fprintf(stderr,
                 "usage: simulate [--first-seed N] [--seeds N] [--operations N] [--members N] "
                 "[--verbose] [--trace]\n");
    return 2;
  }
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  std::signal(SIGABRT, on_abort);
  FaultCounts faults;
  std::uint64_t operations = 0;
  std::uint64_t failed = 0;
  std::uint64_t fewest_faults = ~std::uint64_t{0};
  for (std::uint64_t i = 0; i < arguments.seeds; ++i) {
    const std::uint64_t seed = arguments.first_seed + i;
    running_seed = seed;
    const RunReport report = holdfast::simulation::run({.seed = seed,
                                                        .operations = arguments.operations,
                                                        .members = arguments.members,
                                                        .trace = arguments.trace});
    if (arguments.verbose) print(report, seed);
    faults.add(report.faults);
    operations += report.acknowledged + report.unknown;
    fewest_faults = std::min(fewest_faults, report.faults.events());
    if (report.violation.empty()) continue;
    ++failed;
    std::fprintf(stderr, "seed %llu FAILED: %s\n", static_cast<unsigned long long>(seed),
                 report.violation.c_str());
    print_replay(seed);
  }
  std::printf(
      "%llu operations under %llu seeds, at least %llu faults each, %llu seeds failed\n",
      static_cast<unsigned long long>(operations), static_cast<unsigned long long>(arguments.seeds),
      static_cast<unsigned long long>(fewest_faults), static_cast<unsigned long long>(failed));
  for (std::size_t i = 0; i < kFaultCount; ++i) {
    std::printf("  %-22s %llu\n", std::string(kFaultNames[i]).c_str(),
                static_cast<unsigned long long>(faults.of(static_cast<Fault>(i))));
  }
  return failed == 0 ? 0 : 1;
}
