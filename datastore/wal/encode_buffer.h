#pragma once

#include <cstddef>
#include <memory>

#include "datastore/base/bytes.h"

namespace holdfast::wal {

/// Room to encode one batch in, kept from batch to batch so that a steady stream allocates nothing.
class EncodeBuffer {
 public:
  /// `size` writable bytes of unknown content, until the next call.
  char* prepare(std::size_t size) {
    if (size > capacity_ || capacity_ > kKeptBytes) {
      capacity_ = size < kSmallestBytes ? kSmallestBytes : size;
      bytes_.reset(new char[capacity_]);
    }
    size_ = size;
    return bytes_.get();
  }
  BytesView view() const { return {bytes_.get(), size_}; }

 private:
  static constexpr std::size_t kSmallestBytes = std::size_t{64} << 10;
  /// A larger one, for one huge entry, is given back at the next batch.
  static constexpr std::size_t kKeptBytes = std::size_t{8} << 20;

  std::unique_ptr<char[]> bytes_;
  std::size_t capacity_ = 0;
  std::size_t size_ = 0;
};

}  // namespace holdfast::wal
