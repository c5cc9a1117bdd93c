#include "operator/observe/vital_signs.h"

#include <set>
#include <utility>

#include "operator/member/fleet.h"
#include "operator/observe/certificates.h"

namespace holdfast::observe {

namespace {

void take_answers(const member::Probe& probe, MemberSigns& signs) {
  signs.status.reset();
  if (probe.status.ok()) signs.status = *probe.status;
  signs.confirms_quorum = probe.linearizable_read.ok();
  signs.quorum_read = probe.linearizable_read_took;
}

/// `before`: the page read last, which this one takes the place of.
void take_page(const member::MetricsPage& page, member::MetricsPage& before, MemberSigns& signs) {
  signs.leader_changes = page.leader_changes;
  const auto p99 = [](const member::Buckets& now, const member::Buckets& then) {
    const auto lately = member::quantile(0.99, now, then);
    return lately ? lately : member::quantile(0.99, now, {});
  };
  signs.wal_fsync_p99_seconds = p99(page.wal_fsync, before.wal_fsync);
  signs.backend_commit_p99_seconds = p99(page.backend_commit, before.backend_commit);
  before = page;
}

}  // namespace

VitalSigns::~VitalSigns() {
  stop();
}

void VitalSigns::start() {
  thread_ = std::thread([this] { run(); });
}

void VitalSigns::stop() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void VitalSigns::look() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    looked_until_ = Clock::now() + kAttention;
  }
  changed_.notify_all();
}

void VitalSigns::look(const kube::ObjectKey& cluster) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    closely_ = cluster;
  }
  look();
}

void VitalSigns::note(const kube::ObjectKey& cluster, const std::map<int, member::Probe>& probes) {
  if (probes.empty()) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  Kept& kept = clusters_[cluster];
  for (const auto& [ordinal, probe] : probes) take_answers(probe, kept.signs.members[probe.name]);
  kept.signs.seen_at = absl::Now();
}

void VitalSigns::forget(const kube::ObjectKey& cluster) {
  const std::lock_guard<std::mutex> lock(mutex_);
  clusters_.erase(cluster);
}

std::optional<ClusterSigns> VitalSigns::of(const kube::ObjectKey& cluster) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = clusters_.find(cluster);
  if (found == clusters_.end() || found->second.signs.members.empty()) return std::nullopt;
  return found->second.signs;
}

void VitalSigns::run() {
  while (await_attention()) {
    if (const auto cluster = next_due()) ask(*cluster);
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait_for(lock, kPause, [this] { return stopping_; });
  }
}

bool VitalSigns::await_attention() {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [this] { return stopping_ || Clock::now() < looked_until_; });
  return !stopping_;
}

/// The cluster that was asked longest ago, if that is long enough.
std::optional<kube::ObjectKey> VitalSigns::next_due() {
  const std::vector<kube::ObjectKey> known = caches_.clusters();
  std::optional<kube::ObjectKey> due;
  Clock::time_point longest_ago = Clock::now() - kShortest;
  const std::set<kube::ObjectKey> there(known.begin(), known.end());
  const std::lock_guard<std::mutex> lock(mutex_);
  std::erase_if(clusters_, [&](const auto& each) {
    if (there.contains(each.first)) return false;
    pool_.forget(each.first);
    return true;
  });
  if (const auto closely = std::exchange(closely_, std::nullopt);
      closely && there.contains(*closely) && asked_at(*closely) < Clock::now() - kClosely) {
    return closely;
  }
  for (const kube::ObjectKey& cluster : known) {
    const Clock::time_point asked = asked_at(cluster);
    if (asked > longest_ago || (due && asked == longest_ago)) continue;
    due = cluster;
    longest_ago = asked;
  }
  return due;
}

VitalSigns::Clock::time_point VitalSigns::asked_at(const kube::ObjectKey& cluster) const {
  const auto found = clusters_.find(cluster);
  return found == clusters_.end() ? Clock::time_point::min() : found->second.asked_at;
}

void VitalSigns::ask(const kube::ObjectKey& cluster) {
  std::optional<Snapshot> snapshot = caches_.snapshot(cluster);
  auto read = snapshot ? api::read<api::HoldfastCluster>(*snapshot->object)
                       : absl::NotFoundError("it was deleted meanwhile");
  std::vector<member::Probe> probes;
  Members members;
  if (read.ok()) {
    snapshot->cluster = *std::move(read);
    members = pool_.of(*snapshot, operator_material(*snapshot));
    std::vector<const member::Client*> clients;
    for (const auto& [ordinal, client] : members) clients.push_back(client.get());
    probes = member::probe_all(clients, {.metrics_page = true, .confirmed_member_list = false});
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  Kept& kept = clusters_[cluster];
  kept.asked_at = Clock::now();
  // Who has no Pod any more is no member to be looked at.
  std::map<std::string, MemberSigns> before = std::exchange(kept.signs.members, {});
  for (const member::Probe& probe : probes) {
    if (auto known = before.extract(probe.name)) kept.signs.members.insert(std::move(known));
    MemberSigns& signs = kept.signs.members[probe.name];
    take_answers(probe, signs);
    if (probe.answers() && probe.page.ok()) take_page(*probe.page, kept.pages[probe.name], signs);
  }
  std::erase_if(kept.pages,
                [&](const auto& page) { return !kept.signs.members.contains(page.first); });
  kept.signs.seen_at = kept.signs.pages_at = absl::Now();
}

}  // namespace holdfast::observe
