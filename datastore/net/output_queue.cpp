#include "datastore/net/output_queue.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "datastore/net/byte_queue.h"

namespace holdfast::net {

BlockPool::Block BlockPool::take() {
  if (free_.empty()) return Block(new char[kBlockBytes]);
  Block block = std::move(free_.back());
  free_.pop_back();
  return block;
}

void BlockPool::give_back(Block block) {
  if (free_.size() < kKeptBlocks) free_.push_back(std::move(block));
}

void OutputQueue::append(BytesView bytes) {
  size_bytes_ += bytes.size();
  while (!bytes.empty()) {
    if (segments_.empty() || !segments_.back().block ||
        segments_.back().end == BlockPool::kBlockBytes) {
      Segment segment;
      segment.block = pool_.take();
      segments_.push_back(std::move(segment));
    }
    Segment& last = segments_.back();
    const std::size_t n = std::min(bytes.size(), BlockPool::kBlockBytes - last.end);
    std::memcpy(last.block.get() + last.end, bytes.data(), n);
    last.end += n;
    bytes.remove_prefix(n);
  }
}

void OutputQueue::append(Slice slice) {
  if (slice.bytes.size() < ByteQueue::kCopyBytes) {
    append(slice.bytes);
    return;
  }
  size_bytes_ += slice.bytes.size();
  Segment segment;
  segment.slice = std::move(slice);
  segments_.push_back(std::move(segment));
}

Transport::Result OutputQueue::write_to(Transport& transport) {
  constexpr int kBuffersPerWrite = 64;
  std::size_t written = 0;
  while (!segments_.empty()) {
    std::array<iovec, kBuffersPerWrite> buffers;
    int count = 0;
    std::size_t offered = 0;
    for (const Segment& segment : segments_) {
      if (count == kBuffersPerWrite) break;
      const BytesView view = segment.view();
      buffers[count++] = {const_cast<char*>(view.data()), view.size()};
      offered += view.size();
    }
    const Transport::Result result = transport.write(buffers.data(), count);
    if (result.io != Transport::Io::kProgress) return {result.io, written};
    drop(result.size_bytes);
    written += result.size_bytes;
    // A short write means that the socket is full: asking again would only be told so.
    if (result.size_bytes < offered) return {Transport::Io::kWouldBlock, written};
  }
  return {Transport::Io::kProgress, written};
}

void OutputQueue::drop(std::size_t written_bytes) {
  size_bytes_ -= written_bytes;
  while (!segments_.empty()) {
    Segment& first = segments_.front();
    const std::size_t size = first.view().size();
    if (written_bytes < size) {
      if (first.block) {
        first.begin += written_bytes;
      } else {
        first.slice.bytes.remove_prefix(written_bytes);
      }
      return;
    }
    written_bytes -= size;
    if (first.block) pool_.give_back(std::move(first.block));
    segments_.pop_front();
  }
}

void OutputQueue::clear() {
  for (Segment& segment : segments_) {
    if (segment.block) pool_.give_back(std::move(segment.block));
  }
  segments_.clear();
  size_bytes_ = 0;
}

}  // namespace holdfast::net
