#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "datastore/base/bytes.h"

namespace holdfast::rpc {

/// Buffers for the pieces of long answers, going round between the threads that fill them and the
/// connections that send them. Left to malloc, every list would fault in its memory anew, which
/// costs more than to read the list.
///
/// Any thread. Buffers may outlive it.
class PieceBuffers {
 public:
  /// What a buffer has room for without growing; one that grew much beyond is not kept.
  static constexpr std::size_t kBufferBytes = std::size_t{128} << 10;
  static constexpr std::size_t kKeptBuffers = 16;

  /// An empty buffer. It comes back by itself when its last reference goes.
  std::shared_ptr<Bytes> take();

 private:
  struct Shelf {
    std::mutex mutex;
    std::vector<std::unique_ptr<Bytes>> free;
  };
  const std::shared_ptr<Shelf> shelf_ = std::make_shared<Shelf>();
};

}  // namespace holdfast::rpc
