#include "datastore/peer/stream_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "datastore/codec/raft_messages.h"

namespace holdfast::peer {
namespace {

using raft::Message;
using raft::MessageType;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr MemberId kRemote{0xa};
constexpr MemberId kSelf{0xb};

raft::Entry entry(std::uint64_t term, std::uint64_t index, Bytes data = "x") {
  return {.term = Term(term), .index = Index(index), .data = std::move(data)};
}

Message append(std::uint64_t term, std::uint64_t log_term, std::uint64_t index,
               std::vector<raft::Entry> entries, std::uint64_t commit = 0) {
  Message message;
  message.type = MessageType::kApp;
  message.from = kRemote;
  message.to = kSelf;
  message.term = Term(term);
  message.log_term = Term(log_term);
  message.index = Index(index);
  message.entries = std::move(entries);
  message.commit = Index(commit);
  return message;
}

Message heartbeat(std::uint64_t term) {
  Message message;
  message.type = MessageType::kHeartbeat;
  message.from = kRemote;
  message.to = kSelf;
  message.term = Term(term);
  message.context = "12345678";
  return message;
}

Bytes be64(std::uint64_t number) {
  Bytes out(8, '\0');
  store_be64(out.data(), number);
  return out;
}

std::vector<Bytes> encoded(const std::vector<Message>& messages) {
  std::vector<Bytes> out;
  for (const Message& message : messages) out.push_back(codec::encode(message));
  return out;
}

Bytes stream_of_messages(StreamKind kind, const std::vector<Message>& messages) {
  StreamEncoder encoder(kind);
  Bytes bytes;
  for (const Message& message : messages) {
    encoder.append_heartbeat(&bytes);
    encoder.append(message, &bytes);
  }
  return bytes;
}

struct Decoded {
  absl::Status status;
  std::vector<Message> messages;
};

Decoded decode_in_pieces(StreamKind kind, BytesView bytes, std::size_t piece_bytes) {
  StreamDecoder decoder(kind, kRemote, kSelf);
  Decoded out;
  while (!bytes.empty() && out.status.ok()) {
    out.status = decoder.feed(bytes.substr(0, piece_bytes), &out.messages);
    bytes.remove_prefix(std::min(piece_bytes, bytes.size()));
  }
  return out;
}

const std::vector<Message> kAppends = {
    append(3, 2, 10, {entry(3, 11), entry(3, 12)}, 10),  // whole: the stream begins
    append(3, 3, 12, {entry(3, 13, "")}, 12),            // goes on
    append(3, 3, 13, {}, 13),                            // goes on, empty
    append(3, 3, 13, {entry(3, 14), entry(3, 15)}, 13),
    append(3, 3, 13, {entry(3, 14)}, 14),  // goes back: whole
    append(4, 3, 14, {entry(4, 15)}, 14),  // another term: whole
    append(4, 4, 15, {entry(4, 16)}, 15),
};

TEST(StreamCodec, AppendsComeOutAsTheyWentInWhateverThePieces) {
  const Bytes bytes = stream_of_messages(StreamKind::kMsgApp, kAppends);
  for (std::size_t piece = 1; piece <= bytes.size(); ++piece) {
    const Decoded decoded = decode_in_pieces(StreamKind::kMsgApp, bytes, piece);
    ASSERT_TRUE(decoded.status.ok()) << decoded.status;
    ASSERT_EQ(encoded(decoded.messages), encoded(kAppends)) << "pieces of " << piece;
  }
}

TEST(StreamCodec, MessagesComeOutAsTheyWentInWhateverThePieces) {
  std::vector<Message> messages = kAppends;
  messages.push_back(heartbeat(5));
  const Bytes bytes = stream_of_messages(StreamKind::kMessage, messages);
  for (std::size_t piece = 1; piece <= bytes.size(); ++piece) {
    const Decoded decoded = decode_in_pieces(StreamKind::kMessage, bytes, piece);
    ASSERT_TRUE(decoded.status.ok()) << decoded.status;
    ASSERT_EQ(encoded(decoded.messages), encoded(messages)) << "pieces of " << piece;
  }
}

TEST(StreamCodec, WritesEtcdsBytes) {
  StreamEncoder encoder(StreamKind::kMsgApp);
  Bytes bytes;
  encoder.append_heartbeat(&bytes);
  EXPECT_EQ(bytes, Bytes(1, '\0'));

  bytes.clear();
  const Message first = append(3, 2, 10, {entry(3, 11)}, 10);
  encoder.append(first, &bytes);
  const Bytes whole = codec::encode(first);
  EXPECT_EQ(bytes, "\x02" + be64(whole.size()) + whole);

  bytes.clear();
  const Message second = append(3, 3, 11, {entry(3, 12, "ab")}, 11);
  encoder.append(second, &bytes);
  const Bytes inner = codec::encode(second.entries[0]);
  EXPECT_EQ(bytes, "\x01" + be64(1) + be64(inner.size()) + inner + be64(11));

  bytes.clear();
  StreamEncoder(StreamKind::kMessage).append_heartbeat(&bytes);
  EXPECT_EQ(bytes, be64(2) + Bytes("\x08\x08"));
}

TEST(StreamCodec, PassesOverSignsOfLifeThatSpellOutTheirZeros) {
  // As 3.6 writes them: every number, although 0.
  const Bytes alive("\x08\x08\x10\x00\x18\x00\x20\x00\x28\x00\x30\x00\x40\x00\x50\x00\x58\x00", 18);
  const Decoded decoded = decode_in_pieces(StreamKind::kMessage, be64(alive.size()) + alive, 1000);
  EXPECT_TRUE(decoded.status.ok()) << decoded.status;
  EXPECT_THAT(decoded.messages, IsEmpty());
}

TEST(StreamCodec, PassesOverTypesThatNeverTravel) {
  const Bytes hup("\x08\x00\x10\x0b\x18\x0a", 6);
  const Decoded decoded = decode_in_pieces(
      StreamKind::kMessage,
      be64(hup.size()) + hup + stream_of_messages(StreamKind::kMessage, {heartbeat(2)}), 1000);
  EXPECT_TRUE(decoded.status.ok()) << decoded.status;
  EXPECT_THAT(decoded.messages, SizeIs(1));
}

TEST(StreamCodec, RefusesWhatIsNoStream) {
  struct Case {
    const char* name;
    StreamKind kind;
    Bytes bytes;
    absl::StatusCode code;
  };
  const Bytes beat = codec::encode(heartbeat(2));
  const std::vector<Case> cases = {
      {"unknown frame", StreamKind::kMsgApp, "\x03", absl::StatusCode::kInvalidArgument},
      {"a page of HTML", StreamKind::kMsgApp, "<html>", absl::StatusCode::kInvalidArgument},
      {"a page of HTML", StreamKind::kMessage, "<html></html>",
       absl::StatusCode::kResourceExhausted},
      {"too long", StreamKind::kMessage, be64(kMaxFrameBytes + 1),
       absl::StatusCode::kResourceExhausted},
      {"longest number", StreamKind::kMessage, be64(~std::uint64_t{0}),
       absl::StatusCode::kResourceExhausted},
      {"too many entries", StreamKind::kMsgApp, "\x01" + be64(~std::uint64_t{0}),
       absl::StatusCode::kResourceExhausted},
      {"entry too long", StreamKind::kMsgApp, "\x01" + be64(1) + be64(kMaxFrameBytes + 1),
       absl::StatusCode::kResourceExhausted},
      {"bad message", StreamKind::kMessage, be64(2) + "\xff\xff",
       absl::StatusCode::kInvalidArgument},
      {"bad entry", StreamKind::kMsgApp, "\x01" + be64(1) + be64(2) + "\xff\xff",
       absl::StatusCode::kInvalidArgument},
      {"not an append", StreamKind::kMsgApp, "\x02" + be64(beat.size()) + beat,
       absl::StatusCode::kInvalidArgument},
  };
  for (const Case& c : cases) {
    for (const std::size_t piece : {std::size_t{1}, c.bytes.size()}) {
      const Decoded decoded = decode_in_pieces(c.kind, c.bytes, piece);
      EXPECT_EQ(decoded.status.code(), c.code) << c.name << ": " << decoded.status;
      EXPECT_THAT(decoded.messages, IsEmpty()) << c.name;
    }
  }
}

TEST(StreamCodec, HoldsNoMoreThanHasArrived) {
  StreamDecoder decoder(StreamKind::kMessage, kRemote, kSelf);
  std::vector<Message> out;
  ASSERT_TRUE(decoder.feed(be64(kMaxFrameBytes) + "abc", &out).ok());
  EXPECT_EQ(decoder.held_bytes(), 3U);
}

}  // namespace
}  // namespace holdfast::peer
