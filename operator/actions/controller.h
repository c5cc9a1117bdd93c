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
#include "operator/actions/workers.h"
#include "operator/observe/caches.h"
#include "operator/observe/cert_manager.h"
#include "operator/observe/known_pages.h"
#include "operator/observe/leaves.h"
#include "operator/observe/lookups.h"
#include "operator/observe/member_pool.h"
#include "operator/observe/user_secrets.h"
#include "operator/observe/vital_signs.h"
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
  observe::CertManagerCertificates& cert_manager;
  observe::MemberPool& pool;
  observe::VitalSigns& vital_signs;  ///< told what passes hear
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
  void lead(Workers::Term term);
  /// The term is over: passes under way stop at their next write.
  void follow();

  /// How long the pass that runs longest has run, or a key has waited for a worker.
  std::chrono::steady_clock::duration longest_wait() const { return workers_.longest_wait(); }

 private:
  /// One pass and what became of it.
  Workers::Again reconcile(const std::string& key, const Workers::Term& term);
  Workers::Again after(const std::string& key, const Pass& pass, const Outcome& outcome);
  /// Nothing is under way: ends connections that cost more than another handshake will.
  static void rest(const Pass& pass);
  Pass look(observe::Snapshot snapshot);
  /// Everybody who may be asked, side by side; `pages`: for their metrics pages too.
  void ask_members(Pass& pass, bool pages);
  /// Of a cluster that is joined: whether a learner that may vote soon has what the leader has.
  void compare_copies(Pass& pass);
  bool is_superseded(const std::string& key, const std::string& version) const;
  void note_written(const std::string& key, const std::string& before, const std::string& after);
  void forget(const std::string& key);

  const ControllerParts parts_;
  const ControllerOptions options_;
  observe::JoinedPool joined_;
  observe::KnownPages pages_;
  observe::KnownLeaves leaves_;

  mutable std::mutex mutex_;  // guards what is below
  /// By cluster: the version that our last write replaced, while the cache may still show it.
  std::map<std::string, std::string> superseded_;

  Workers workers_;  // last: their passes use all the others
};

}  // namespace holdfast::actions
