#pragma once

#include <cstddef>

namespace holdfast::net {

/// The bytes of requests that one loop holds: header lists, incomplete and undelivered messages,
/// bodies. Whoever takes gives back the same. Loop thread only.
class RequestBudget {
 public:
  explicit RequestBudget(std::size_t limit_bytes) : limit_bytes_(limit_bytes) {}

  /// False, and nothing taken, beyond the limit.
  bool take(std::size_t size_bytes) {
    if (size_bytes > limit_bytes_ - used_bytes_) return false;
    used_bytes_ += size_bytes;
    return true;
  }
  /// The same for a piece of something of which `held_bytes` are here already: what is not small
  /// leaves a quarter to what is, so that big messages which never end keep nobody else out.
  bool take_piece(std::size_t held_bytes, std::size_t size_bytes) {
    const bool small = held_bytes + size_bytes <= kSmallBytes;
    if (!small && used_bytes_ + size_bytes > limit_bytes_ / 4 * 3) return false;
    return take(size_bytes);
  }
  void give_back(std::size_t size_bytes) { used_bytes_ -= size_bytes; }
  std::size_t used_bytes() const { return used_bytes_; }

 private:
  static constexpr std::size_t kSmallBytes = std::size_t{16} * 1024;

  const std::size_t limit_bytes_;
  std::size_t used_bytes_ = 0;
};

}  // namespace holdfast::net
