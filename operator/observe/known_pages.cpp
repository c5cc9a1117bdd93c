#include "operator/observe/known_pages.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "operator/observe/certificates.h"
#include "operator/observe/encryption.h"

namespace holdfast::observe {

namespace {

kube::ObjectKey key_of(const Snapshot& snapshot) {
  return {snapshot.cluster.metadata.ns, snapshot.cluster.metadata.name};
}

/// Its page tells which certificates, or which key, it has loaded.
bool loads_secrets(const kube::Object& pod) {
  return is_sealed(*pod) || pod_mode(*pod, api::Side::kClient) != api::TlsMode::kOff ||
         pod_mode(*pod, api::Side::kPeer) != api::TlsMode::kOff;
}

/// Everything that a member may come to load something else by.
std::string dependencies(const Snapshot& snapshot, const KnownPages::Secrets& users) {
  std::string text = absl::StrCat(snapshot.cluster.metadata.generation);
  const auto add = [&text](std::string_view version) { (text += ' ') += version; };
  for (const kube::Object& pod : snapshot.pods) add(kube::uid_of(*pod));
  for (const auto& [kind_and_name, object] : snapshot.standing) {
    const std::string& kind = kind_and_name.first;
    if (kind == "Secret" || kind == "ConfigMap") add(kube::resource_version_of(*object));
  }
  for (const auto& [name, object] : users) {
    if (object) add(kube::resource_version_of(*object));
  }
  return text;
}

}  // namespace

bool KnownPages::must_read(const Snapshot& snapshot, const Secrets& users,
                           Clock::time_point now) const {
  if (std::none_of(snapshot.pods.begin(), snapshot.pods.end(), loads_secrets)) return false;
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = clusters_.find(key_of(snapshot));
  return found == clusters_.end() || now - found->second.read_at >= kKeep ||
         found->second.depends_on != dependencies(snapshot, users);
}

void KnownPages::fill(const Snapshot& snapshot, Probes& probes) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = clusters_.find(key_of(snapshot));
  if (found == clusters_.end()) return;
  for (auto& [ordinal, probe] : probes) {
    const auto page = found->second.pages.find(ordinal);
    if (page == found->second.pages.end() || !probe.answers() || probe.page.ok()) continue;
    probe.page = page->second;
  }
}

void KnownPages::learn(const Snapshot& snapshot, const Secrets& users, const Probes& probes,
                       bool settled, Clock::time_point now) {
  Known known{dependencies(snapshot, users), now, {}};
  for (const auto& [ordinal, probe] : probes) {
    if (!probe.page.ok()) continue;
    member::MetricsPage& page = known.pages[ordinal] = *probe.page;
    page.wal_fsync.clear();
    page.backend_commit.clear();
  }
  const auto loading = std::count_if(snapshot.pods.begin(), snapshot.pods.end(), loads_secrets);
  if (std::cmp_less(known.pages.size(), loading)) settled = false;
  const std::lock_guard<std::mutex> lock(mutex_);
  if (settled) {
    clusters_[key_of(snapshot)] = std::move(known);
  } else {
    clusters_.erase(key_of(snapshot));
  }
}

void KnownPages::forget(const kube::ObjectKey& cluster) {
  const std::lock_guard<std::mutex> lock(mutex_);
  clusters_.erase(cluster);
}

}  // namespace holdfast::observe
