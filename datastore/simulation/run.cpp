#include "datastore/simulation/run.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "datastore/simulation/client.h"
#include "datastore/simulation/cluster.h"
#include "datastore/simulation/context.h"
#include "datastore/simulation/machine.h"
#include "datastore/simulation/nemesis.h"
#include "datastore/simulation/watcher.h"

namespace holdfast::simulation {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// Within so long after everything is mended, everything must be done.
constexpr Time kProgressWithin = seconds(30);
constexpr Time kWorkEndsWithin = seconds(3600);
constexpr std::uint64_t kClients = 8;
/// A run that saw fewer faults goes on for some more operations.
constexpr std::uint64_t kFewestFaults = 20;
constexpr std::uint64_t kMoreOperations = 100;

/// Everything of one run.
class Run {
 public:
  explicit Run(const RunOptions& options)
      : options_(options), context_(options.seed), dice_(options.seed, 0) {
    workload_.remaining = options.operations;
    context_.tells = options.trace;
    cluster_ = std::make_unique<Cluster>(context_, dice_, count_members());
    cluster_->on_down = [this](Machine& machine) {
      for (const auto& client : clients_) client->connection_lost(machine);
    };
    build_clients();
    nemesis_ = std::make_unique<Nemesis>(context_, *cluster_);
  }

  RunReport go() {
    start();
    while (!context_.judge.failed() && !work_is_done() && within(kWorkEndsWithin)) step();
    context_.note("mended");
    nemesis_->stop();
    mended_at_ = context_.scheduler.now();
    while (!context_.judge.failed() && !is_settled() && within(mended_at_ + kProgressWithin)) {
      step();
    }
    if (!context_.judge.failed() && !is_settled()) {
      context_.judge.fail(absl::StrCat("no progress after everything was mended: ", unsettled()));
    }
    if (!context_.judge.failed()) context_.history.finish();
    return report();
  }

 private:
  std::uint64_t count_members() {
    const std::uint64_t draw = dice_.below(100);
    if (options_.members > 0) return options_.members;
    return draw < 15 ? 1 : draw < 65 ? 3 : draw < 90 ? 5 : 7;
  }

  void build_clients() {
    const std::vector<Machine*>& machines = cluster_->machines();
    workload_.think_at_most = milliseconds(dice_.between(20, 150));
    for (std::uint64_t i = 0; i < kClients; ++i) {
      clients_.push_back(std::make_unique<Client>(context_, machines, workload_, i));
    }
    watchers_.push_back(std::make_unique<Watcher>(context_, machines, 0, "k", "l"));
    watchers_.push_back(std::make_unique<Watcher>(context_, machines, 1, "k0", "k1"));
    watchers_.push_back(std::make_unique<Watcher>(context_, machines, 2, "k11", ""));
    watchers_.push_back(std::make_unique<Watcher>(context_, machines, 3, "k1", "l"));
  }

  void start() {
    for (Machine* machine : cluster_->machines()) machine->start();
    for (const auto& client : clients_) client->start();
    for (const auto& watcher : watchers_) watcher->start();
    nemesis_->start();
  }

  void step() { context_.scheduler.step(); }
  bool within(Time end) const { return context_.scheduler.now() < end; }

  bool clients_are_idle() const {
    return std::all_of(clients_.begin(), clients_.end(),
                       [](const auto& client) { return client->is_idle(); });
  }
  bool work_is_done() {
    if (workload_.remaining > 0 || !clients_are_idle()) return false;
    if (context_.faults.events() >= kFewestFaults) return true;
    workload_.remaining = kMoreOperations;
    for (const auto& client : clients_) client->start();
    return false;
  }

  /// Everybody up, at the same state, every lease expired, every watcher served.
  bool is_settled() { return unsettled().empty(); }
  std::string unsettled() {
    for (Machine* machine : cluster_->machines()) {
      if (!machine->is_up()) return absl::StrCat(machine->name(), " is down");
      if (machine->core().machine().applied_index() < context_.raft_invariants.committed() ||
          machine->core().raft().committed() < context_.raft_invariants.committed()) {
        return absl::StrCat(machine->name(), " has not applied everything");
      }
    }
    if (!nemesis_->operations().is_idle()) return nemesis_->operations().describe();
    if (!context_.reference.leases().empty()) return "leases live on";
    for (const auto& watcher : watchers_) {
      if (!watcher->is_caught_up()) return absl::StrCat(watcher->describe(), " is behind");
    }
    return "";
  }

  RunReport report() {
    RunReport report;
    report.violation = context_.judge.violation();
    report.digest = context_.scheduler.digest().value();
    report.members = cluster_->machines().size();
    report.steps = context_.scheduler.steps();
    report.acknowledged = workload_.acknowledged;
    report.unknown = workload_.unknown;
    for (const auto& watcher : watchers_) report.watch_events += watcher->events();
    report.revisions = context_.reference.revision();
    report.elections = context_.raft_invariants.elections();
    report.simulated_seconds = std::chrono::duration<double>(context_.scheduler.now()).count();
    report.faults = context_.faults;
    return report;
  }

  const RunOptions options_;
  Context context_;
  Dice dice_;
  Workload workload_;
  std::unique_ptr<Cluster> cluster_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<std::unique_ptr<Watcher>> watchers_;
  std::unique_ptr<Nemesis> nemesis_;
  Time mended_at_{0};
};

}  // namespace

RunReport run(const RunOptions& options) {
  return Run(options).go();
}

}  // namespace holdfast::simulation
