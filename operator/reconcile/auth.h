#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "operator/reconcile/observed.h"
#include "operator/reconcile/plan.h"

/// The planner of authentication: what stands of root's password and what the members take in, at
/// most one step out. Pure, and level-based.
///
/// Root's password is in up to three places besides the members, which keep a hash of it:
///
///   wanted    the Secret that the user names, or that was generated
///   current   in the operator's own Secret: what the members took last
///   next      there too: what they are about to be asked to take, written before they are asked
///
/// so that whatever the members take is known at each moment, and a pass may die between any two
/// steps: current and next are tried, then wanted, and what is taken becomes current.
///
///   off ─▶ next := wanted ─▶ root made with next, auth enabled ─▶ current := next
///   on  ─▶ next := wanted ─▶ root's password changed to next   ─▶ current := next
///   no longer wanted ─▶ auth disabled ─▶ what the operator kept is deleted
///
/// A password is never seen here: each is a number, equal where the passwords are.
namespace holdfast::reconcile {

/// Reason of waiting: the members take none of the passwords that are known. Only a person can say
/// what it was changed to.
inline constexpr const char* kCredentialsRefused = "CredentialsRefused";

/// Reason of waiting: it passes by itself.
inline constexpr const char* kWaitingForMembers = "WaitingForMembers";

/// Stands for a password; equal numbers, equal passwords.
using PasswordNumber = int;
using SomePassword = std::optional<PasswordNumber>;

struct AuthObserved {
  enum class State : std::uint8_t { kUnknown, kOff, kOn };

  bool wanted = false;
  bool deleting = false;
  bool paused = false;
  /// A quorum answers, so that something can be asked of it.
  bool answers = false;
  /// Members of a running etcd that was joined are left: its clients are not ours to lock out.
  bool has_strangers = false;
  /// The Secret with root's password: as the user named it, else as it is generated.
  std::string secret;
  bool secret_is_named = false;
  bool secret_exists = false;
  /// Why it can't be used; empty: it can.
  std::string secret_problem;
  /// What `secret`, and the operator's own, hold.
  SomePassword wanted_password;
  SomePassword current;
  SomePassword next;
  /// What the members say.
  State state = State::kUnknown;
  /// What they take of root; none: nothing that is known.
  SomePassword taken;
  /// They take another user who may administer: of a cluster that was joined.
  bool other_taken = false;
  /// They have said that they take nothing.
  bool refused = false;

  friend bool operator==(const AuthObserved&, const AuthObserved&) = default;
};

/// Makes the Secret that the user has not named, with a password that nobody knows.
struct GenerateRootSecret {
  friend bool operator==(const GenerateRootSecret&, const GenerateRootSecret&) = default;
};
/// Notes what members are about to be asked to take.
struct NoteNextPassword {
  friend bool operator==(const NoteNextPassword&, const NoteNextPassword&) = default;
};
/// Makes root with the next password, and enables authentication.
struct EnableAuth {
  friend bool operator==(const EnableAuth&, const EnableAuth&) = default;
};
/// Changes root's password to the next.
struct ChangeRootPassword {
  friend bool operator==(const ChangeRootPassword&, const ChangeRootPassword&) = default;
};
/// Notes what members take as current; next is no more.
struct NoteTakenPassword {
  friend bool operator==(const NoteTakenPassword&, const NoteTakenPassword&) = default;
};
struct DisableAuth {
  friend bool operator==(const DisableAuth&, const DisableAuth&) = default;
};
/// Deletes what the operator kept.
struct ForgetPasswords {
  friend bool operator==(const ForgetPasswords&, const ForgetPasswords&) = default;
};

using AuthStep = std::variant<GenerateRootSecret, NoteNextPassword, EnableAuth, ChangeRootPassword,
                              NoteTakenPassword, DisableAuth, ForgetPasswords>;

struct AuthPlan {
  std::optional<AuthStep> step;
  /// What is waited for; none: all is as declared, or `step` makes it so.
  std::optional<Waiting> waiting;
};

/// One word, for logs and tests.
std::string to_string(const AuthStep& step);

AuthPlan plan_auth(const AuthObserved& seen);

}  // namespace holdfast::reconcile
