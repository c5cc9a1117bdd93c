#include "datastore/codec/auth_requests.h"

#include <array>

#include "datastore/codec/wire.h"

namespace holdfast::codec {
namespace {

namespace sm = statemachine;

/// One text of a message, by its field.
struct Text {
  std::uint32_t field;
  BytesView* out;
};

/// Reads a message of nothing but texts.
template <std::size_t N>
absl::Status decode_texts(BytesView bytes, const char* message, const std::array<Text, N>& texts) {
  WireReader reader(bytes);
  while (reader.next()) {
    const Text* target = nullptr;
    for (const Text& text : texts) {
      if (reader.tag() == bytes_tag(text.field)) target = &text;
    }
    if (target == nullptr) {
      reader.skip();
    } else {
      *target->out = reader.bytes();
    }
  }
  return reader.status(message);
}

/// Reads a message of which nothing counts.
absl::Status decode_empty(BytesView bytes, const char* message) {
  return decode_texts<0>(bytes, message, {});
}

absl::Status decode_options(BytesView bytes, bool* no_password) {
  WireReader reader(bytes);
  while (reader.next()) {
    if (reader.tag() == varint_tag(1)) {
      *no_password = reader.boolean();
    } else {
      reader.skip();
    }
  }
  return reader.status("UserAddOptions");
}

absl::Status decode_user_add(BytesView bytes, auth::NewUser* out) {
  WireReader reader(bytes);
  while (reader.next()) {
    switch (reader.tag()) {
      case bytes_tag(1):
        out->name = reader.bytes();
        break;
      case bytes_tag(2):
        out->password.clear = reader.bytes();
        break;
      case bytes_tag(3): {
        bool no_password = out->no_password.value_or(false);
        absl::Status status = decode_options(reader.bytes(), &no_password);
        if (!status.ok()) return status;
        out->no_password = no_password;
        break;
      }
      case bytes_tag(4):
        out->password.hashed = reader.bytes();
        break;
      default:
        reader.skip();
    }
  }
  return reader.status("AuthUserAddRequest");
}

absl::Status decode_permission(BytesView bytes, auth::Permission* out) {
  WireReader reader(bytes);
  while (reader.next()) {
    switch (reader.tag()) {
      case varint_tag(1):
        out->type = reader.int32();
        break;
      case bytes_tag(2):
        out->key = Bytes(reader.bytes());
        break;
      case bytes_tag(3):
        out->range_end = Bytes(reader.bytes());
        break;
      default:
        reader.skip();
    }
  }
  return reader.status("Permission");
}

absl::Status decode_grant(BytesView bytes, sm::RoleGrantPermissionRequest* out) {
  WireReader reader(bytes);
  while (reader.next()) {
    switch (reader.tag()) {
      case bytes_tag(1):
        out->role = reader.bytes();
        break;
      case bytes_tag(2): {
        if (!out->permission) out->permission.emplace();
        absl::Status status = decode_permission(reader.bytes(), &*out->permission);
        if (!status.ok()) return status;
        break;
      }
      default:
        reader.skip();
    }
  }
  return reader.status("AuthRoleGrantPermissionRequest");
}

absl::Status decode_user(CommandField field, BytesView bytes, sm::AuthRequest* out) {
  switch (field) {
    case CommandField::kUserAdd:
      return decode_user_add(bytes, &out->body.emplace<sm::UserAddRequest>().user);
    case CommandField::kUserDelete:
      return decode_texts<1>(bytes, "AuthUserDeleteRequest",
                             {{{1, &out->body.emplace<sm::UserDeleteRequest>().name}}});
    case CommandField::kUserGet:
      return decode_texts<1>(bytes, "AuthUserGetRequest",
                             {{{1, &out->body.emplace<sm::UserGetRequest>().name}}});
    case CommandField::kUserChangePassword: {
      auto& request = out->body.emplace<sm::UserChangePasswordRequest>();
      return decode_texts<3>(
          bytes, "AuthUserChangePasswordRequest",
          {{{1, &request.name}, {2, &request.password.clear}, {3, &request.password.hashed}}});
    }
    case CommandField::kUserGrantRole: {
      auto& request = out->body.emplace<sm::UserGrantRoleRequest>();
      return decode_texts<2>(bytes, "AuthUserGrantRoleRequest",
                             {{{1, &request.user}, {2, &request.role}}});
    }
    case CommandField::kUserRevokeRole: {
      auto& request = out->body.emplace<sm::UserRevokeRoleRequest>();
      return decode_texts<2>(bytes, "AuthUserRevokeRoleRequest",
                             {{{1, &request.user}, {2, &request.role}}});
    }
    default:
      out->body.emplace<sm::UserListRequest>();
      return decode_empty(bytes, "AuthUserListRequest");
  }
}

absl::Status decode_role(CommandField field, BytesView bytes, sm::AuthRequest* out) {
  switch (field) {
    case CommandField::kRoleAdd:
      return decode_texts<1>(bytes, "AuthRoleAddRequest",
                             {{{1, &out->body.emplace<sm::RoleAddRequest>().name}}});
    case CommandField::kRoleDelete:
      return decode_texts<1>(bytes, "AuthRoleDeleteRequest",
                             {{{1, &out->body.emplace<sm::RoleDeleteRequest>().role}}});
    case CommandField::kRoleGet:
      return decode_texts<1>(bytes, "AuthRoleGetRequest",
                             {{{1, &out->body.emplace<sm::RoleGetRequest>().role}}});
    case CommandField::kRoleGrantPermission:
      return decode_grant(bytes, &out->body.emplace<sm::RoleGrantPermissionRequest>());
    case CommandField::kRoleRevokePermission: {
      auto& request = out->body.emplace<sm::RoleRevokePermissionRequest>();
      return decode_texts<3>(bytes, "AuthRoleRevokePermissionRequest",
                             {{{1, &request.role}, {2, &request.key}, {3, &request.range_end}}});
    }
    default:
      out->body.emplace<sm::RoleListRequest>();
      return decode_empty(bytes, "AuthRoleListRequest");
  }
}

}  // namespace

bool is_auth_field(CommandField field) {
  return field >= CommandField::kAuthEnable && field <= CommandField::kRoleRevokePermission;
}

absl::Status decode(CommandField field, BytesView bytes, sm::AuthRequest* out) {
  switch (field) {
    case CommandField::kAuthEnable:
      out->body.emplace<sm::AuthEnableRequest>();
      return decode_empty(bytes, "AuthEnableRequest");
    case CommandField::kAuthDisable:
      out->body.emplace<sm::AuthDisableRequest>();
      return decode_empty(bytes, "AuthDisableRequest");
    case CommandField::kAuthStatus:
      out->body.emplace<sm::AuthStatusRequest>();
      return decode_empty(bytes, "AuthStatusRequest");
    case CommandField::kAuthenticate: {
      auto& request = out->body.emplace<sm::AuthenticateRequest>();
      return decode_texts<2>(bytes, "InternalAuthenticateRequest",
                             {{{1, &request.name}, {3, &request.simple_token}}});
    }
    case CommandField::kRoleList:
      return decode_role(field, bytes, out);
    default:
      return field < CommandField::kRoleAdd ? decode_user(field, bytes, out)
                                            : decode_role(field, bytes, out);
  }
}

Bytes encode_authenticate(const sm::AuthenticateRequest& request) {
  Bytes out;
  WireWriter writer(&out);
  writer.bytes(1, request.name);
  writer.bytes(3, request.simple_token);
  return out;
}

}  // namespace holdfast::codec
