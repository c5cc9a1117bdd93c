#include "operator/actions/encryption.h"

#include <algorithm>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "operator/api/names.h"
#include "operator/observe/encryption.h"
#include "operator/observe/kinds.h"
#include "operator/specs/claim.h"
#include "operator/specs/flags.h"
#include "operator/specs/object.h"

namespace holdfast::actions {

namespace {

using kube::Json;
using kube::Object;
namespace kinds = observe::kinds;

constexpr std::string_view kGeneratedHead =
    "# Made by holdfast-operator. Without this key nothing on the members' volumes can be read: "
    "keep "
    "a copy elsewhere.\n# To change it, put another line in its place, as `openssl rand -hex 32` "
    "prints it; members change over while they run.\n";
constexpr std::string_view kGivenHead =
    "# What members are given, by holdfast-operator: nothing is to be changed here.\n";

std::string hex(const crypto::Key256& key) {
  const BytesView bytes = key.bytes();
  return absl::BytesToHexString(absl::string_view(bytes.data(), bytes.size()));
}

std::string text_of(std::string_view head, const std::vector<crypto::Key256>& keys) {
  std::string text(head);
  for (const crypto::Key256& key : keys) absl::StrAppend(&text, hex(key), "\n");
  return text;
}

class EncryptionWriter {
 public:
  EncryptionWriter(Writer& write, const Pass& pass) : write_(write), pass_(pass) {}

  absl::Status operator()(const reconcile::GenerateKeys& /*step*/) const {
    return create(pass_.keys.secret, text_of(kGeneratedHead, {crypto::Key256::random()}));
  }

  absl::Status operator()(const reconcile::BringBackKeys& /*step*/) const {
    return create(pass_.keys.secret, text_of(kGeneratedHead, pass_.keys.given));
  }

  absl::Status operator()(const reconcile::GiveKeys& step) const {
    std::vector<crypto::Key256> keys;
    for (const reconcile::KeyName& name : step.keys) {
      for (const auto* from : {&pass_.keys.wanted, &pass_.keys.given}) {
        const auto found = std::find_if(from->begin(), from->end(), [&](const auto& key) {
          return observe::name_of(key) == name;
        });
        if (found == from->end()) continue;
        keys.push_back(*found);
        break;
      }
    }
    const std::string name = api::keys_secret(cluster().metadata.name);
    const Object before = pass_.snapshot.find_standing("Secret", name);
    const std::string text = text_of(kGivenHead, keys);
    if (!before) return create(name, text);
    const Json patch = {
        {"metadata",
         {{"uid", kube::uid_of(*before)},
          {"resourceVersion", kube::resource_version_of(*before)},
          {"annotations", {{std::string(api::annotation::kOwnerUid), cluster().metadata.uid}}}}},
        {"data", {{std::string(specs::kKeys), absl::Base64Escape(text)}}}};
    return look_again_after(write_.patch(kinds::kSecrets, {cluster().metadata.ns, name}, patch));
  }

 private:
  const api::HoldfastCluster& cluster() const { return pass_.cluster(); }

  std::string key_in(const std::string& secret) const {
    const auto& declared = cluster().spec.encryption_at_rest;
    const bool own = secret == api::keys_secret(cluster().metadata.name);
    return declared && !own ? declared->secret_key : std::string(specs::kKeys);
  }

  absl::Status create(const std::string& name, const std::string& text) const {
    Json secret = specs::owned_object(cluster(), {"v1", "Secret", name});
    Json& metadata = secret["metadata"];
    // Volumes that are kept are worth nothing without it.
    if (cluster().spec.storage.retention == api::VolumeRetention::kRetain) {
      metadata.erase("ownerReferences");
    }
    metadata["annotations"][std::string(api::annotation::kOwnerUid)] = cluster().metadata.uid;
    secret["type"] = "Opaque";
    secret["data"] = {{key_in(name), absl::Base64Escape(text)}};
    return write_.create(kinds::kSecrets, secret);
  }

  Writer& write_;
  const Pass& pass_;
};

std::vector<std::string> missing_in(const std::vector<std::string>& all,
                                    const std::vector<std::string>& in) {
  std::vector<std::string> missing;
  for (const std::string& each : all) {
    if (std::find(in.begin(), in.end(), each) == in.end()) missing.push_back(each);
  }
  return missing;
}

News news_of_given(const Pass& pass, const reconcile::GiveKeys& step) {
  const std::vector<std::string>& before = pass.encryption.given_keys;
  const auto dropped = missing_in(before, step.keys);
  if (!dropped.empty()) {
    return {"EncryptionKeyRetired",
            absl::StrCat("every member uses key ", step.keys.front(), ": no volume in use needs ",
                         absl::StrJoin(dropped, ", "), " any more")};
  }
  if (before.empty()) {
    return {"EncryptionKeysGiven",
            absl::StrCat("members are to write with key ", step.keys.front(), " of Secret ",
                         pass.keys.secret, ", each from its next start on")};
  }
  if (before.front() != step.keys.front()) {
    return {"EncryptionKeyChanges",
            absl::StrCat("members change over to key ", step.keys.front(), " of Secret ",
                         pass.keys.secret, "; ", before.front(), " is kept until all have")};
  }
  return {"EncryptionKeysGiven",
          absl::StrCat("members are given keys ", absl::StrJoin(step.keys, ", "))};
}

}  // namespace

absl::Status carry_out(Writer& write, const Pass& pass, const reconcile::EncryptionStep& step) {
  if (absl::Status status = write.may_write(); !status.ok()) return status;
  return std::visit(EncryptionWriter(write, pass), step);
}

News news_of(const Pass& pass, const reconcile::EncryptionStep& step) {
  const std::string& secret = pass.keys.secret;
  if (std::holds_alternative<reconcile::GenerateKeys>(step)) {
    return {"EncryptionKeyGenerated",
            absl::StrCat("the key of the members' volumes is generated, in Secret ", secret,
                         ": keep a copy elsewhere, nothing can be read without it")};
  }
  if (std::holds_alternative<reconcile::BringBackKeys>(step)) {
    return {"EncryptionKeyBroughtBack",
            absl::StrCat("Secret ", secret, " is made again with the keys that members have")};
  }
  return news_of_given(pass, std::get<reconcile::GiveKeys>(step));
}

absl::Status hold_key_secrets(Writer& write, const Pass& pass) {
  const api::ObjectMeta& metadata = pass.cluster().metadata;
  absl::Status first;
  for (const std::string& name :
       {api::encryption_secret(metadata.name), api::keys_secret(metadata.name)}) {
    const Object live = pass.snapshot.find_standing("Secret", name);
    if (!live || kube::text_at(*live, {"metadata", "annotations", api::annotation::kOwnerUid}) !=
                     metadata.uid) {
      continue;
    }
    const auto patch = specs::retention_patch(pass.cluster(), *live);
    if (patch)
      first.Update(look_again_after(write.patch(kinds::kSecrets, {metadata.ns, name}, *patch)));
  }
  return first;
}

void write_encryption_status(const Pass& pass, api::ClusterStatus& status) {
  if (pass.resolved.member.keys_secret.empty()) return;
  api::EncryptionStatus& next =
      status.encryption ? *status.encryption : status.encryption.emplace();
  if (!pass.encryption_plan.remember.empty()) next.key_ids = pass.encryption_plan.remember;
  if (!pass.encryption_plan.key.empty()) next.key_id = pass.encryption_plan.key;
  next.members_behind.clear();
  for (const reconcile::Ordinal ordinal : pass.encryption_plan.behind) {
    next.members_behind.push_back(api::member_name(pass.cluster().metadata.name, ordinal));
  }
}

std::string keys_mark(const Pass& pass) {
  if (pass.resolved.member.keys_secret.empty()) return "";
  return absl::StrJoin(pass.encryption.given_keys, " ");
}

}  // namespace holdfast::actions
