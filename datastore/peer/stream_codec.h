#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "datastore/base/bytes.h"
#include "datastore/base/ids.h"
#include "datastore/raft/types.h"

/// What travels on etcd's two streams between members, as bytes and back (etcd-facts 1.5). Pure:
/// knows no connection.
///
///     message stream   ┌ u64 BE length │ Message ┐ …     a Message of type 8 from 0 to 0: alive
///     msgapp stream    ┌ 0 ┐                             alive
///                      ┌ 2 │ u64 BE length │ Message ┐   any MsgApp
///                      ┌ 1 │ u64 BE n │ n × (u64 BE length │ Entry) │ u64 BE commit ┐
///                                                        a MsgApp that goes on where the last
///                                                        one ended, in the same term
namespace holdfast::peer {

enum class StreamKind : std::uint8_t { kMsgApp, kMessage };

/// "msgapp", "message": the stream's name in its path.
const char* stream_name(StreamKind kind);
/// Which of the two carries it.
inline StreamKind stream_of(const raft::Message& message) {
  return message.type == raft::MessageType::kApp ? StreamKind::kMsgApp : StreamKind::kMessage;
}

/// One framed message, and everything before it is read. etcd's bound.
inline constexpr std::uint64_t kMaxFrameBytes = std::uint64_t{512} << 20;

/// The sending side of one connection, which it lives and dies with: both ends count along.
class StreamEncoder {
 public:
  explicit StreamEncoder(StreamKind kind) : kind_(kind) {}

  /// Appends `message` to `out`. On a msgapp stream it must be a kApp.
  void append(const raft::Message& message, Bytes* out);
  /// Appends the sign of life that goes out while there is nothing else to say.
  void append_heartbeat(Bytes* out) const;

 private:
  void append_framed(const raft::Message& message, Bytes* out);
  void append_entries(const raft::Message& message, Bytes* out);

  StreamKind kind_;
  // Where the last kApp ended.
  Term term_;
  Index index_;
};

/// The receiving side: takes the bytes as they come, in pieces of any size. Holds at most one
/// frame, and never more than has arrived of it.
class StreamDecoder {
 public:
  /// `remote` sends the stream, `self` reads it.
  StreamDecoder(StreamKind kind, MemberId remote, MemberId self)
      : kind_(kind), remote_(remote), self_(self) {
    begin_frame();
  }

  /// Appends to `out` every message that `bytes` complete; signs of life, and types that never
  /// travel, are left out. After an error the stream is of no more use.
  /// Errors: InvalidArgument for what is no such stream; ResourceExhausted beyond a bound.
  absl::Status feed(BytesView bytes, std::vector<raft::Message>* out);

  /// Bytes held of a frame that is not whole.
  std::size_t held_bytes() const { return held_.size(); }

 private:
  /// What the next `need_` bytes are.
  enum class Part {
    kType,
    kMessageSize,
    kMessage,
    kEntryCount,
    kEntrySize,
    kEntry,
    kCommit,
  };

  void expect(Part part, std::uint64_t bytes) {
    part_ = part;
    need_ = bytes;
  }
  void begin_frame();
  absl::Status take(BytesView bytes, std::vector<raft::Message>* out);
  absl::Status take_type(char type);
  absl::Status take_size(std::uint64_t size_bytes, Part next);
  absl::Status take_message(BytesView bytes, std::vector<raft::Message>* out);
  absl::Status take_entry_count(std::uint64_t count);
  absl::Status take_entry(BytesView bytes);
  void take_commit(std::uint64_t commit, std::vector<raft::Message>* out);
  void expect_next_entry();

  StreamKind kind_;
  MemberId remote_;
  MemberId self_;
  Part part_ = Part::kType;
  std::uint64_t need_ = 1;
  Bytes held_;
  // Where the last kApp ended, and the one being put together.
  Term term_;
  Index index_;
  raft::Message building_;
  std::uint64_t entries_left_ = 0;
  std::uint64_t frame_bytes_ = 0;
};

}  // namespace holdfast::peer
