#pragma once

#include "absl/status/status.h"
#include "datastore/base/bytes.h"
#include "datastore/codec/internal_request.h"
#include "datastore/statemachine/auth_command.h"

/// The bodies of log entries about authentication.
namespace holdfast::codec {

/// The body in `field`, one of kAuthEnable to kRoleRevokePermission. Views in the result point into
/// `bytes`; `*out` is unspecified after an error. Errors: InvalidArgument for what is not protobuf.
absl::Status decode(CommandField field, BytesView bytes, statemachine::AuthRequest* out);

/// Whether `field` is one of those bodies.
bool is_auth_field(CommandField field);

/// An InternalAuthenticateRequest: never with a password.
Bytes encode_authenticate(const statemachine::AuthenticateRequest& request);

}  // namespace holdfast::codec
