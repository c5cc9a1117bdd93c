#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "datastore/telemetry/log.h"
#include "operator/actions/pass.h"
#include "operator/actions/writer.h"
#include "operator/kube/client.h"
#include "operator/kube/event_recorder.h"
#include "operator/kube/leader_elector.h"

namespace holdfast::actions {

struct ExecutorOptions {
  /// Makes the seed's Pod begin with a backup's data, for clusters with bootstrap.restore. Its
  /// error keeps the Pod from being made.
  using PreparePod =
      std::function<absl::StatusOr<kube::Json>(const api::HoldfastCluster&, kube::Json pod)>;
  std::string operator_namespace;
  bool serves_service_monitors = false;
  bool serves_alert_rules = false;
  PreparePod prepare_seed = [](const api::HoldfastCluster&, kube::Json pod) { return pod; };
  /// Makes a member's Pod begin as a HoldfastRestore wants it: with the backup's data in the place
  /// of its own, or with its own again.
  PreparePod prepare_exchange = [](const api::HoldfastCluster&, const kube::Json&) {
    return absl::StatusOr<kube::Json>(absl::UnimplementedError("this operator restores nothing"));
  };
};

/// What became of a pass.
struct Outcome {
  /// The first failure; the rest of the plan was done as far as it does not depend on it.
  absl::Status status;
  /// A member has changed something at our word: look again soon, no object's event says so.
  bool changed_members = false;
  /// resourceVersion of the cluster as this pass left it, if it wrote it: a pass that still sees
  /// an older one would decide from what is no longer so.
  std::string written_version;
};

/// Carries a plan out, in an order in which the process may end between any two writes:
///
///   finalizer → status → objects held in shape → repairs → at most one disruptive step → answers
///
/// Status goes first and by resourceVersion: an operator that saw an older state loses there and
/// does nothing. Every later write names what it is for by UID or member ID and may be repeated.
/// Each asks the leadership first. Any thread; a pass at a time per cluster.
class Executor {
 public:
  /// What is passed outlives the executor.
  Executor(kube::Client& client, kube::EventRecorder& events, telemetry::Logger& log,
           ExecutorOptions options)
      : client_(client), events_(events), log_(log), options_(std::move(options)) {}

  Outcome carry_out(const Pass& pass, std::shared_ptr<const kube::Leadership> leadership);

 private:
  class Run;

  kube::Client& client_;
  kube::EventRecorder& events_;
  telemetry::Logger& log_;
  const ExecutorOptions options_;
};

}  // namespace holdfast::actions
