#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace holdfast::mvcc {

/// Memory for the index: millions of small objects of few sizes, without malloc's 16 bytes of
/// rounding and header each. Requests up to kMaxSmallBytes come from blocks cut into classes of 8
/// bytes; freed ones are reused within their class and blocks go back only when the slab dies.
/// One thread. Under AddressSanitizer every request is a malloc, so that it sees misuse.
class Slab {
 public:
  static constexpr std::size_t kMaxSmallBytes = 2048;
  static constexpr std::size_t kBlockBytes = 256 * 1024;

  Slab() = default;
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;

  /// Aligned to 8 bytes, not initialised.
  void* allocate(std::size_t bytes);
  /// `bytes` as given to allocate().
  void free(void* memory, std::size_t bytes);

  /// Bytes handed out and not freed, after rounding.
  std::size_t used_bytes() const { return used_bytes_; }

 private:
  static constexpr std::size_t kClassBytes = 8;
  struct FreeSlot {
    FreeSlot* next;
  };

  std::array<FreeSlot*, kMaxSmallBytes / kClassBytes + 1> free_{};
  std::vector<std::unique_ptr<char[]>> blocks_;
  char* block_next_ = nullptr;
  char* block_end_ = nullptr;
  std::size_t used_bytes_ = 0;
};

}  // namespace holdfast::mvcc
