#pragma once

#include <cstdint>
#include <optional>
#include <variant>

#include "datastore/auth/auth_store.h"
#include "datastore/base/bytes.h"

/// The commands about authentication, as the log says them. Views point into the entry's bytes.
namespace holdfast::statemachine {

struct AuthEnableRequest {};
struct AuthDisableRequest {};
struct AuthStatusRequest {};

/// The proposer has checked the password.
struct AuthenticateRequest {
  BytesView name;
  /// The random part of the token to be; empty where tokens are signed.
  BytesView simple_token;
};

struct UserAddRequest {
  auth::NewUser user;
};
struct UserGetRequest {
  BytesView name;
};
struct UserListRequest {};
struct UserDeleteRequest {
  BytesView name;
};
struct UserChangePasswordRequest {
  BytesView name;
  auth::Password password;
};
struct UserGrantRoleRequest {
  BytesView user;
  BytesView role;
};
struct UserRevokeRoleRequest {
  BytesView user;
  BytesView role;
};

struct RoleAddRequest {
  BytesView name;
};
struct RoleGetRequest {
  BytesView role;
};
struct RoleListRequest {};
struct RoleDeleteRequest {
  BytesView role;
};
struct RoleGrantPermissionRequest {
  BytesView role;
  std::optional<auth::Permission> permission;
};
struct RoleRevokePermissionRequest {
  BytesView role;
  BytesView key;
  BytesView range_end;
};

struct AuthRequest {
  std::variant<AuthEnableRequest, AuthDisableRequest, AuthStatusRequest, AuthenticateRequest,
               UserAddRequest, UserGetRequest, UserListRequest, UserDeleteRequest,
               UserChangePasswordRequest, UserGrantRoleRequest, UserRevokeRoleRequest,
               RoleAddRequest, RoleGetRequest, RoleListRequest, RoleDeleteRequest,
               RoleGrantPermissionRequest, RoleRevokePermissionRequest>
      body;
};

}  // namespace holdfast::statemachine
