#include "operator/observe/user_secrets.h"

#include <memory>
#include <set>
#include <utility>

#include "operator/observe/auth.h"
#include "operator/observe/encryption.h"
#include "operator/observe/joined.h"
#include "operator/observe/kinds.h"

namespace holdfast::observe {

std::map<std::string, kube::Object> UserSecrets::look_up(const Snapshot& snapshot) {
  std::map<std::string, kube::Object> found;
  const api::Tls& tls = snapshot.cluster.spec.tls;
  std::set<std::string> names;
  for (const api::TlsSide* side : {&tls.client, &tls.peer}) {
    if (side->issuer == api::Issuer::kSecret) names.insert(side->secret_ref.name);
  }
  if (has_joined_members(snapshot.cluster)) {
    const api::JoinRunning& join = *snapshot.cluster.spec.bootstrap.join;
    names.insert(join.client_secret_ref.name);
    names.insert(join.peer_secret_ref.name);
    names.insert(join.credentials_secret_ref.name);
  }
  names.insert(secret_to_look_up(snapshot));
  names.insert(key_secret_to_look_up(snapshot));
  names.erase("");
  for (const std::string& name : names) {
    if (kube::Object object = get({snapshot.cluster.metadata.ns, name})) {
      found.emplace(name, std::move(object));
    }
  }
  return found;
}

kube::Object UserSecrets::get(const kube::ObjectKey& key) {
  const auto now = std::chrono::steady_clock::now();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto known = kept_.find(key);
    if (known != kept_.end() && now < known->second.until) return known->second.object;
  }
  auto answer = client_.get(kinds::kSecrets, key);
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!answer.ok() && !absl::IsNotFound(answer.status())) {
    // Nothing was learned: what was known stays true a little longer.
    const auto known = kept_.find(key);
    return known == kept_.end() ? nullptr : known->second.object;
  }
  if (kept_.size() >= kMaxKept) kept_.clear();
  Kept& kept = kept_[key];
  kept.object = answer.ok() ? std::make_shared<const kube::Json>(*std::move(answer)) : nullptr;
  kept.until = now + kKeep;
  return kept.object;
}

}  // namespace holdfast::observe
