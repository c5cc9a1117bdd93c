#include "datastore/storage/read_ahead.h"

#include <sys/mman.h>

#include <algorithm>

namespace holdfast::storage {

void ReadAhead::will_need(std::uintptr_t begin, std::size_t bytes) {
  // Best effort, and no error of it matters: what is not read ahead is read when it is touched.
  ::madvise(reinterpret_cast<void*>(begin), bytes,
            MADV_WILLNEED);  // NOLINT(performance-no-int-to-ptr)
}

void ReadAhead::enter(std::uintptr_t piece) {
  piece_ = piece;
  if (asked_for_.size() >= kMaxRemembered) asked_for_.clear();
  // Further ahead the longer it goes on: nothing yet in the first piece.
  for (std::uintptr_t next = pieces_ahead_ == 0 ? piece + 1 : piece; next <= piece + pieces_ahead_;
       ++next) {
    if (asked_for_.insert(next).second) advise_(next * kPieceBytes, kPieceBytes);
  }
  pieces_ahead_ = std::min(pieces_ahead_ + 1, kMaxPiecesAhead);
}

}  // namespace holdfast::storage
