#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "datastore/base/bytes.h"
#include "datastore/net/message.h"
#include "datastore/net/transport.h"

namespace holdfast::net {

/// Fixed-size buffers that go round between the connections of one loop, so that an idle connection
/// holds none. Keeps at most kKeptBlocks.
class BlockPool {
 public:
  static constexpr std::size_t kBlockBytes = 32 * 1024;
  using Block = std::unique_ptr<char[]>;

  Block take();
  void give_back(Block block);

 private:
  static constexpr std::size_t kKeptBlocks = 256;
  std::vector<Block> free_;
};

/// Bytes on their way to one transport: small pieces gathered into blocks, large ones referred to,
/// all written with as few calls as possible. The queue has no bound of its own; a session stops
/// producing when size_bytes() passes its high water. Loop thread only.
class OutputQueue {
 public:
  explicit OutputQueue(BlockPool& pool) : pool_(pool) {}
  ~OutputQueue() { clear(); }
  OutputQueue(const OutputQueue&) = delete;
  OutputQueue& operator=(const OutputQueue&) = delete;

  bool empty() const { return size_bytes_ == 0; }
  std::size_t size_bytes() const { return size_bytes_; }

  /// Copies `bytes`.
  void append(BytesView bytes);
  /// Keeps a reference, or copies if that is cheaper.
  void append(Slice slice);

  /// Writes until empty (kProgress), the transport blocks, or it fails. `size_bytes` of the result
  /// counts what was written.
  Transport::Result write_to(Transport& transport);
  void clear();

 private:
  /// Either a block, of which [begin, end) is to be written, or a slice.
  struct Segment {
    BlockPool::Block block;
    std::size_t begin = 0;
    std::size_t end = 0;
    Slice slice;
    BytesView view() const {
      return block ? BytesView(block.get() + begin, end - begin) : slice.bytes;
    }
  };
  void drop(std::size_t written_bytes);

  BlockPool& pool_;
  std::deque<Segment> segments_;
  std::size_t size_bytes_ = 0;
};

}  // namespace holdfast::net
