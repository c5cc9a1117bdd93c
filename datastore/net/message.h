#pragma once

#include <memory>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "datastore/base/bytes.h"

namespace holdfast::net {

/// Bytes that somebody keeps alive: `owner` may be a string, an encoded event shared by thousands
/// of calls, or a read view whose pages `bytes` lies in. Copying shares, it never copies bytes.
struct Slice {
  std::shared_ptr<const void> owner;
  BytesView bytes;

  Slice() = default;
  Slice(std::shared_ptr<const void> keeps_alive, BytesView view)
      : owner(std::move(keeps_alive)), bytes(view) {}
  /// The whole of a shared string.
  explicit Slice(std::shared_ptr<const Bytes> shared) : bytes(*shared) {
    owner = std::move(shared);
  }
  /// Takes over a string.
  static Slice own(Bytes bytes) { return Slice(std::make_shared<const Bytes>(std::move(bytes))); }
};

/// One encoded message: a small owned head, then shared slices, sent in this order. The 5-byte gRPC
/// prefix is not part of it. An empty message is valid.
class Message {
 public:
  Message() = default;
  /// Implicit: encoded bytes are a message.
  Message(Bytes head) : head_(std::move(head)), size_bytes_(head_.size()) {}  // NOLINT
  Message(Bytes head, Slice body) : Message(std::move(head)) { append(std::move(body)); }

  void append(Slice slice) {
    if (slice.bytes.empty()) return;
    size_bytes_ += slice.bytes.size();
    slices_.push_back(std::move(slice));
  }

  std::size_t size_bytes() const { return size_bytes_; }
  BytesView head() const { return head_; }
  Bytes take_head() { return std::move(head_); }
  absl::InlinedVector<Slice, 2>& slices() { return slices_; }
  const absl::InlinedVector<Slice, 2>& slices() const { return slices_; }

  /// All bytes in one string, copied.
  Bytes flatten() const;

 private:
  Bytes head_;
  absl::InlinedVector<Slice, 2> slices_;
  std::size_t size_bytes_ = 0;
};

inline Bytes Message::flatten() const {
  Bytes all;
  all.reserve(size_bytes_);
  all.append(head_);
  for (const Slice& slice : slices_) all.append(slice.bytes);
  return all;
}

}  // namespace holdfast::net
