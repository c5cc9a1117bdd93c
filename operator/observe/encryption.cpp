#include "operator/observe/encryption.h"

#include <algorithm>
#include <optional>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "datastore/crypto/wrapping_keys.h"
#include "operator/api/names.h"
#include "operator/observe/certificates.h"
#include "operator/specs/flags.h"

namespace holdfast::observe {

namespace {

using Keys = std::vector<crypto::Key256>;

const std::string& cluster_name(const Snapshot& snapshot) {
  return snapshot.cluster.metadata.name;
}

bool has_begun(const Snapshot& snapshot) {
  return snapshot.cluster.status.encryption.has_value();
}

std::string key_in_secret(const api::HoldfastCluster& cluster) {
  const auto& declared = cluster.spec.encryption_at_rest;
  return declared ? declared->secret_key : std::string(specs::kKeys);
}

std::string wanted_secret(const api::HoldfastCluster& cluster) {
  const auto& declared = cluster.spec.encryption_at_rest;
  if (declared && !declared->secret_ref.name.empty()) return declared->secret_ref.name;
  return api::encryption_secret(cluster.metadata.name);
}

/// The sentences that tell what is wrong with a key file, told of a Secret.
std::string problem_of(const absl::Status& status) {
  absl::string_view text = status.message();
  absl::ConsumePrefix(&text, "--encryption-key-file: ");
  return absl::StrCat(text, ". Members go on with the keys that they have");
}

absl::StatusOr<Keys> keys_in(const kube::Json& secret, const std::string& name,
                             const std::string& key) {
  return crypto::parse_wrapping_keys(secret_value(secret, key),
                                     absl::StrCat("Secret ", name, ", key ", key));
}

void read_given(const Snapshot& snapshot, EncryptionKeys& keys) {
  const std::string name = api::keys_secret(cluster_name(snapshot));
  const kube::Object given = snapshot.find_standing("Secret", name);
  if (!given) return;
  auto read = keys_in(*given, name, std::string(specs::kKeys));
  if (!read.ok()) return;
  keys.given = *std::move(read);
  const auto owner = kube::text_at(*given, {"metadata", "annotations", api::annotation::kOwnerUid});
  keys.given_exists = owner == snapshot.cluster.metadata.uid;
}

/// What the member was last known to use: by its page, else as status has it.
reconcile::KeyName key_used_by(const Snapshot& snapshot, reconcile::Ordinal ordinal,
                               const std::map<int, member::Probe>& probes) {
  const auto probe = probes.find(ordinal);
  if (probe != probes.end() && probe->second.page.ok()) return probe->second.page->wrapping_key;
  const auto& known = snapshot.cluster.status.encryption;
  if (!known) return "";
  const std::string name = api::member_name(cluster_name(snapshot), ordinal);
  const auto& behind = known->members_behind;
  const auto& members = snapshot.cluster.status.members;
  const bool was_there = std::any_of(members.begin(), members.end(),
                                     [&](const auto& member) { return member.name == name; });
  if (!was_there || std::find(behind.begin(), behind.end(), name) != behind.end()) return "";
  return known->key_id;
}

std::vector<reconcile::KeyName> names_of(const Keys& keys) {
  std::vector<reconcile::KeyName> names;
  for (const crypto::Key256& key : keys) names.push_back(name_of(key));
  return names;
}

}  // namespace

reconcile::KeyName name_of(const crypto::Key256& key) {
  return crypto::short_hex(key.id());
}

KeysStanding keys_standing(const Snapshot& snapshot) {
  EncryptionKeys keys;
  read_given(snapshot, keys);
  if (has_begun(snapshot)) return keys.given_exists ? KeysStanding::kThere : KeysStanding::kMissing;
  const bool asked = snapshot.cluster.spec.encryption_at_rest.has_value();
  return asked && keys.given_exists ? KeysStanding::kThere : KeysStanding::kNone;
}

std::string key_secret_to_look_up(const Snapshot& snapshot) {
  if (!snapshot.cluster.spec.encryption_at_rest && !has_begun(snapshot)) return "";
  return wanted_secret(snapshot.cluster);
}

EncryptionKeys read_encryption_keys(const Snapshot& snapshot,
                                    const std::map<std::string, kube::Object>& users) {
  EncryptionKeys keys;
  keys.secret = wanted_secret(snapshot.cluster);
  if (key_secret_to_look_up(snapshot).empty()) return keys;
  read_given(snapshot, keys);
  // What carries our label is watched, and newer than what was asked for a while ago.
  kube::Object wanted = snapshot.find_standing("Secret", keys.secret);
  if (const auto found = users.find(keys.secret); !wanted && found != users.end()) {
    wanted = found->second;
  }
  if (!wanted) return keys;
  keys.secret_exists = true;
  auto read = keys_in(*wanted, keys.secret, key_in_secret(snapshot.cluster));
  if (read.ok()) {
    keys.wanted = *std::move(read);
  } else {
    keys.secret_problem = problem_of(read.status());
  }
  return keys;
}

bool is_sealed(const kube::Json& pod) {
  const kube::Json* containers = kube::find_at(pod, {"spec", "containers"});
  if (containers == nullptr || !containers->is_array() || containers->empty()) return false;
  const kube::Json* arguments = kube::find_at(containers->front(), {"args"});
  if (arguments == nullptr || !arguments->is_array()) return false;
  return std::any_of(arguments->begin(), arguments->end(), [](const kube::Json& argument) {
    return argument.is_string() &&
           absl::StartsWith(argument.get_ref<const std::string&>(), "--encryption-key-file=");
  });
}

reconcile::EncryptionObserved assemble_encryption(const Snapshot& snapshot,
                                                  const reconcile::Wishes& wishes,
                                                  const reconcile::Memory& memory,
                                                  const EncryptionKeys& keys,
                                                  const std::map<int, member::Probe>& probes) {
  const auto& declared = snapshot.cluster.spec.encryption_at_rest;
  reconcile::EncryptionObserved seen;
  seen.wanted = declared.has_value();
  seen.deleting = wishes.deleting;
  seen.paused = wishes.paused;
  seen.begun = has_begun(snapshot);
  seen.secret = keys.secret;
  seen.secret_is_named = declared && !declared->secret_ref.name.empty();
  seen.secret_exists = keys.secret_exists;
  seen.secret_problem = keys.secret_problem;
  seen.wanted_keys = names_of(keys.wanted);
  seen.given_secret = api::keys_secret(cluster_name(snapshot));
  seen.given_exists = keys.given_exists;
  seen.given_keys = names_of(keys.given);
  if (seen.begun) seen.known_keys = snapshot.cluster.status.encryption->key_ids;
  std::set<reconcile::Ordinal> ordinals = memory.members;
  ordinals.insert(memory.aside.begin(), memory.aside.end());
  for (const reconcile::Ordinal ordinal : ordinals) {
    seen.members.push_back({ordinal, key_used_by(snapshot, ordinal, probes)});
  }
  seen.keeps_old_data = memory.restoring.has_value();
  return seen;
}

}  // namespace holdfast::observe
