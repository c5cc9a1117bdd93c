#include "datastore/peer/stream_codec.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "datastore/base/check.h"
#include "datastore/codec/raft_messages.h"

namespace holdfast::peer {
namespace {

using raft::Message;
using raft::MessageType;

// The first byte of a frame on a msgapp stream.
constexpr char kAlive = 0;
constexpr char kEntries = 1;
constexpr char kWhole = 2;

constexpr std::size_t kNumberBytes = 8;

void append_be64(std::uint64_t number, Bytes* out) {
  char bytes[kNumberBytes];
  store_be64(bytes, number);
  out->append(bytes, sizeof bytes);
}

bool is_sign_of_life(const Message& message) {
  return message.type == MessageType::kHeartbeat && !message.from && !message.to;
}

Index end_of(const Message& message) {
  return message.entries.empty() ? message.index : message.entries.back().index;
}

}  // namespace

const char* stream_name(StreamKind kind) {
  return kind == StreamKind::kMsgApp ? "msgapp" : "message";
}

// --- encoder ----------------------------------------------------------------------------------

void StreamEncoder::append_heartbeat(Bytes* out) const {
  if (kind_ == StreamKind::kMsgApp) {
    out->push_back(kAlive);
    return;
  }
  Message alive;
  alive.type = MessageType::kHeartbeat;
  const Bytes encoded = codec::encode(alive);
  append_be64(encoded.size(), out);
  out->append(encoded);
}

void StreamEncoder::append(const Message& message, Bytes* out) {
  if (kind_ == StreamKind::kMessage) return append_framed(message, out);
  HOLDFAST_CHECK(message.type == MessageType::kApp);
  const bool goes_on =
      message.index == index_ && message.log_term == term_ && message.term == term_;
  if (goes_on) return append_entries(message, out);
  out->push_back(kWhole);
  append_framed(message, out);
  term_ = message.term;
  index_ = end_of(message);
}

void StreamEncoder::append_framed(const Message& message, Bytes* out) {
  const Bytes encoded = codec::encode(message);
  append_be64(encoded.size(), out);
  out->append(encoded);
}

void StreamEncoder::append_entries(const Message& message, Bytes* out) {
  out->push_back(kEntries);
  append_be64(message.entries.size(), out);
  for (const raft::Entry& entry : message.entries) {
    append_be64(codec::encoded_size_bytes(entry), out);
    codec::append(entry, out);
  }
  append_be64(message.commit.value, out);
  index_ = Index(index_.value + message.entries.size());
}

// --- decoder ----------------------------------------------------------------------------------

void StreamDecoder::begin_frame() {
  frame_bytes_ = 0;
  if (kind_ == StreamKind::kMsgApp) {
    expect(Part::kType, 1);
  } else {
    expect(Part::kMessageSize, kNumberBytes);
  }
}

absl::Status StreamDecoder::feed(BytesView bytes, std::vector<Message>* out) {
  while (held_.size() + bytes.size() >= need_) {
    const std::size_t missing = need_ - held_.size();
    BytesView part = bytes.substr(0, missing);
    Bytes joined;
    if (!held_.empty()) {
      joined = std::exchange(held_, {});
      joined.append(part);
      part = joined;
    }
    bytes.remove_prefix(missing);
    if (absl::Status status = take(part, out); !status.ok()) return status;
  }
  held_.append(bytes);
  return absl::OkStatus();
}

absl::Status StreamDecoder::take(BytesView bytes, std::vector<Message>* out) {
  switch (part_) {
    case Part::kType:
      return take_type(bytes[0]);
    case Part::kMessageSize:
      return take_size(load_be64(bytes.data()), Part::kMessage);
    case Part::kMessage:
      return take_message(bytes, out);
    case Part::kEntryCount:
      return take_entry_count(load_be64(bytes.data()));
    case Part::kEntrySize:
      return take_size(load_be64(bytes.data()), Part::kEntry);
    case Part::kEntry:
      return take_entry(bytes);
    case Part::kCommit:
      take_commit(load_be64(bytes.data()), out);
      return absl::OkStatus();
  }
  return absl::InternalError("unreachable");
}

absl::Status StreamDecoder::take_type(char type) {
  switch (type) {
    case kAlive:
      begin_frame();
      return absl::OkStatus();
    case kEntries:
      expect(Part::kEntryCount, kNumberBytes);
      return absl::OkStatus();
    case kWhole:
      expect(Part::kMessageSize, kNumberBytes);
      return absl::OkStatus();
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("msgapp stream: unknown frame type ", static_cast<unsigned char>(type)));
  }
}

absl::Status StreamDecoder::take_size(std::uint64_t size_bytes, Part next) {
  if (size_bytes > kMaxFrameBytes - frame_bytes_) {
    return absl::ResourceExhaustedError(absl::StrCat(stream_name(kind_), " stream: a frame of ",
                                                     size_bytes, " bytes is above the limit of ",
                                                     kMaxFrameBytes));
  }
  frame_bytes_ += size_bytes;
  expect(next, size_bytes);
  return absl::OkStatus();
}

absl::Status StreamDecoder::take_message(BytesView bytes, std::vector<Message>* out) {
  begin_frame();
  Message message;
  absl::Status status = codec::decode(bytes, &message);
  if (absl::IsUnimplemented(status)) return absl::OkStatus();
  if (!status.ok()) return status;
  if (is_sign_of_life(message)) return absl::OkStatus();
  if (kind_ == StreamKind::kMsgApp) {
    if (message.type != MessageType::kApp) {
      return absl::InvalidArgumentError("msgapp stream: a message other than MsgApp");
    }
    term_ = message.term;
    index_ = end_of(message);
  }
  out->push_back(std::move(message));
  return absl::OkStatus();
}

absl::Status StreamDecoder::take_entry_count(std::uint64_t count) {
  if (count > codec::kMaxEntriesPerMessage) {
    return absl::ResourceExhaustedError(
        absl::StrCat("msgapp stream: ", count, " entries in one frame are above the limit of ",
                     codec::kMaxEntriesPerMessage));
  }
  building_ = {};
  building_.type = MessageType::kApp;
  building_.from = remote_;
  building_.to = self_;
  building_.term = term_;
  building_.log_term = term_;
  building_.index = index_;
  entries_left_ = count;
  expect_next_entry();
  return absl::OkStatus();
}

void StreamDecoder::expect_next_entry() {
  expect(entries_left_ > 0 ? Part::kEntrySize : Part::kCommit, kNumberBytes);
}

absl::Status StreamDecoder::take_entry(BytesView bytes) {
  if (absl::Status status = codec::decode(bytes, &building_.entries.emplace_back()); !status.ok()) {
    return status;
  }
  --entries_left_;
  expect_next_entry();
  return absl::OkStatus();
}

void StreamDecoder::take_commit(std::uint64_t commit, std::vector<Message>* out) {
  building_.commit = Index(commit);
  index_ = Index(index_.value + building_.entries.size());
  out->push_back(std::exchange(building_, {}));
  begin_frame();
}

}  // namespace holdfast::peer
