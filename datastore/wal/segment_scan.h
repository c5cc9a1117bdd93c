#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "datastore/wal/format.h"
#include "datastore/wal/replay.h"

namespace holdfast::wal {

/// Where the chain of batches stands: what the next batch must follow.
struct ChainPosition {
  /// False before the oldest batch on disk, which is taken at its word.
  bool begun = false;
  std::uint64_t last_sequence = 0;
  std::uint32_t crc = 0;
};

/// How the batches of one segment end.
struct SegmentEnd {
  /// Where the next batch would be.
  std::uint64_t offset = 0;
  /// Bytes from `offset` to the last that is not zero: what a torn write left, if anything.
  std::uint64_t leftover_bytes = 0;
  Index max_index;
  /// Where the batches begin that no later one proves to be synced; `offset` if all are proven.
  std::uint64_t unproven_offset = 0;
};

/// Reads the batches of `segment`, its bytes from the header on, into `replay`, and moves `chain`
/// on. The table "Reading" in FORMAT.md, as far as one segment can tell: whether leftovers are a
/// torn tail is up to the segments after it. `seal`: null for a plain segment.
/// Errors: DataLoss, beginning with "offset N".
absl::StatusOr<SegmentEnd> scan_segment(BytesView segment, std::uint64_t marker, SegmentSeal* seal,
                                        ChainPosition& chain, Replay& replay);

/// True if every byte is zero.
bool all_zero(BytesView bytes);

}  // namespace holdfast::wal
