#pragma once

#include <vector>

#include "datastore/base/bytes.h"
#include "datastore/net/message.h"

namespace holdfast::net {

/// What one stream still has to send: a first-in-first-out rope. Small pieces are copied into one
/// flat string whose capacity outlives them, so that a reused queue allocates nothing; large ones
/// are shared. Bounded by whoever fills it: see size_bytes().
class ByteQueue {
 public:
  bool empty() const { return size_bytes_ == 0; }
  std::size_t size_bytes() const { return size_bytes_; }

  /// Copies `bytes`.
  void append(BytesView bytes);
  /// Keeps a reference, or copies if that is cheaper.
  void append(Slice slice);
  /// Hands the first `size_bytes` (at most what is queued) to `sink`, in order, and drops them.
  /// Sink has append(BytesView), for bytes valid only during the call, and append(Slice).
  template <class Sink>
  void pop(std::size_t size_bytes, Sink& sink);
  /// Drops everything; keeps a modest capacity for reuse.
  void clear();

  /// Below this a copy is cheaper than a reference and an iovec of its own.
  static constexpr std::size_t kCopyBytes = 1024;

 private:
  /// A run of bytes: of the flat string if `slice` has no bytes, else what remains of the slice.
  struct Run {
    std::size_t flat_bytes = 0;
    Slice slice;
  };
  void drop_first_run();

  Bytes flat_;
  std::size_t flat_read_ = 0;
  std::vector<Run> runs_;
  std::size_t first_run_ = 0;
  std::size_t size_bytes_ = 0;
};

template <class Sink>
void ByteQueue::pop(std::size_t size_bytes, Sink& sink) {
  size_bytes_ -= size_bytes;
  while (size_bytes > 0) {
    Run& run = runs_[first_run_];
    if (run.flat_bytes > 0) {
      const std::size_t n = std::min(size_bytes, run.flat_bytes);
      sink.append(BytesView(flat_).substr(flat_read_, n));
      flat_read_ += n;
      run.flat_bytes -= n;
      size_bytes -= n;
      if (run.flat_bytes == 0) drop_first_run();
      continue;
    }
    const std::size_t n = std::min(size_bytes, run.slice.bytes.size());
    size_bytes -= n;
    if (n == run.slice.bytes.size()) {
      sink.append(std::move(run.slice));
      drop_first_run();
    } else {
      sink.append(Slice(run.slice.owner, run.slice.bytes.substr(0, n)));
      run.slice.bytes.remove_prefix(n);
    }
  }
  if (size_bytes_ == 0) clear();
}

}  // namespace holdfast::net
