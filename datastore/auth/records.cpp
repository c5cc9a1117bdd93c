#include "datastore/auth/records.h"

#include <algorithm>

#include "absl/status/status.h"

namespace holdfast::auth {
namespace {

enum WireType : std::uint32_t { kVarint = 0, kFixed64 = 1, kLengthDelimited = 2, kFixed32 = 5 };

constexpr std::uint64_t tag(std::uint32_t field, WireType type) {
  return static_cast<std::uint64_t>(field) << 3 | type;
}

void append_varint(Bytes& out, std::uint64_t number) {
  for (; number >= 0x80; number >>= 7) out.push_back(static_cast<char>(number | 0x80));
  out.push_back(static_cast<char>(number));
}

void append_message(Bytes& out, std::uint32_t field, BytesView content) {
  append_varint(out, tag(field, kLengthDelimited));
  append_varint(out, content.size());
  out.append(content);
}

void append_bytes(Bytes& out, std::uint32_t field, BytesView content) {
  if (!content.empty()) append_message(out, field, content);
}

void append_number(Bytes& out, std::uint32_t field, std::uint64_t number) {
  if (number == 0) return;
  append_varint(out, tag(field, kVarint));
  append_varint(out, number);
}

/// Walks the fields of one message; after the first mistake there are no more.
class Fields {
 public:
  explicit Fields(BytesView message) : rest_(message) {}

  bool next() {
    if (rest_.empty() || broken_) return false;
    tag_ = take_varint();
    return !broken_;
  }
  std::uint64_t tag() const { return tag_; }
  bool broken() const { return broken_; }

  std::uint64_t take_varint() {
    std::uint64_t number = 0;
    for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      number |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return number;
    }
    broken_ = true;
    return 0;
  }

  BytesView take(std::uint64_t size) {
    if (size > rest_.size()) {
      broken_ = true;
      return {};
    }
    const BytesView taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }
  BytesView take_bytes() { return take(take_varint()); }

  void skip() {
    switch (tag_ & 7) {
      case kVarint:
        take_varint();
        break;
      case kFixed64:
        take(8);
        break;
      case kFixed32:
        take(4);
        break;
      case kLengthDelimited:
        take_bytes();
        break;
      default:
        broken_ = true;
    }
  }

 private:
  BytesView rest_;
  std::uint64_t tag_ = 0;
  bool broken_ = false;
};

absl::Status damaged(BytesView what) {
  return absl::DataLossError(std::string("auth: a stored ") + std::string(what) +
                             " cannot be read; restore this member from a snapshot");
}

std::optional<bool> decode_options(BytesView content, bool* broken) {
  Fields fields(content);
  bool no_password = false;
  while (fields.next()) {
    if (fields.tag() == tag(1, kVarint)) {
      no_password = fields.take_varint() != 0;
    } else {
      fields.skip();
    }
  }
  *broken = *broken || fields.broken();
  return no_password;
}

Permission decode_permission(BytesView content, bool* broken) {
  Fields fields(content);
  Permission permission;
  while (fields.next()) {
    switch (fields.tag()) {
      case tag(1, kVarint):
        permission.type = static_cast<std::int32_t>(fields.take_varint());
        break;
      case tag(2, kLengthDelimited):
        permission.key = Bytes(fields.take_bytes());
        break;
      case tag(3, kLengthDelimited):
        permission.range_end = Bytes(fields.take_bytes());
        break;
      default:
        fields.skip();
    }
  }
  *broken = *broken || fields.broken();
  return permission;
}

}  // namespace

bool User::has_role(BytesView role) const {
  return std::find(roles.begin(), roles.end(), role) != roles.end();
}

Bytes encode_user(const User& user) {
  Bytes out;
  append_bytes(out, 1, user.name);
  append_bytes(out, 2, user.password_hash);
  for (const Bytes& role : user.roles) append_message(out, 3, role);
  if (user.no_password) {
    Bytes options;
    append_number(options, 1, *user.no_password ? 1 : 0);
    append_message(out, 4, options);
  }
  return out;
}

Bytes encode_role(const Role& role) {
  Bytes out;
  append_bytes(out, 1, role.name);
  for (const Permission& permission : role.permissions) {
    Bytes content;
    append_number(content, 1,
                  static_cast<std::uint64_t>(static_cast<std::int64_t>(permission.type)));
    append_bytes(content, 2, permission.key);
    append_bytes(content, 3, permission.range_end);
    append_message(out, 2, content);
  }
  return out;
}

absl::StatusOr<User> decode_user(BytesView value) {
  Fields fields(value);
  User user;
  bool broken = false;
  while (fields.next()) {
    switch (fields.tag()) {
      case tag(1, kLengthDelimited):
        user.name = Bytes(fields.take_bytes());
        break;
      case tag(2, kLengthDelimited):
        user.password_hash = Bytes(fields.take_bytes());
        break;
      case tag(3, kLengthDelimited):
        user.roles.emplace_back(fields.take_bytes());
        break;
      case tag(4, kLengthDelimited):
        user.no_password = decode_options(fields.take_bytes(), &broken);
        break;
      default:
        fields.skip();
    }
  }
  if (broken || fields.broken()) return damaged("user");
  return user;
}

absl::StatusOr<Role> decode_role(BytesView value) {
  Fields fields(value);
  Role role;
  bool broken = false;
  while (fields.next()) {
    switch (fields.tag()) {
      case tag(1, kLengthDelimited):
        role.name = Bytes(fields.take_bytes());
        break;
      case tag(2, kLengthDelimited):
        role.permissions.push_back(decode_permission(fields.take_bytes(), &broken));
        break;
      default:
        fields.skip();
    }
  }
  if (broken || fields.broken()) return damaged("role");
  return role;
}

}  // namespace holdfast::auth
