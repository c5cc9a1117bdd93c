#include "datastore/codec/internal_request.h"

#include "datastore/codec/auth_requests.h"
#include "datastore/codec/requests.h"
#include "datastore/codec/wire.h"

namespace holdfast::codec {
namespace {

using statemachine::Command;

constexpr std::uint32_t kLegacyIdField = 1;
constexpr std::uint32_t kHeaderField = 100;

std::size_t header_size_bytes(std::uint64_t id, const Sender& sender) {
  return varint_field_size_bytes(1, id) +
         (sender.username.empty() ? 0 : message_field_size_bytes(2, sender.username.size())) +
         varint_field_size_bytes(3, sender.auth_revision);
}

absl::Status decode_header(BytesView bytes, Command* out) {
  WireReader reader(bytes);
  while (reader.next()) {
    switch (reader.tag()) {
      case varint_tag(1):
        out->id = reader.varint();
        break;
      case bytes_tag(2):
        out->username = reader.bytes();
        break;
      case varint_tag(3):
        out->auth_revision = reader.varint();
        break;
      default:
        reader.skip();
    }
  }
  return reader.status("RequestHeader");
}

absl::Status decode_body(BytesView bytes, statemachine::ClusterVersionSetRequest* out) {
  WireReader reader(bytes);
  while (reader.next()) {
    switch (reader.tag()) {
      case bytes_tag(1):
        out->version = reader.bytes();
        break;
      default:
        reader.skip();
    }
  }
  return reader.status("ClusterVersionSetRequest");
}

absl::Status decode_attributes(BytesView bytes, statemachine::MemberAttributesSetRequest* out) {
  WireReader reader(bytes);
  while (reader.next()) {
    switch (reader.tag()) {
      case bytes_tag(1):
        out->name = reader.bytes();
        break;
      case bytes_tag(2):
        out->client_urls.push_back(reader.bytes());
        break;
      default:
        reader.skip();
    }
  }
  return reader.status("Attributes");
}

absl::Status decode_body(BytesView bytes, statemachine::MemberAttributesSetRequest* out) {
  WireReader reader(bytes);
  while (reader.next()) {
    absl::Status status;
    switch (reader.tag()) {
      case varint_tag(1):
        out->member = MemberId(reader.varint());
        break;
      case bytes_tag(2):
        status = decode_attributes(reader.bytes(), out);
        break;
      default:
        reader.skip();
    }
    if (!status.ok()) return status;
  }
  return reader.status("ClusterMemberAttrSetRequest");
}

absl::Status decode_body(BytesView bytes, statemachine::DowngradeInfoSetRequest* out) {
  WireReader reader(bytes);
  while (reader.next()) {
    switch (reader.tag()) {
      case varint_tag(1):
        out->enabled = reader.boolean();
        break;
      case bytes_tag(2):
        out->version = reader.bytes();
        break;
      default:
        reader.skip();
    }
  }
  return reader.status("DowngradeInfoSetRequest");
}

/// Reads the body in `field` into `out`, if `field` is one; says so in `*is_body`.
absl::Status decode_field(std::uint32_t field, BytesView bytes, statemachine::CommandBody* out,
                          bool* is_body) {
  *is_body = true;
  switch (static_cast<CommandField>(field)) {
    case CommandField::kRange:
      return decode(bytes, &out->emplace<statemachine::RangeRequest>());
    case CommandField::kPut:
      return decode(bytes, &out->emplace<statemachine::PutRequest>());
    case CommandField::kDeleteRange:
      return decode(bytes, &out->emplace<statemachine::DeleteRangeRequest>());
    case CommandField::kTxn:
      return decode(bytes, &out->emplace<statemachine::TxnRequest>(), kLogTxnLimits);
    case CommandField::kCompaction:
      return decode(bytes, &out->emplace<statemachine::CompactionRequest>());
    case CommandField::kLeaseGrant:
      return decode(bytes, &out->emplace<statemachine::LeaseGrantRequest>());
    case CommandField::kLeaseRevoke:
      return decode(bytes, &out->emplace<statemachine::LeaseRevokeRequest>());
    case CommandField::kLeaseCheckpoint:
      return decode(bytes, &out->emplace<statemachine::LeaseCheckpointRequest>());
    case CommandField::kAlarm:
      return decode(bytes, &out->emplace<statemachine::AlarmRequest>());
    case CommandField::kClusterVersionSet:
      return decode_body(bytes, &out->emplace<statemachine::ClusterVersionSetRequest>());
    case CommandField::kMemberAttributesSet:
      return decode_body(bytes, &out->emplace<statemachine::MemberAttributesSetRequest>());
    case CommandField::kDowngradeInfoSet:
      return decode_body(bytes, &out->emplace<statemachine::DowngradeInfoSetRequest>());
    case CommandField::kDowngradeVersionTest:
      out->emplace<statemachine::UnsupportedRequest>().field = field;
      return absl::OkStatus();
    case CommandField::kAuthEnable:
    case CommandField::kAuthDisable:
    case CommandField::kAuthenticate:
    case CommandField::kAuthStatus:
    case CommandField::kUserAdd:
    case CommandField::kUserDelete:
    case CommandField::kUserGet:
    case CommandField::kUserChangePassword:
    case CommandField::kUserGrantRole:
    case CommandField::kUserRevokeRole:
    case CommandField::kUserList:
    case CommandField::kRoleList:
    case CommandField::kRoleAdd:
    case CommandField::kRoleDelete:
    case CommandField::kRoleGet:
    case CommandField::kRoleGrantPermission:
    case CommandField::kRoleRevokePermission:
      return decode(static_cast<CommandField>(field), bytes,
                    &out->emplace<statemachine::AuthRequest>());
  }
  *is_body = false;
  return absl::OkStatus();
}

}  // namespace

std::size_t internal_size_bytes(std::uint64_t id, CommandField field, std::size_t request_bytes,
                                const Sender& sender) {
  return message_field_size_bytes(static_cast<std::uint32_t>(field), request_bytes) +
         message_field_size_bytes(kHeaderField, header_size_bytes(id, sender));
}

Bytes encode_internal(std::uint64_t id, CommandField field, BytesView request,
                      const Sender& sender) {
  Bytes out;
  out.reserve(internal_size_bytes(id, field, request.size(), sender));
  WireWriter writer(&out);
  writer.bytes_always(static_cast<std::uint32_t>(field), request);
  writer.message_header(kHeaderField, header_size_bytes(id, sender));
  writer.varint(1, id);
  writer.bytes(2, sender.username);
  writer.varint(3, sender.auth_revision);
  return out;
}

absl::Status decode_internal(BytesView bytes, Command* out) {
  out->id = 0;
  out->username = {};
  out->auth_revision = 0;
  out->body.emplace<std::monostate>();
  bool has_body = false;
  std::uint64_t legacy_id = 0;
  WireReader reader(bytes);
  while (reader.next()) {
    if (reader.tag() == varint_tag(kLegacyIdField)) {
      legacy_id = reader.varint();
      continue;
    }
    if ((reader.tag() & 7) != static_cast<std::uint32_t>(WireType::kBytes)) {
      reader.skip();
      continue;
    }
    const std::uint32_t field = reader.field();
    const BytesView body = reader.bytes();
    if (field == kHeaderField) {
      if (absl::Status status = decode_header(body, out); !status.ok()) return status;
      continue;
    }
    bool is_body = false;
    statemachine::CommandBody* target = &out->body;
    if (absl::Status status = decode_field(field, body, target, &is_body); !status.ok()) {
      return status;
    }
    if (is_body && has_body) return absl::InvalidArgumentError("InternalRaftRequest: two bodies");
    has_body = has_body || is_body;
  }
  if (!has_body && !reader.failed()) {
    return absl::InvalidArgumentError("InternalRaftRequest: no body that this version knows");
  }
  if (out->id == 0) out->id = legacy_id;
  return reader.status("InternalRaftRequest");
}

Bytes encode_lease_revoke(LeaseId id) {
  Bytes out;
  WireWriter(&out).int64(1, id.value);
  return out;
}

Bytes encode_lease_checkpoint(absl::Span<const statemachine::LeaseCheckpoint> checkpoints) {
  Bytes out;
  WireWriter writer(&out);
  for (const statemachine::LeaseCheckpoint& checkpoint : checkpoints) {
    Bytes element;
    WireWriter element_writer(&element);
    element_writer.int64(1, checkpoint.id.value);
    element_writer.int64(2, checkpoint.remaining_ttl_seconds);
    writer.bytes_always(1, element);
  }
  return out;
}

Bytes encode_lease_grant(const statemachine::LeaseGrantRequest& request) {
  Bytes out;
  WireWriter writer(&out);
  writer.int64(1, request.ttl_seconds);
  writer.int64(2, request.id.value);
  return out;
}

Bytes encode_compaction(const statemachine::CompactionRequest& request) {
  Bytes out;
  WireWriter writer(&out);
  writer.int64(1, request.revision);
  writer.boolean(2, request.physical);
  return out;
}

Bytes encode_alarm(const statemachine::AlarmRequest& request) {
  Bytes out;
  WireWriter writer(&out);
  writer.int64(1, request.action);
  writer.varint(2, request.member.value);
  writer.int64(3, request.alarm);
  return out;
}

Bytes encode_cluster_version_set(BytesView version) {
  Bytes out;
  WireWriter(&out).bytes(1, version);
  return out;
}

Bytes encode_member_attributes_set(const statemachine::MemberAttributesSetRequest& request) {
  Bytes attributes;
  WireWriter attributes_writer(&attributes);
  attributes_writer.bytes(1, request.name);
  for (BytesView url : request.client_urls) attributes_writer.bytes_always(2, url);
  Bytes out;
  WireWriter writer(&out);
  writer.varint(1, request.member.value);
  writer.bytes_always(2, attributes);
  return out;
}

Bytes encode_downgrade_info_set(const statemachine::DowngradeInfoSetRequest& request) {
  Bytes out;
  WireWriter writer(&out);
  writer.boolean(1, request.enabled);
  writer.bytes(2, request.version);
  return out;
}

}  // namespace holdfast::codec
