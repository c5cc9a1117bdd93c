#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/container/flat_hash_set.h"

namespace holdfast::storage {

/// Has the kernel read, in large pieces and ahead of it, what a long walk over a mapped file comes
/// to: the map is one of random access (MDB_NORDAHEAD), which would read page by page. A short walk
/// reads nothing that it does not touch.
class ReadAhead {
 public:
  /// What Linux reads at once on any device; a longer piece may be read in part only.
  static constexpr std::uintptr_t kPieceBytes = std::uintptr_t{128} << 10;
  static constexpr std::uintptr_t kMaxPiecesAhead = 16;

  /// Says that these addresses will be read soon.
  using Advise = void (*)(std::uintptr_t begin, std::size_t bytes);
  static void will_need(std::uintptr_t begin, std::size_t bytes);

  explicit ReadAhead(Advise advise = &will_need) : advise_(advise) {}

  /// The walk is at this address of the map.
  void pass(const void* at) {
    const std::uintptr_t piece = reinterpret_cast<std::uintptr_t>(at) / kPieceBytes;
    if (piece != piece_) enter(piece);
  }

 private:
  /// Bounds what is remembered; beyond, pieces may be asked for again.
  static constexpr std::size_t kMaxRemembered = std::size_t{1} << 16;

  void enter(std::uintptr_t piece);

  const Advise advise_;
  std::uintptr_t piece_ = 0;
  std::uintptr_t pieces_ahead_ = 0;
  absl::flat_hash_set<std::uintptr_t> asked_for_;
};

}  // namespace holdfast::storage
