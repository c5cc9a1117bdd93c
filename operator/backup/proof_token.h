#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

/// How a copy is read whose users came with the snapshot: authentication is on in it, and root's
/// password is that of the day it was taken, which may be known to nobody any more. The scratch
/// member is told to believe tokens that a key of the Pod's own has signed, and root's is signed
/// with it. The key is made in the Pod, serves loopback alone, and ends with it.
namespace holdfast::backup {

/// Within a fetch's folder.
inline constexpr std::string_view kTokenKeyFile = "token.key";

/// What the member's --auth-token is: "jwt,sign-method=HS256,…".
std::string token_setting(std::string_view folder);

/// Errors: Unavailable if it can't be written.
absl::Status make_token_key(const std::string& folder);

/// A token of root's, good for longer than any proof lasts, whatever the auth revision. Empty if
/// there is no key: then nothing but a copy without authentication can be read.
absl::StatusOr<std::string> sign_root_token(const std::string& folder);

}  // namespace holdfast::backup
