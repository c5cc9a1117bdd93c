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
/// While something is under way.
constexpr milliseconds kDuringOperation{1000};
/// A connection with TLS that nobody uses for as long is worth less than its memory.
constexpr milliseconds kKeepsConnections{10000};
/// While members change over to another key.
constexpr milliseconds kWhileKeysChange{3000};

std::optional<double> headroom_seconds(const holdfast::reconcile::Headroom& headroom) {
  if (!headroom.known) return std::nullopt;
  return headroom.full_in ? static_cast<double>(*headroom.full_in) : Figures::kFarAhead;
}

}  // namespace

Controller::Controller(const ControllerParts& parts, ControllerOptions options)
    : parts_(parts),
      options_(std::move(options)),
      workers_(options_.workers, [this](const std::string& key, const Workers::Term& term) {
        return reconcile(key, term);
      }) {
}

Controller::~Controller() {
  stop();
}

void Controller::start() {
  workers_.start();
}

void Controller::stop() {
  workers_.stop();
}

void Controller::trigger(const kube::ObjectKey& cluster) {
  workers_.add(kube::to_text(cluster));
}

void Controller::lead(Workers::Term term) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    superseded_.clear();
  }
  workers_.lead(std::move(term));
  for (const kube::ObjectKey& cluster : parts_.caches.clusters()) trigger(cluster);
}

void Controller::follow() {
  workers_.follow();
}

Workers::Again Controller::reconcile(const std::string& key, const Workers::Term& term) {
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
  parts_.figures.set_headroom(cluster, headroom_seconds(pass.plan.headroom));
  return after(key, pass, outcome);
}

Workers::Again Controller::after(const std::string& key, const Pass& pass, const Outcome& outcome) {
  if (!outcome.status.ok()) {
    if (kube::is_conflict(outcome.status) || absl::IsAborted(outcome.status)) {
      return kUntilCacheFollows;
    }
    parts_.log.warn("a pass did not come to its end; trying again",
                    {{"cluster", key}, telemetry::Field(outcome.status)});
    workers_.retry(key);
    return std::nullopt;
  }
  workers_.forget(key);
  if (outcome.changed_members || pass.auth_plan.step || pass.encryption_plan.step)
    return kAfterMemberStep;
  milliseconds planned = std::chrono::seconds(
      std::min(pass.plan.look_again_seconds, pass.certificate_plan.look_again_seconds));
  // Which key a member uses no event tells.
  if (!pass.encryption_plan.behind.empty()) planned = std::min(planned, kWhileKeysChange);
  if (pass.plan.memory.operation) return std::min(planned, kDuringOperation);
  if (planned >= kKeepsConnections) rest(pass);
  return planned;
}

void Controller::rest(const Pass& pass) {
  for (const auto& [ordinal, client] : pass.members) {
    if (client->endpoint().tls) client->rest();
  }
}

Pass Controller::look(observe::Snapshot snapshot) {
  Pass pass;
  pass.snapshot = std::move(snapshot);
  pass.now = absl::Now();
  parts_.cert_manager.look_up(pass.snapshot);
  pass.resolved = observe::resolve(pass.snapshot, options_.defaults, pass.now);
  pass.members = parts_.pool.of(pass.snapshot, observe::operator_material(pass.snapshot));
  pass.user_secrets = parts_.user_secrets.look_up(pass.snapshot);
  pass.passwords = observe::read_root_passwords(pass.snapshot, pass.user_secrets);
  pass.keys = observe::read_encryption_keys(pass.snapshot, pass.user_secrets);
  pass.session = parts_.pool.session({pass.cluster().metadata.ns, pass.cluster().metadata.name});
  pass.session->offer(pass.passwords.to_offer());
  const bool reads_pages = pages_.must_read(pass.snapshot, pass.user_secrets, steady_clock::now());
  ask_members(pass, reads_pages);
  compare_copies(pass);
  pass.plan = holdfast::reconcile::plan(pass.observed);
  pass.certificates =
      observe::assemble_certificates({pass.snapshot, pass.observed, pass.plan, pass.probes,
                                      pass.user_secrets, pass.now, &leaves_});
  pass.certificate_plan = holdfast::reconcile::plan_certificates(pass.certificates);
  pass.auth = observe::assemble_auth(pass.snapshot, pass.observed, pass.passwords, pass.probes,
                                     *pass.session);
  pass.auth_plan = holdfast::reconcile::plan_auth(pass.auth);
  pass.encryption = observe::assemble_encryption(pass.snapshot, pass.resolved.wishes,
                                                 pass.plan.memory, pass.keys, pass.probes);
  pass.encryption_plan = holdfast::reconcile::plan_encryption(pass.encryption);
  if (reads_pages) {
    const auto& plan = pass.certificate_plan;
    const bool settled = plan.client.settled && plan.peer.settled && !plan.step &&
                         pass.encryption_plan.behind.empty();
    pages_.learn(pass.snapshot, pass.user_secrets, pass.probes, settled, steady_clock::now());
  }
  return pass;
}

void Controller::ask_members(Pass& pass, bool pages) {
  std::vector<const member::Client*> clients;
  for (const auto& [ordinal, client] : pass.members) clients.push_back(client.get());
  for (auto& client : joined_.of(pass.snapshot, pass.user_secrets, pass.session)) {
    clients.push_back(client.get());
    pass.joined.push_back({std::move(client), {}});
  }
  std::vector<member::Probe> probes = member::probe_all(clients, {.metrics_page = pages});
  std::size_t at = 0;
  for (const auto& [ordinal, client] : pass.members) pass.probes[ordinal] = std::move(probes[at++]);
  parts_.vital_signs.note({pass.cluster().metadata.ns, pass.cluster().metadata.name}, pass.probes);
  pages_.fill(pass.snapshot, pass.probes);
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
    member.answers->hash = joined_.compare_once(
        {pass.cluster().metadata.ns, pass.cluster().metadata.name}, *learner->second, *leader,
        member.registration->id, steady_clock::now());
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
  workers_.forget(key);
  parts_.pool.forget(kube::parse_key(key));
  parts_.vital_signs.forget(kube::parse_key(key));
  pages_.forget(kube::parse_key(key));
  parts_.figures.forget(kube::parse_key(key));
  joined_.forget(kube::parse_key(key));
  const std::lock_guard<std::mutex> lock(mutex_);
  superseded_.erase(key);
}

}  // namespace holdfast::actions
