#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "absl/status/status.h"
#include "datastore/auth/interval_set.h"
#include "datastore/auth/records.h"
#include "datastore/base/bytes.h"

namespace holdfast::auth {

inline constexpr BytesView kRoot = "root";

/// Whoever asks: a user's name and the auth revision at which that was found out. A revision of 0
/// is nobody. Borrowed.
struct Identity {
  BytesView name;
  std::uint64_t revision = 0;
};

/// Users, roles and what they may do at one auth revision. Immutable, for any thread; a change
/// makes a new one, which shares what stayed.
///
/// Every check_*() is OK while auth is disabled. A check of keys fails, in etcd's order, with
/// errors::user_empty for nobody, auth_old_revision for an identity older than this state, and
/// permission_denied; a user with the role root may everything.
class AuthState {
 public:
  struct UserEntry {
    User user;
    bool is_root = false;  // has the role
    IntervalSet readable;
    IntervalSet writable;
  };
  using Users = std::map<Bytes, std::shared_ptr<const UserEntry>, std::less<>>;
  using Roles = std::map<Bytes, std::shared_ptr<const Role>, std::less<>>;

  bool enabled() const { return enabled_; }
  /// Counts changes from 1; 0 before the first start.
  std::uint64_t revision() const { return revision_; }
  const Users& users() const { return users_; }
  const Roles& roles() const { return roles_; }
  /// Null: there is none of that name.
  const UserEntry* find_user(BytesView name) const;
  const Role* find_role(BytesView name) const;

  /// Whether [key, range_end) may be read; its end as IntervalSet::covers() has it.
  absl::Status check_read(const Identity& who, BytesView key, BytesView range_end) const;
  /// Whether it may be put or deleted.
  absl::Status check_write(const Identity& who, BytesView key, BytesView range_end) const;
  /// Whether `who` may administer. Errors: user_empty, user_not_found, permission_denied. The
  /// identity may be of an older revision.
  absl::Status check_admin(const Identity& who) const;

 private:
  friend class AuthStore;
  absl::Status check_keys(const Identity& who, BytesView key, BytesView range_end,
                          const IntervalSet UserEntry::* allowed) const;

  bool enabled_ = false;
  std::uint64_t revision_ = 0;
  Users users_;
  Roles roles_;
};

}  // namespace holdfast::auth
