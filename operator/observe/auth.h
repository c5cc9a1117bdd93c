#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "operator/member/answers.h"
#include "operator/member/session.h"
#include "operator/observe/snapshot.h"
#include "operator/reconcile/auth.h"

/// Root's password as it stands in Secrets, and what members say of it: Secrets and answers in, the
/// planner's observation out. Pure.
namespace holdfast::observe {

/// Keys of Secrets with credentials, as those of type kubernetes.io/basic-auth have them.
namespace credentials_key {
inline constexpr std::string_view kUser = "username";
inline constexpr std::string_view kPassword = "password";
/// In the operator's own Secret, what members are about to be asked to take.
inline constexpr std::string_view kNextPassword = "next";
}  // namespace credentials_key

/// The one user who may everything.
inline constexpr std::string_view kRootUser = "root";

/// Passwords as they stand. Never logged, and never given to the planner.
struct RootPasswords {
  std::string secret;  ///< where the wanted one is, or will be
  bool secret_exists = false;
  std::string secret_problem;
  std::optional<std::string> wanted;
  std::optional<std::string> current;
  std::optional<std::string> next;
  /// Of bootstrap.join.
  std::optional<member::Credentials> of_joined;

  /// What a session tries, in this order.
  std::vector<member::Credentials> to_offer() const;
};

/// `users`: the Secrets that spec names, by name.
RootPasswords read_root_passwords(const Snapshot& snapshot,
                                  const std::map<std::string, kube::Object>& users);

/// The Secret of spec.auth that no watch of ours shows; empty: none is needed.
std::string secret_to_look_up(const Snapshot& snapshot);

/// The credentials in a Secret; nothing if it has no password. A Secret without a username is
/// root's.
std::optional<member::Credentials> credentials_in(const kube::Json& secret);

reconcile::AuthObserved assemble_auth(const Snapshot& snapshot, const reconcile::Observed& observed,
                                      const RootPasswords& passwords,
                                      const std::map<int, member::Probe>& probes,
                                      const member::Session& session);

}  // namespace holdfast::observe
