#pragma once

#include <cstdint>

#include "datastore/auth/auth_state.h"
#include "datastore/base/bytes.h"

namespace holdfast::rpc {

/// Who makes a call, while authentication is enabled: found out by token or certificate.
struct Caller {
  Bytes user;
  /// What a token vouches for, else the newest; 0: nobody.
  std::uint64_t auth_revision = 0;

  bool is_known() const { return auth_revision != 0; }
  /// Borrows from this.
  auth::Identity identity() const { return {user, auth_revision}; }
};

/// Who may call a method at all. What a call may do with keys is asked besides.
enum class Access : std::uint8_t { kAnybody, kUsers, kAdministrators };

}  // namespace holdfast::rpc
