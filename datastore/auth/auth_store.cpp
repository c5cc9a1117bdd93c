#include "datastore/auth/auth_store.h"

#include <algorithm>
#include <utility>

#include "datastore/base/errors.h"

namespace holdfast::auth {
namespace {

constexpr BytesView kOpenEnd("\0", 1);
constexpr BytesView kEnabledValue("\1", 1);
constexpr BytesView kDisabledValue("\0", 1);

Bytes revision_value(std::uint64_t revision) {
  Bytes value(8, '\0');
  store_be64(value.data(), revision);
  return value;
}

int base64_digit(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  return c == '/' ? 63 : -1;
}

/// As Go's standard encoding reads it, since members must agree on what is a hash: padded, line
/// breaks passed over, bits beyond the last byte ignored.
std::optional<Bytes> decode_base64(BytesView text) {
  Bytes digits;
  for (const char c : text) {
    if (c != '\r' && c != '\n') digits.push_back(c);
  }
  if (digits.size() % 4 != 0) return std::nullopt;
  std::size_t padding = 0;
  while (padding < 2 && padding < digits.size() && digits[digits.size() - 1 - padding] == '=') {
    ++padding;
  }
  Bytes out;
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    const int digit = i + padding < digits.size() ? base64_digit(digits[i]) : 0;
    if (digit < 0) return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(digit);
    if (i % 4 != 3) continue;
    out.push_back(static_cast<char>(bits >> 16));
    out.push_back(static_cast<char>(bits >> 8));
    out.push_back(static_cast<char>(bits));
  }
  out.resize(out.size() - padding);
  return out;
}

absl::StatusOr<Bytes> stored_password(const Password& password) {
  if (!password.clear.empty() && password.hashed.empty()) {
    return absl::UnimplementedError(
        "auth: the log holds a password in clear, as an etcd before 3.5 wrote it, which members"
        " cannot hash alike; bring this member up from a snapshot that is newer than the entry");
  }
  std::optional<Bytes> hash = decode_base64(password.hashed);
  if (!hash) return errors::no_password_user();
  return *std::move(hash);
}

bool is_valid_range(BytesView key, BytesView range_end) {
  if (key.empty()) return false;
  return range_end.empty() || range_end == kOpenEnd || key < range_end;
}

/// The user with what its roles allow, merged.
std::shared_ptr<const AuthState::UserEntry> make_entry(User user, const AuthState::Roles& roles) {
  auto entry = std::make_shared<AuthState::UserEntry>();
  IntervalSet::Builder readable;
  IntervalSet::Builder writable;
  for (const Bytes& name : user.roles) {
    if (name == kRoot) entry->is_root = true;
    const auto role = roles.find(name);
    if (role == roles.end()) continue;
    for (const Permission& each : role->second->permissions) {
      const auto type = static_cast<PermissionType>(each.type);
      const bool both = type == PermissionType::kReadWrite;
      if (both || type == PermissionType::kRead) readable.add(each.key, each.range_end);
      if (both || type == PermissionType::kWrite) writable.add(each.key, each.range_end);
    }
  }
  entry->readable = readable.build();
  entry->writable = writable.build();
  entry->user = std::move(user);
  return entry;
}

}  // namespace

/// A copy of the newest state in the making, and what it takes to persist the difference.
class AuthStore::Change {
 public:
  explicit Change(AuthStore& store)
      : store_(store), next_(std::make_shared<AuthState>(*store.state_)) {}

  void put(User user) {
    writes_.push_back({Write::Place::kUsers, user.name, encode_user(user)});
    Bytes name = user.name;
    next_->users_[std::move(name)] = make_entry(std::move(user), next_->roles_);
  }
  void erase_user(BytesView name) {
    writes_.push_back({Write::Place::kUsers, Bytes(name), std::nullopt});
    next_->users_.erase(next_->users_.find(name));
  }
  void put(Role role) {
    writes_.push_back({Write::Place::kRoles, role.name, encode_role(role)});
    const Bytes name = role.name;
    next_->roles_[name] = std::make_shared<const Role>(std::move(role));
    for (auto& [user, entry] : next_->users_) {
      if (entry->user.has_role(name)) entry = make_entry(entry->user, next_->roles_);
    }
  }
  void erase_role(BytesView name) {
    writes_.push_back({Write::Place::kRoles, Bytes(name), std::nullopt});
    next_->roles_.erase(next_->roles_.find(name));
  }
  void set_enabled(bool enabled) {
    next_->enabled_ = enabled;
    writes_.push_back(
        {Write::Place::kAuth, Bytes(kEnabledKey), Bytes(enabled ? kEnabledValue : kDisabledValue)});
  }

  /// Makes it the newest state.
  Writes commit() {
    ++next_->revision_;
    writes_.push_back({Write::Place::kAuth, Bytes(kRevisionKey), revision_value(next_->revision_)});
    return commit_same_revision();
  }
  Writes commit_same_revision() {
    store_.state_ = std::move(next_);
    return std::move(writes_);
  }

 private:
  AuthStore& store_;
  std::shared_ptr<AuthState> next_;
  Writes writes_;
};

// --- loading ------------------------------------------------------------------------------------

void AuthStore::Loader::set_enabled(BytesView value) {
  enabled_ = value == kEnabledValue;
}

bool AuthStore::Loader::set_revision(BytesView value) {
  if (value.size() != 8) return false;
  revision_ = load_be64(value.data());
  return true;
}

void AuthStore::Loader::add(User user) {
  users_.push_back(std::move(user));
}

void AuthStore::Loader::add(Role role) {
  Bytes name = role.name;
  roles_[std::move(name)] = std::make_shared<const Role>(std::move(role));
}

Writes AuthStore::load(Loader loader) {
  auto loaded = std::make_shared<AuthState>();
  loaded->enabled_ = loader.enabled_;
  loaded->revision_ = loader.revision_;
  loaded->roles_ = std::move(loader.roles_);
  for (User& user : loader.users_) {
    Bytes name = user.name;
    loaded->users_[std::move(name)] = make_entry(std::move(user), loaded->roles_);
  }
  state_ = std::move(loaded);
  if (state_->revision() != 0) return {};
  return Change(*this).commit();
}

// --- auth itself --------------------------------------------------------------------------------

absl::StatusOr<Writes> AuthStore::enable() {
  if (state_->enabled()) return Writes();
  const AuthState::UserEntry* root = state_->find_user(kRoot);
  if (root == nullptr) return errors::root_user_not_exist();
  if (!root->is_root) return errors::root_role_not_exist();
  Change change(*this);
  change.set_enabled(true);
  return change.commit_same_revision();
}

Writes AuthStore::disable() {
  if (!state_->enabled()) return {};
  Change change(*this);
  change.set_enabled(false);
  return change.commit();
}

// --- users --------------------------------------------------------------------------------------

absl::StatusOr<Writes> AuthStore::add_user(const NewUser& request) {
  if (request.name.empty()) return errors::user_empty();
  if (state_->find_user(request.name) != nullptr) return errors::user_already_exist();
  User user{.name = Bytes(request.name), .no_password = request.no_password.value_or(false)};
  if (!*user.no_password) {
    auto hash = stored_password(request.password);
    if (!hash.ok()) return hash.status();
    user.password_hash = *std::move(hash);
  }
  Change change(*this);
  change.put(std::move(user));
  return change.commit();
}

absl::StatusOr<Writes> AuthStore::delete_user(BytesView name) {
  if (state_->enabled() && name == kRoot) return errors::invalid_auth_management();
  if (state_->find_user(name) == nullptr) return errors::user_not_found();
  Change change(*this);
  change.erase_user(name);
  return change.commit();
}

absl::StatusOr<Writes> AuthStore::change_password(BytesView name, const Password& password) {
  const AuthState::UserEntry* found = state_->find_user(name);
  if (found == nullptr) return errors::user_not_found();
  User user = found->user;
  user.password_hash.clear();
  if (!user.no_password.value_or(false)) {
    auto hash = stored_password(password);
    if (!hash.ok()) return hash.status();
    user.password_hash = *std::move(hash);
  }
  Change change(*this);
  change.put(std::move(user));
  return change.commit();
}

absl::StatusOr<Writes> AuthStore::grant_role(BytesView name, BytesView role) {
  const AuthState::UserEntry* found = state_->find_user(name);
  if (found == nullptr) return errors::user_not_found();
  if (role != kRoot && state_->find_role(role) == nullptr) return errors::role_not_found();
  if (found->user.has_role(role)) return Writes();
  User user = found->user;
  user.roles.emplace_back(role);
  std::sort(user.roles.begin(), user.roles.end());
  Change change(*this);
  change.put(std::move(user));
  return change.commit();
}

absl::StatusOr<Writes> AuthStore::revoke_role(BytesView name, BytesView role) {
  if (state_->enabled() && name == kRoot && role == kRoot) {
    return errors::invalid_auth_management();
  }
  const AuthState::UserEntry* found = state_->find_user(name);
  if (found == nullptr) return errors::user_not_found();
  User user = found->user;
  if (std::erase(user.roles, role) == 0) return errors::role_not_granted();
  Change change(*this);
  change.put(std::move(user));
  return change.commit();
}

// --- roles --------------------------------------------------------------------------------------

absl::StatusOr<Writes> AuthStore::add_role(BytesView name) {
  if (name.empty()) return errors::role_empty();
  if (state_->find_role(name) != nullptr) return errors::role_already_exist();
  Change change(*this);
  change.put(Role{.name = Bytes(name), .permissions = {}});
  return change.commit();
}

absl::StatusOr<Writes> AuthStore::delete_role(BytesView name) {
  if (state_->enabled() && name == kRoot) return errors::invalid_auth_management();
  if (state_->find_role(name) == nullptr) return errors::role_not_found();
  Change change(*this);
  change.erase_role(name);
  for (const auto& [user_name, entry] : state_->users()) {
    if (!entry->user.has_role(name)) continue;
    User user = entry->user;
    std::erase(user.roles, name);
    change.put(std::move(user));
  }
  return change.commit();
}

absl::StatusOr<Writes> AuthStore::grant_permission(BytesView name,
                                                   const std::optional<Permission>& permission) {
  if (!permission) return errors::permission_not_given();
  if (!is_valid_range(permission->key, permission->range_end)) {
    return errors::invalid_auth_management();
  }
  const Role* found = state_->find_role(name);
  if (found == nullptr) return errors::role_not_found();
  Role role = *found;
  auto& all = role.permissions;
  const auto by_key = [](const Permission& each, const Permission& other) {
    return each.key < other.key;
  };
  // Only the first of those with the same key is looked at, as in etcd: a second range from there
  // is granted twice rather than changed.
  const auto place = std::lower_bound(all.begin(), all.end(), *permission, by_key);
  const bool is_known = place != all.end() && place->key == permission->key &&
                        place->range_end == permission->range_end;
  if (is_known) {
    place->type = permission->type;
  } else {
    all.insert(std::upper_bound(all.begin(), all.end(), *permission, by_key), *permission);
  }
  Change change(*this);
  change.put(std::move(role));
  return change.commit();
}

absl::StatusOr<Writes> AuthStore::revoke_permission(BytesView name, BytesView key,
                                                    BytesView range_end) {
  const Role* found = state_->find_role(name);
  if (found == nullptr) return errors::role_not_found();
  Role role = *found;
  const std::size_t revoked = std::erase_if(role.permissions, [&](const Permission& each) {
    return each.key == key && each.range_end == range_end;
  });
  if (revoked == 0) return errors::permission_not_granted();
  Change change(*this);
  change.put(std::move(role));
  return change.commit();
}

}  // namespace holdfast::auth
