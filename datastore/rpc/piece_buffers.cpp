#include "datastore/rpc/piece_buffers.h"

#include <utility>

namespace holdfast::rpc {

std::shared_ptr<Bytes> PieceBuffers::take() {
  std::unique_ptr<Bytes> buffer;
  {
    const std::lock_guard lock(shelf_->mutex);
    if (!shelf_->free.empty()) {
      buffer = std::move(shelf_->free.back());
      shelf_->free.pop_back();
    }
  }
  if (buffer == nullptr) {
    buffer = std::make_unique<Bytes>();
    buffer->reserve(kBufferBytes);
  }
  return {buffer.release(), [shelf = shelf_](Bytes* returned) {
            std::unique_ptr<Bytes> owned(returned);
            if (owned->capacity() > 2 * kBufferBytes) return;
            owned->clear();
            const std::lock_guard lock(shelf->mutex);
            if (shelf->free.size() < kKeptBuffers) shelf->free.push_back(std::move(owned));
          }};
}

}  // namespace holdfast::rpc
