// Any bytes as a stream between members. The first byte chooses the stream and how many bytes come
// at a time. What is understood must come out the same when it is written and read again.

#include <cstdint>
#include <cstdlib>
#include <vector>

#include "datastore/codec/raft_messages.h"
#include "datastore/peer/stream_codec.h"

namespace {

using namespace holdfast;

constexpr MemberId kRemote{1};
constexpr MemberId kSelf{2};

bool read_stream(peer::StreamKind kind, BytesView bytes, std::size_t piece_bytes,
                 std::vector<raft::Message>* out) {
  peer::StreamDecoder decoder(kind, kRemote, kSelf);
  while (!bytes.empty()) {
    const BytesView piece = bytes.substr(0, piece_bytes);
    if (!decoder.feed(piece, out).ok()) return false;
    bytes.remove_prefix(piece.size());
  }
  return true;
}

std::vector<Bytes> encoded(const std::vector<raft::Message>& messages) {
  std::vector<Bytes> out;
  for (const raft::Message& message : messages) out.push_back(codec::encode(message));
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const peer::StreamKind kind =
      (data[0] & 1) != 0 ? peer::StreamKind::kMsgApp : peer::StreamKind::kMessage;
  const std::size_t piece_bytes = data[0] / 2 == 0 ? 1'000'000 : data[0] / 2;
  const BytesView bytes(reinterpret_cast<const char*>(data) + 1, size - 1);

  std::vector<raft::Message> messages;
  read_stream(kind, bytes, piece_bytes, &messages);

  peer::StreamEncoder encoder(kind);
  Bytes again;
  for (raft::Message& message : messages) {
    // A stream's reader knows who sends: what a whole frame says of it is taken as it is, what an
    // entries' frame leaves out is filled in.
    message.from = kRemote;
    message.to = kSelf;
    encoder.append(message, &again);
  }
  std::vector<raft::Message> second;
  if (!read_stream(kind, again, 1'000'000, &second)) std::abort();
  if (kind == peer::StreamKind::kMessage && encoded(second) != encoded(messages)) std::abort();
  if (second.size() != messages.size()) std::abort();
  return 0;
}
