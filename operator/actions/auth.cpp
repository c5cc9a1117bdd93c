#include "operator/actions/auth.h"

#include <functional>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "datastore/crypto/aead.h"
#include "operator/actions/member_steps.h"
#include "operator/api/names.h"
#include "operator/member/fleet.h"
#include "operator/observe/auth.h"
#include "operator/observe/kinds.h"
#include "operator/specs/object.h"

namespace holdfast::actions {

namespace {

using kube::Json;
using kube::Object;
namespace kinds = observe::kinds;
namespace key = observe::credentials_key;

/// Of a generated password: as many bits as anything here is sealed with.
constexpr std::size_t kGeneratedBytes = 32;

std::string named(std::string_view text) {
  return std::string(text);
}

class AuthWriter {
 public:
  AuthWriter(Writer& write, const Pass& pass) : write_(write), pass_(pass) {}

  absl::Status operator()(const reconcile::GenerateRootSecret& /*step*/) const {
    const std::string password = absl::WebSafeBase64Escape(crypto::random_bytes(kGeneratedBytes));
    Json secret = specs::owned_object(cluster(), {"v1", "Secret", pass_.passwords.secret});
    secret["type"] = "kubernetes.io/basic-auth";
    secret["data"] = {{named(key::kUser), encoded(named(observe::kRootUser))},
                      {named(key::kPassword), encoded(password)}};
    return write_.create(kinds::kSecrets, secret);
  }

  absl::Status operator()(const reconcile::NoteNextPassword& /*step*/) const {
    return put({{named(key::kNextPassword), encoded(*pass_.passwords.wanted)}});
  }

  absl::Status operator()(const reconcile::EnableAuth& /*step*/) const {
    return ask([this](const member::Client& client) {
      const absl::Status status = client.prepare_root(*pass_.passwords.next);
      return status.ok() ? client.enable_auth() : status;
    });
  }

  absl::Status operator()(const reconcile::ChangeRootPassword& /*step*/) const {
    return ask([this](const member::Client& client) {
      return client.change_root_password(*pass_.passwords.next);
    });
  }

  absl::Status operator()(const reconcile::NoteTakenPassword& /*step*/) const {
    const auto taken = pass_.session->taken();
    if (!taken) return absl::OkStatus();  // it was another's to say meanwhile: looked at again
    return put(
        {{named(key::kPassword), encoded(taken->password)}, {named(key::kNextPassword), nullptr}});
  }

  absl::Status operator()(const reconcile::DisableAuth& /*step*/) const {
    return ask([](const member::Client& client) { return client.disable_auth(); });
  }

  absl::Status operator()(const reconcile::ForgetPasswords& /*step*/) const {
    const std::string name = api::auth_secret(cluster().metadata.name);
    const Object kept = pass_.snapshot.find_standing("Secret", name);
    if (!kept) return absl::OkStatus();
    return write_.remove(kinds::kSecrets, {cluster().metadata.ns, name},
                         named(kube::uid_of(*kept)));
  }

 private:
  const api::HoldfastCluster& cluster() const { return pass_.cluster(); }
  static std::string encoded(const std::string& text) { return absl::Base64Escape(text); }

  absl::Status ask(const std::function<absl::Status(const member::Client&)>& call) const {
    const absl::Status status = member::at_any(voters_to_ask(pass_), call);
    // Whatever came of it, what was known of tokens and passwords may be so no longer.
    pass_.session->forget();
    return status;
  }

  /// Into the operator's own Secret, over what was seen of it; null removes a key.
  absl::Status put(Json data) const {
    const std::string name = api::auth_secret(cluster().metadata.name);
    if (const Object before = pass_.snapshot.find_standing("Secret", name)) {
      const Json patch = {{"metadata",
                           {{"uid", kube::uid_of(*before)},
                            {"resourceVersion", kube::resource_version_of(*before)}}},
                          {"data", std::move(data)}};
      return look_again_after(write_.patch(kinds::kSecrets, {cluster().metadata.ns, name}, patch));
    }
    std::erase_if(data.get_ref<Json::object_t&>(),
                  [](const auto& entry) { return entry.second.is_null(); });
    data[named(key::kUser)] = encoded(named(observe::kRootUser));
    Json secret = specs::owned_object(cluster(), {"v1", "Secret", name});
    secret["type"] = "Opaque";
    secret["data"] = std::move(data);
    return write_.create(kinds::kSecrets, secret);
  }

  Writer& write_;
  const Pass& pass_;
};

}  // namespace

bool is_asked_of_members(const reconcile::AuthStep& step) {
  return std::holds_alternative<reconcile::EnableAuth>(step) ||
         std::holds_alternative<reconcile::ChangeRootPassword>(step) ||
         std::holds_alternative<reconcile::DisableAuth>(step);
}

absl::Status carry_out(Writer& write, const Pass& pass, const reconcile::AuthStep& step) {
  if (absl::Status status = write.may_write(); !status.ok()) return status;
  return std::visit(AuthWriter(write, pass), step);
}

News news_of(const Pass& pass, const reconcile::AuthStep& step) {
  const std::string& secret = pass.passwords.secret;
  if (std::holds_alternative<reconcile::GenerateRootSecret>(step)) {
    return {"RootSecretGenerated",
            absl::StrCat("root's password is generated, in Secret ", secret)};
  }
  if (std::holds_alternative<reconcile::EnableAuth>(step)) {
    return {"AuthEnabled",
            absl::StrCat("authentication is enabled; root's password is in Secret ", secret)};
  }
  if (std::holds_alternative<reconcile::ChangeRootPassword>(step)) {
    return {"RootPasswordChanged",
            absl::StrCat("root's password is that of Secret ", secret, " now")};
  }
  if (std::holds_alternative<reconcile::DisableAuth>(step)) {
    return {"AuthDisabled", "authentication is disabled; users and roles are kept"};
  }
  return {};
}

}  // namespace holdfast::actions
