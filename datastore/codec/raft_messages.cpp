#include "datastore/codec/raft_messages.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "datastore/codec/wire.h"

namespace holdfast::codec {
namespace {

using raft::ConfChange;
using raft::ConfState;
using raft::Entry;
using raft::HardState;
using raft::Message;
using raft::MessageType;
using raft::SnapshotMetadata;

bool travels(std::int32_t type) {
  if (type < 0 || type > UINT8_MAX) return false;
  switch (static_cast<MessageType>(type)) {
    case MessageType::kProp:
    case MessageType::kApp:
    case MessageType::kAppResp:
    case MessageType::kVote:
    case MessageType::kVoteResp:
    case MessageType::kSnap:
    case MessageType::kHeartbeat:
    case MessageType::kHeartbeatResp:
    case MessageType::kTransferLeader:
    case MessageType::kTimeoutNow:
    case MessageType::kReadIndex:
    case MessageType::kReadIndexResp:
    case MessageType::kPreVote:
    case MessageType::kPreVoteResp:
      return true;
  }
  return false;
}

void add_members(WireReader* reader, std::vector<MemberId>* out) {
  if (out->size() >= kMaxConfMembers) return reader->fail("too many members");
  out->push_back(MemberId(reader->varint()));
}

void add_packed_members(WireReader* reader, std::vector<MemberId>* out) {
  WireReader packed(reader->bytes());
  while (!packed.at_end()) {
    if (out->size() >= kMaxConfMembers) return reader->fail("too many members");
    out->push_back(MemberId(packed.varint()));
  }
  if (packed.failed()) reader->fail("bad packed list");
}

absl::Status decode_snapshot(BytesView bytes, Message* out) {
  WireReader reader(bytes);
  while (reader.next()) {
    absl::Status status;
    switch (reader.tag()) {
      case bytes_tag(1):
        out->snapshot_data = reader.bytes();
        break;
      case bytes_tag(2):
        status = decode(reader.bytes(), &out->snapshot);
        break;
      default:
        reader.skip();
    }
    if (!status.ok()) return status;
  }
  return reader.status("Snapshot");
}

absl::Status add_entry(BytesView bytes, std::vector<Entry>* out) {
  if (out->size() >= kMaxEntriesPerMessage) {
    return absl::InvalidArgumentError("Message: too many entries");
  }
  return decode(bytes, &out->emplace_back());
}

}  // namespace

std::size_t encoded_size_bytes(const Entry& entry) {
  return varint_field_size_bytes(1, static_cast<std::uint64_t>(entry.type)) +
         varint_field_size_bytes(2, entry.term.value) +
         varint_field_size_bytes(3, entry.index.value) +
         (entry.data.empty() ? 0 : message_field_size_bytes(4, entry.data.size()));
}

void append(const Entry& entry, Bytes* out) {
  WireWriter writer(out);
  writer.varint(1, static_cast<std::uint64_t>(entry.type));
  writer.varint(2, entry.term.value);
  writer.varint(3, entry.index.value);
  writer.bytes(4, entry.data);
}

Bytes encode(const Entry& entry) {
  Bytes out;
  out.reserve(encoded_size_bytes(entry));
  append(entry, &out);
  return out;
}

absl::Status decode(BytesView bytes, Entry* out) {
  *out = {};
  WireReader reader(bytes);
  while (reader.next()) {
    switch (reader.tag()) {
      case varint_tag(1): {
        const std::int32_t type = reader.int32();
        if (type != 0 && type != 1) reader.fail("unknown entry type");
        out->type = static_cast<raft::EntryType>(type);
        break;
      }
      case varint_tag(2):
        out->term = Term(reader.varint());
        break;
      case varint_tag(3):
        out->index = Index(reader.varint());
        break;
      case bytes_tag(4):
        out->data = reader.bytes();
        break;
      default:
        reader.skip();
    }
  }
  return reader.status("Entry");
}

Bytes encode(const HardState& state) {
  Bytes out;
  WireWriter writer(&out);
  writer.varint(1, state.term.value);
  writer.varint(2, state.vote.value);
  writer.varint(3, state.commit.value);
  return out;
}

absl::Status decode(BytesView bytes, HardState* out) {
  *out = {};
  WireReader reader(bytes);
  while (reader.next()) {
    switch (reader.tag()) {
      case varint_tag(1):
        out->term = Term(reader.varint());
        break;
      case varint_tag(2):
        out->vote = MemberId(reader.varint());
        break;
      case varint_tag(3):
        out->commit = Index(reader.varint());
        break;
      default:
        reader.skip();
    }
  }
  return reader.status("HardState");
}

Bytes encode(const ConfState& state) {
  Bytes out;
  WireWriter writer(&out);
  for (MemberId id : state.voters) writer.varint_always(1, id.value);
  for (MemberId id : state.learners) writer.varint_always(2, id.value);
  return out;
}

absl::Status decode(BytesView bytes, ConfState* out) {
  *out = {};
  WireReader reader(bytes);
  while (reader.next()) {
    switch (reader.tag()) {
      case varint_tag(1):
        add_members(&reader, &out->voters);
        break;
      case bytes_tag(1):
        add_packed_members(&reader, &out->voters);
        break;
      case varint_tag(2):
        add_members(&reader, &out->learners);
        break;
      case bytes_tag(2):
        add_packed_members(&reader, &out->learners);
        break;
      case varint_tag(3):
      case varint_tag(4):
        reader.fail("joint consensus is not supported");
        break;
      case varint_tag(5):
        if (reader.boolean()) reader.fail("joint consensus is not supported");
        break;
      default:
        reader.skip();
    }
  }
  return reader.status("ConfState");
}

Bytes encode(const ConfChange& change) {
  Bytes out;
  WireWriter writer(&out);
  writer.varint(1, change.id);
  writer.varint(2, static_cast<std::uint64_t>(change.type));
  writer.varint(3, change.node.value);
  writer.bytes(4, change.context);
  return out;
}

absl::Status decode(BytesView bytes, ConfChange* out) {
  *out = {};
  WireReader reader(bytes);
  while (reader.next()) {
    switch (reader.tag()) {
      case varint_tag(1):
        out->id = reader.varint();
        break;
      case varint_tag(2): {
        const std::int32_t type = reader.int32();
        if (type < 0 || type > 3) reader.fail("unknown kind of change");
        out->type = static_cast<raft::ConfChangeType>(type);
        break;
      }
      case varint_tag(3):
        out->node = MemberId(reader.varint());
        break;
      case bytes_tag(4):
        out->context = reader.bytes();
        break;
      default:
        reader.skip();
    }
  }
  return reader.status("ConfChange");
}

Bytes encode(const SnapshotMetadata& metadata) {
  Bytes out;
  WireWriter writer(&out);
  writer.bytes_always(1, encode(metadata.conf));
  writer.varint(2, metadata.index.value);
  writer.varint(3, metadata.term.value);
  return out;
}

absl::Status decode(BytesView bytes, SnapshotMetadata* out) {
  *out = {};
  WireReader reader(bytes);
  while (reader.next()) {
    absl::Status status;
    switch (reader.tag()) {
      case bytes_tag(1):
        status = decode(reader.bytes(), &out->conf);
        break;
      case varint_tag(2):
        out->index = Index(reader.varint());
        break;
      case varint_tag(3):
        out->term = Term(reader.varint());
        break;
      default:
        reader.skip();
    }
    if (!status.ok()) return status;
  }
  return reader.status("SnapshotMetadata");
}

Bytes encode(const Message& message) {
  Bytes out;
  WireWriter writer(&out);
  writer.varint(1, static_cast<std::uint64_t>(message.type));
  writer.varint(2, message.to.value);
  writer.varint(3, message.from.value);
  writer.varint(4, message.term.value);
  writer.varint(5, message.log_term.value);
  writer.varint(6, message.index.value);
  for (const Entry& entry : message.entries) {
    writer.message_header(7, encoded_size_bytes(entry));
    append(entry, &out);
  }
  writer.varint(8, message.commit.value);
  if (message.type == MessageType::kSnap) {
    Bytes snapshot;
    WireWriter snapshot_writer(&snapshot);
    snapshot_writer.bytes(1, message.snapshot_data);
    snapshot_writer.bytes_always(2, encode(message.snapshot));
    writer.bytes_always(9, snapshot);
  }
  writer.boolean(10, message.reject);
  writer.varint(11, message.reject_hint.value);
  writer.bytes(12, message.context);
  return out;
}

absl::Status decode(BytesView bytes, Message* out) {
  *out = {};
  std::int32_t type = 0;
  WireReader reader(bytes);
  while (reader.next()) {
    absl::Status status;
    switch (reader.tag()) {
      case varint_tag(1):
        type = reader.int32();
        break;
      case varint_tag(2):
        out->to = MemberId(reader.varint());
        break;
      case varint_tag(3):
        out->from = MemberId(reader.varint());
        break;
      case varint_tag(4):
        out->term = Term(reader.varint());
        break;
      case varint_tag(5):
        out->log_term = Term(reader.varint());
        break;
      case varint_tag(6):
        out->index = Index(reader.varint());
        break;
      case bytes_tag(7):
        status = add_entry(reader.bytes(), &out->entries);
        break;
      case varint_tag(8):
        out->commit = Index(reader.varint());
        break;
      case bytes_tag(9):
        status = decode_snapshot(reader.bytes(), out);
        break;
      case varint_tag(10):
        out->reject = reader.boolean();
        break;
      case varint_tag(11):
        out->reject_hint = Index(reader.varint());
        break;
      case bytes_tag(12):
        out->context = reader.bytes();
        break;
      default:
        reader.skip();
    }
    if (!status.ok()) return status;
  }
  if (absl::Status status = reader.status("Message"); !status.ok()) return status;
  if (!travels(type)) {
    return absl::UnimplementedError(
        absl::StrCat("Message: type ", type, " never travels between members"));
  }
  out->type = static_cast<MessageType>(type);
  return absl::OkStatus();
}

}  // namespace holdfast::codec
