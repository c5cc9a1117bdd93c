#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datastore/auth/auth_state.h"
#include "datastore/auth/records.h"
#include "datastore/base/bytes.h"

namespace holdfast::auth {

/// Keys of the bucket `auth`.
inline constexpr BytesView kEnabledKey = "authEnabled";
inline constexpr BytesView kRevisionKey = "authRevision";

/// What a command changed in the buckets; without a value the key goes.
struct Write {
  enum class Place : std::uint8_t { kAuth, kUsers, kRoles };
  Place place;
  Bytes key;
  std::optional<Bytes> value;
};
using Writes = std::vector<Write>;

/// How a new password comes through the log.
struct Password {
  /// In clear: only entries of an etcd before 3.5 carry one. Members would each salt it anew.
  BytesView clear;
  /// A bcrypt hash in base64.
  BytesView hashed;
};

struct NewUser {
  BytesView name;
  Password password;
  /// Nothing: the request had no options, which counts as false.
  std::optional<bool> no_password;
};

/// The commands about users, roles and auth itself, applied to the newest AuthState.
///
/// Owns that state. Never touches the backend: what is to be persisted is returned. Never hashes a
/// password, makes a token or asks who sent the command: that was checked before (AuthState).
/// Errors are etcd's and change nothing. Each change counts the revision up by one, except
/// enable().
///
/// Cost: O(users + roles) pointers copied by change; permissions are merged anew for the users
/// concerned alone. Thread: the one that applies.
class AuthStore {
 public:
  AuthStore() : state_(std::make_shared<AuthState>()) {}

  std::shared_ptr<const AuthState> state() const { return state_; }
  /// The same, until the next command.
  const AuthState& current() const { return *state_; }

  /// Begins anew from what the buckets hold: any number of add_*(), in any order, then loaded().
  class Loader {
   public:
    /// Values of kEnabledKey and kRevisionKey.
    void set_enabled(BytesView value);
    /// False: the value is no revision.
    bool set_revision(BytesView value);
    void add(User user);
    void add(Role role);

   private:
    friend class AuthStore;
    bool enabled_ = false;
    std::uint64_t revision_ = 0;
    std::vector<User> users_;
    AuthState::Roles roles_;
  };
  /// Returns what to persist: a member that starts with no revision counts from 1, without an entry
  /// of the log.
  Writes load(Loader loader);

  /// Enabled already: nothing. Errors: root_user_not_exist, root_role_not_exist.
  absl::StatusOr<Writes> enable();
  /// Disabled already: nothing.
  Writes disable();

  /// Errors: user_empty, user_already_exist, no_password_user for a hash that is not base64;
  /// Unimplemented, fatal, for a password in clear.
  absl::StatusOr<Writes> add_user(const NewUser& request);
  /// Errors: invalid_auth_management for root while enabled, user_not_found.
  absl::StatusOr<Writes> delete_user(BytesView name);
  /// Errors: user_not_found, and add_user()'s about passwords.
  absl::StatusOr<Writes> change_password(BytesView name, const Password& password);
  /// A role that the user has already changes nothing. Errors: user_not_found, role_not_found; the
  /// role root need not exist.
  absl::StatusOr<Writes> grant_role(BytesView user, BytesView role);
  /// Errors: invalid_auth_management for root's role root while enabled, user_not_found,
  /// role_not_granted.
  absl::StatusOr<Writes> revoke_role(BytesView user, BytesView role);

  /// Errors: role_empty, role_already_exist.
  absl::StatusOr<Writes> add_role(BytesView name);
  /// Users lose it too. Errors: invalid_auth_management for root while enabled, role_not_found.
  absl::StatusOr<Writes> delete_role(BytesView name);
  /// Errors: permission_not_given, invalid_auth_management for an empty key or a range that ends
  /// before it begins, role_not_found.
  absl::StatusOr<Writes> grant_permission(BytesView role,
                                          const std::optional<Permission>& permission);
  /// Errors: role_not_found, permission_not_granted.
  absl::StatusOr<Writes> revoke_permission(BytesView role, BytesView key, BytesView range_end);

 private:
  class Change;

  std::shared_ptr<const AuthState> state_;
};

}  // namespace holdfast::auth
