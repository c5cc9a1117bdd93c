#pragma once

#include <nghttp2/nghttp2.h>

#include <array>
#include <cstddef>

namespace holdfast::net {

/// Memory for nghttp2, which makes and drops some twenty small objects per request, hundreds of
/// requests at a time: free lists by size, without a lock, because a session stays on its loop.
/// Larger pieces, and what is free beyond kKeptBytes, are the C library's. It must outlive every
/// session and every header that was received through it. Loop thread only.
class SmallBlockPool {
 public:
  SmallBlockPool();
  ~SmallBlockPool();
  SmallBlockPool(const SmallBlockPool&) = delete;
  SmallBlockPool& operator=(const SmallBlockPool&) = delete;

  /// In nghttp2's terms; it is copied by whoever takes it.
  nghttp2_mem* memory() { return &memory_; }

  /// As malloc and free.
  void* allocate(std::size_t size_bytes);
  void release(void* block);

 private:
  static constexpr std::size_t kStepBytes = 32;
  static constexpr std::size_t kClasses = 32;  // up to 1 KiB
  static constexpr std::size_t kKeptBytes = 16UL * 1024 * 1024;

  /// Before every block; its size keeps the block aligned for anything.
  struct alignas(std::max_align_t) Header {
    std::size_t size_class;      // kClasses: larger than any
    std::size_t capacity_bytes;  // of the block
  };
  struct Free {
    Free* next;
  };
  static Header* header_of(void* block) { return static_cast<Header*>(block) - 1; }
  void* reallocate(void* block, std::size_t size_bytes);

  nghttp2_mem memory_;
  std::array<Free*, kClasses> free_{};
  std::size_t kept_bytes_ = 0;
};

}  // namespace holdfast::net
