#include "datastore/auth/auth_state.h"

#include "datastore/base/errors.h"

namespace holdfast::auth {

const AuthState::UserEntry* AuthState::find_user(BytesView name) const {
  const auto found = users_.find(name);
  return found == users_.end() ? nullptr : found->second.get();
}

const Role* AuthState::find_role(BytesView name) const {
  const auto found = roles_.find(name);
  return found == roles_.end() ? nullptr : found->second.get();
}

absl::Status AuthState::check_read(const Identity& who, BytesView key, BytesView range_end) const {
  return check_keys(who, key, range_end, &UserEntry::readable);
}

absl::Status AuthState::check_write(const Identity& who, BytesView key, BytesView range_end) const {
  return check_keys(who, key, range_end, &UserEntry::writable);
}

absl::Status AuthState::check_keys(const Identity& who, BytesView key, BytesView range_end,
                                   const IntervalSet UserEntry::* allowed) const {
  if (!enabled_) return absl::OkStatus();
  if (who.revision == 0) return errors::user_empty();
  if (who.revision < revision_) return errors::auth_old_revision();
  const UserEntry* user = find_user(who.name);
  if (user == nullptr) return errors::permission_denied();
  if (user->is_root || (user->*allowed).covers(key, range_end)) return absl::OkStatus();
  return errors::permission_denied();
}

absl::Status AuthState::check_admin(const Identity& who) const {
  if (!enabled_) return absl::OkStatus();
  if (who.name.empty()) return errors::user_empty();
  const UserEntry* user = find_user(who.name);
  if (user == nullptr) return errors::user_not_found();
  return user->is_root ? absl::OkStatus() : errors::permission_denied();
}

}  // namespace holdfast::auth
