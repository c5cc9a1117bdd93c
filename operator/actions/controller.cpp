#include "operator/actions/controller.h"

#include <algorithm>
#include <utility>

#include "operator/actions/member_steps.h"
#include "operator/member/fleet.h"
#include "operator/observe/assemble.h"
#include "operator/observe/certificates.h"
#include "operator/reconcile/facts.h"

namespace holdfast::actions {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// After a change by members, which no object's event will tell of.
constexpr milliseconds kAfterMemberStep{200};
/// While the cache still shows what our own write has replaced.
constexpr milliseconds kUntilCacheFollows{50};
/// While something is under way.
constexpr milliseconds kDuringOperation{1000};

kube::WorkQueueOptions queue_options() {
  kube::WorkQueueOptions options;
  // A cluster that cannot be worked on is tried again every half minute at the latest: the API's
  // own limits come first, and its users wait.
  options.last_delay = milliseconds(30'000);
  return options;
}

}  // namespace

Controller::Controller(const ControllerParts& parts, ControllerOptions options)
    : parts_(parts),
      options_(std::move(options)),
      queue_(queue_options()),
      since_(static_cast<std::size_t>(options_.workers)) {
}

Controller::~Controller() {
  stop();
}

void Controller::start() {
  for (std::size_t worker = 0; worker < since_.size(); ++worker) {
    threads_.emplace_back([this, worker] { work(worker); });
  }
}

void Controller::stop() {
  queue_.shutdown();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void Controller::trigger(const kube::ObjectKey& cluster) {
  queue_.add(kube::to_text(cluster));
}

void Controller::lead(std::shared_ptr<const kube::Leadership> leadership) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    leadership_ = std::move(leadership);
    superseded_.clear();
  }
  for (const kube::ObjectKey& cluster : parts_.caches.clusters()) trigger(cluster);
}

void Controller::follow() {
  const std::lock_guard<std::mutex> lock(mutex_);
  leadership_.reset();
}

std::shared_ptr<const kube::Leadership> Controller::leadership() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return leadership_;
}

steady_clock::duration Controller::longest_wait() const {
  steady_clock::duration longest = queue_.oldest_wait();
  const auto now = steady_clock::now();
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& since : since_) {
    if (since) longest = std::max(longest, now - *since);
  }
  return longest;
}

void Controller::work(std::size_t worker) {
  const auto mark = [&](std::optional<SteadyTime> since) {
    const std::lock_guard<std::mutex> lock(mutex_);
    since_[worker] = since;
  };
  while (const auto key = queue_.take()) {
    mark(steady_clock::now());
    // Who does not lead drops the key: a term begins with all of them.
    const auto again = reconcile(*key);
    mark(std::nullopt);
    if (again) queue_.add_after(*key, *again);
    queue_.done(*key);
  }
}

std::optional<milliseconds> Controller::reconcile(const std::string& key) {
  const std::shared_ptr<const kube::Leadership> term = leadership();
  if (!term || !term->held()) return std::nullopt;
  const kube::ObjectKey cluster = kube::parse_key(key);
  std::optional<observe::Snapshot> snapshot = parts_.caches.snapshot(cluster);
  if (!snapshot) {
    forget(key);
    return std::nullopt;
  }
  auto read = api::read<api::HoldfastCluster>(*snapshot->object);
  if (!read.ok()) {
    parts_.log.error("a cluster cannot be read",
                     {{"cluster", key}, telemetry::Field(read.status())});
    parts_.events.record(*snapshot->object, kube::EventRecorder::Type::kWarning, "CannotBeRead",
                         "Reconcile", std::string(read.status().message()));
    return std::nullopt;
  }
  snapshot->cluster = *std::move(read);
  const std::string seen = snapshot->cluster.metadata.resource_version;
  if (is_superseded(key, seen)) return kUntilCacheFollows;

  const auto began = steady_clock::now();
  const Pass pass = look(*std::move(snapshot));
  const Outcome outcome = parts_.executor.carry_out(pass, term);
  if (!outcome.written_version.empty()) note_written(key, seen, outcome.written_version);
  const std::chrono::duration<double> took = steady_clock::now() - began;
  parts_.figures.observe_pass(took.count(), outcome.status.ok());
  parts_.figures.set_cluster(cluster, pass.resolved.wishes.replicas, pass.cluster().status);
  return after(key, pass, outcome);
}

std::optional<milliseconds> Controller::after(const std::string& key, const Pass& pass,
                                              const Outcome& outcome) {
  if (!outcome.status.ok()) {
    if (kube::is_conflict(outcome.status) || absl::IsAborted(outcome.status)) {
      return kUntilCacheFollows;
    }
    parts_.log.warn("a pass did not come to its end; trying again",
                    {{"cluster", key}, telemetry::Field(outcome.status)});
    queue_.retry(key);
    return std::nullopt;
  }
  queue_.forget(key);
  if (outcome.changed_members) return kAfterMemberStep;
  const milliseconds planned = std::chrono::seconds(
      std::min(pass.plan.look_again_seconds, pass.certificate_plan.look_again_seconds));
  return pass.plan.memory.operation ? std::min(planned, kDuringOperation) : planned;
}

Pass Controller::look(observe::Snapshot snapshot) {
  Pass pass;
  pass.snapshot = std::move(snapshot);
  pass.now = absl::Now();
  pass.resolved = observe::resolve(pass.snapshot, options_.defaults, pass.now);
  pass.members = pool_.of(pass.snapshot, observe::operator_material(pass.snapshot));
  pass.user_secrets = parts_.user_secrets.look_up(pass.snapshot);
  ask_members(pass);
  compare_copies(pass);
  pass.plan = holdfast::reconcile::plan(pass.observed);
  pass.certificates = observe::assemble_certificates(
      {pass.snapshot, pass.observed, pass.plan, pass.probes, pass.user_secrets, pass.now});
  pass.certificate_plan = holdfast::reconcile::plan_certificates(pass.certificates);
  return pass;
}

void Controller::ask_members(Pass& pass) {
  std::vector<const member::Client*> clients;
  for (const auto& [ordinal, client] : pass.members) clients.push_back(client.get());
  for (auto& client : joined_.of(pass.snapshot, pass.user_secrets)) {
    clients.push_back(client.get());
    pass.joined.push_back({std::move(client), {}});
  }
  std::vector<member::Probe> probes = member::probe_all(clients, {.metrics_page = true});
  std::size_t at = 0;
  for (const auto& [ordinal, client] : pass.members) pass.probes[ordinal] = std::move(probes[at++]);
  probes.erase(probes.begin(), probes.begin() + static_cast<std::ptrdiff_t>(at));
  for (std::size_t i = 0; i < probes.size(); ++i) pass.joined[i].probe = probes[i];
  pass.observed = observe::assemble(pass.snapshot, pass.resolved.wishes, pass.probes,
                                    parts_.lookups.look_up(pass.snapshot), pass.now, probes);
  joined_.learn({pass.cluster().metadata.ns, pass.cluster().metadata.name},
                pass.observed.strangers);
}

void Controller::compare_copies(Pass& pass) {
  if (!pass.observed.wishes.joins || pass.observed.strangers.empty()) return;
  const holdfast::reconcile::Facts facts(pass.observed);
  const member::Client* leader = leader_client(pass);
  if (leader == nullptr) return;
  for (holdfast::reconcile::Member& member : pass.observed.members) {
    if (!member.registration || !member.registration->learner) continue;
    const auto learner = pass.members.find(member.ordinal);
    if (learner == pass.members.end() || !facts.is_caught_up(member)) continue;
    member.answers->hash = observe::compare(*learner->second, *leader);
  }
}

bool Controller::is_superseded(const std::string& key, const std::string& version) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = superseded_.find(key);
  return found != superseded_.end() && found->second == version;
}

void Controller::note_written(const std::string& key, const std::string& before,
                              const std::string& after) {
  if (before == after) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  superseded_[key] = before;
}

void Controller::forget(const std::string& key) {
  queue_.forget(key);
  pool_.forget(kube::parse_key(key));
  parts_.figures.forget(kube::parse_key(key));
  joined_.forget(kube::parse_key(key));
  const std::lock_guard<std::mutex> lock(mutex_);
  superseded_.erase(key);
}

}  // namespace holdfast::actions
