#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "datastore/telemetry/log.h"
#include "operator/actions/executor.h"
#include "operator/actions/figures.h"
#include "operator/kube/leader_elector.h"
#include "operator/kube/work_queue.h"
#include "operator/observe/caches.h"
#include "operator/observe/lookups.h"
#include "operator/observe/member_pool.h"
#include "operator/observe/user_secrets.h"
#include "operator/specs/template.h"

namespace holdfast::actions {

struct ControllerOptions {
  /// Clusters looked at side by side; a member that does not answer holds one up for two seconds.
  int workers = 8;
  specs::Defaults defaults;
};

/// What the controller works with; all of it outlives the controller.
struct ControllerParts {
  observe::Caches& caches;
  observe::Lookups& lookups;
  observe::UserSecrets& user_secrets;
  Executor& executor;
  kube::EventRecorder& events;
  Figures& figures;
  telemetry::Logger& log;
};

/// Looks at one cluster after the other and does what the planner says: the level-based loop. Works
/// only while it leads; keys that come meanwhile wait. Any thread.
class Controller {
 public:
  Controller(const ControllerParts& parts, ControllerOptions options);
  /// Stops.
  ~Controller();
  Controller(const Controller&) = delete;
  Controller& operator=(const Controller&) = delete;

  void start();
  /// Lets passes that run come to their end, a few seconds at most; joins. Idempotent.
  void stop();

  /// Something of this cluster's has changed. Never waits.
  void trigger(const kube::ObjectKey& cluster);
  /// A term begins: every cluster is looked at.
  void lead(std::shared_ptr<const kube::Leadership> leadership);
  /// The term is over: passes under way stop at their next write.
  void follow();

  /// How long the pass that runs longest has run, or a key has waited for a worker.
  std::chrono::steady_clock::duration longest_wait() const;

 private:
  using SteadyTime = std::chrono::steady_clock::time_point;

  void work(std::size_t worker);
  std::shared_ptr<const kube::Leadership> leadership() const;
  /// One pass and what became of it. Returns when to look again; nothing: only once something
  /// changes.
  std::optional<std::chrono::milliseconds> reconcile(const std::string& key);
  std::optional<std::chrono::milliseconds> after(const std::string& key, const Pass& pass,
                                                 const Outcome& outcome);
  Pass look(observe::Snapshot snapshot);
  /// Everybody who may be asked, side by side.
  void ask_members(Pass& pass);
  /// Of a cluster that is joined: whether a learner that may vote soon has what the leader has.
  static void compare_copies(Pass& pass);
  bool is_superseded(const std::string& key, const std::string& version) const;
  void note_written(const std::string& key, const std::string& before, const std::string& after);
  void forget(const std::string& key);

  const ControllerParts parts_;
  const ControllerOptions options_;
  observe::MemberPool pool_;
  observe::JoinedPool joined_;
  kube::WorkQueue queue_;
  std::vector<std::thread> threads_;

  mutable std::mutex mutex_;  // guards all below
  std::shared_ptr<const kube::Leadership> leadership_;
  /// By cluster: the version that our last write replaced, while the cache may still show it.
  std::map<std::string, std::string> superseded_;
  /// When each worker's present pass began.
  std::vector<std::optional<SteadyTime>> since_;
};

}  // namespace holdfast::actions
