#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "datastore/base/bytes.h"

/// What the buckets `authUsers` and `authRoles` hold (etcd-facts 3.8). Their bytes equal etcd's:
/// databases go to and fro between the two, and Hash covers them.
namespace holdfast::auth {

/// The numbers are authpb.Permission.Type's.
enum class PermissionType : std::int32_t { kRead = 0, kWrite = 1, kReadWrite = 2 };

struct Permission {
  /// As received: a number of no known type permits nothing, and is kept.
  std::int32_t type = 0;
  Bytes key;
  /// Empty: `key` alone. One zero byte: `key` and everything after it.
  Bytes range_end;

  friend bool operator==(const Permission&, const Permission&) = default;
};

struct User {
  Bytes name;
  /// A bcrypt hash; empty for a user who logs in by certificate only.
  Bytes password_hash;
  std::vector<Bytes> roles;  // ascending
  /// Whether the user has no password; nothing for users that an old etcd added.
  std::optional<bool> no_password;

  bool has_role(BytesView role) const;
  friend bool operator==(const User&, const User&) = default;
};

struct Role {
  Bytes name;
  std::vector<Permission> permissions;  // by key

  friend bool operator==(const Role&, const Role&) = default;
};

/// The buckets' values: protobuf, ascending fields, zeros omitted.
Bytes encode_user(const User& user);
Bytes encode_role(const Role& role);

/// Their inverses; unknown fields are skipped. Errors: DataLoss for what is not protobuf.
absl::StatusOr<User> decode_user(BytesView value);
absl::StatusOr<Role> decode_role(BytesView value);

}  // namespace holdfast::auth
