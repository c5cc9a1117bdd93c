#include "operator/observe/auth.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "operator/api/names.h"
#include "operator/observe/certificates.h"

namespace holdfast::observe {

namespace {

using reconcile::AuthObserved;
using reconcile::SomePassword;
using State = AuthObserved::State;

/// What is beyond does not count for bcrypt, and etcd refuses it.
constexpr std::size_t kMaxPasswordBytes = 72;

std::optional<std::string> value_in(const kube::Json& secret, std::string_view key) {
  std::string value = secret_value(secret, key);
  return value.empty() ? std::nullopt : std::optional(std::move(value));
}

std::string problem_of(const kube::Json& secret, const std::string& name) {
  const std::string user = secret_value(secret, credentials_key::kUser);
  const std::string password = secret_value(secret, credentials_key::kPassword);
  if (!user.empty() && user != kRootUser) {
    return absl::StrCat("the username in Secret ", name, " is not root: spec.auth is about the ",
                        "user root alone; make other users with etcdctl user add");
  }
  if (password.empty()) {
    return absl::StrCat("Secret ", name, " has nothing in its key password: put root's there");
  }
  if (password.size() > kMaxPasswordBytes) {
    return absl::StrCat("the password in Secret ", name, " has more than ", kMaxPasswordBytes,
                        " bytes, which bcrypt can't tell apart: choose a shorter one");
  }
  if (std::any_of(password.begin(), password.end(), absl::ascii_iscntrl)) {
    return absl::StrCat("the password in Secret ", name, " contains a line break or another ",
                        "control character: make the Secret with --from-literal, or with a file ",
                        "that does not end with a line break");
  }
  return "";
}

/// Numbers for passwords, equal where they are.
class Numbers {
 public:
  SomePassword of(const std::optional<std::string>& password) {
    if (!password) return std::nullopt;
    const int next = static_cast<int>(numbers_.size());
    return numbers_.emplace(*password, next).first->second;
  }
  SomePassword known(const std::string& password) const {
    const auto found = numbers_.find(password);
    return found == numbers_.end() ? std::nullopt : SomePassword(found->second);
  }

 private:
  std::map<std::string, int> numbers_;
};

/// A session that was offered nothing has asked nobody; then a read that was refused tells.
State state_of(const std::map<int, member::Probe>& probes, const member::Session& session) {
  const auto enabled = [](const auto& probe) { return probe.second.auth_enabled; };
  const auto reads = [](const auto& probe) { return probe.second.linearizable_read.ok(); };
  if (std::any_of(probes.begin(), probes.end(), enabled)) return State::kOn;
  if (session.auth() == member::Session::Auth::kOn) return State::kUnknown;  // nobody answers now
  return std::any_of(probes.begin(), probes.end(), reads) ? State::kOff : State::kUnknown;
}

void see_taken(const member::Session& session, const Numbers& numbers, AuthObserved& seen) {
  const auto taken = session.taken();
  if (!taken || seen.state != State::kOn) return;
  if (taken->user == kRootUser) seen.taken = numbers.known(taken->password);
  seen.other_taken = !seen.taken;
}

}  // namespace

std::optional<member::Credentials> credentials_in(const kube::Json& secret) {
  const std::string user = secret_value(secret, credentials_key::kUser);
  const std::string password = secret_value(secret, credentials_key::kPassword);
  if (password.empty()) return std::nullopt;
  return member::Credentials{user.empty() ? std::string(kRootUser) : user, password};
}

std::vector<member::Credentials> RootPasswords::to_offer() const {
  std::vector<member::Credentials> all;
  for (const auto& password : {current, next, wanted}) {
    if (password) all.push_back({std::string(kRootUser), *password});
  }
  if (of_joined) all.push_back(*of_joined);
  return all;
}

std::string secret_to_look_up(const Snapshot& snapshot) {
  const api::HoldfastCluster& cluster = snapshot.cluster;
  const std::string& name = cluster.metadata.name;
  const bool kept = snapshot.find_standing("Secret", api::auth_secret(name)) != nullptr;
  if (!cluster.spec.auth.enabled && !kept) return "";
  const std::string& named = cluster.spec.auth.root_secret_ref.name;
  return named.empty() ? api::root_secret(name) : named;
}

RootPasswords read_root_passwords(const Snapshot& snapshot,
                                  const std::map<std::string, kube::Object>& users) {
  const api::HoldfastCluster& cluster = snapshot.cluster;
  const std::string& name = cluster.metadata.name;
  RootPasswords passwords;
  const std::string& named = cluster.spec.auth.root_secret_ref.name;
  passwords.secret = named.empty() ? api::root_secret(name) : named;
  if (const kube::Object kept = snapshot.find_standing("Secret", api::auth_secret(name))) {
    passwords.current = value_in(*kept, credentials_key::kPassword);
    passwords.next = value_in(*kept, credentials_key::kNextPassword);
  }
  const auto object_of = [&](const std::string& secret) -> kube::Object {
    // What carries our label is watched, and newer than what was asked for a while ago.
    if (const kube::Object watched = snapshot.find_standing("Secret", secret)) return watched;
    const auto found = users.find(secret);
    return found == users.end() ? nullptr : found->second;
  };
  if (!secret_to_look_up(snapshot).empty()) {
    if (const kube::Object wanted = object_of(passwords.secret)) {
      passwords.secret_exists = true;
      passwords.secret_problem = problem_of(*wanted, passwords.secret);
      if (passwords.secret_problem.empty()) {
        passwords.wanted = value_in(*wanted, credentials_key::kPassword);
      }
    }
  }
  if (cluster.spec.bootstrap.join) {
    const std::string& joined = cluster.spec.bootstrap.join->credentials_secret_ref.name;
    if (const kube::Object secret = joined.empty() ? nullptr : object_of(joined)) {
      passwords.of_joined = credentials_in(*secret);
    }
  }
  return passwords;
}

AuthObserved assemble_auth(const Snapshot& snapshot, const reconcile::Observed& observed,
                           const RootPasswords& passwords,
                           const std::map<int, member::Probe>& probes,
                           const member::Session& session) {
  const api::HoldfastCluster& cluster = snapshot.cluster;
  AuthObserved seen;
  seen.wanted = cluster.spec.auth.enabled;
  seen.deleting = observed.wishes.deleting;
  seen.paused = observed.wishes.paused;
  seen.answers = observed.list_confirmed;
  seen.has_strangers = !observed.strangers.empty();
  seen.secret = passwords.secret;
  seen.secret_is_named = !cluster.spec.auth.root_secret_ref.name.empty();
  seen.secret_exists = passwords.secret_exists;
  seen.secret_problem = passwords.secret_problem;
  Numbers numbers;
  seen.current = numbers.of(passwords.current);
  seen.next = numbers.of(passwords.next);
  seen.wanted_password = numbers.of(passwords.wanted);
  seen.state = state_of(probes, session);
  see_taken(session, numbers, seen);
  seen.refused = !seen.taken && !seen.other_taken && observed.shut_out;
  return seen;
}

}  // namespace holdfast::observe
