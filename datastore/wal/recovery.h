#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "datastore/base/bytes.h"
#include "datastore/base/ids.h"
#include "datastore/ports/disk.h"
#include "datastore/raft/types.h"
#include "datastore/wal/format.h"

namespace holdfast::wal {

struct Options {
  /// Preallocated size of a new segment, [4 KiB, 1 GiB].
  std::uint64_t segment_bytes = std::uint64_t{64} << 20;
  /// Writes zeros over a new segment in the background, so that a sync of what is appended there
  /// has only data to write and no block of the file to mark as used.
  bool fill_with_zeros = false;
  /// open() refuses the log of anybody else.
  std::optional<Identity> expected_identity;
  /// open() returns only the entries after this index: the state machine has the others.
  Index entries_after;
};

/// What open() did about a torn tail. Nothing of it was ever acknowledged.
struct TornTail {
  std::string file;
  std::uint64_t offset = 0;
  /// From `offset` to the last byte that was not zero; 0 if the log ended cleanly.
  std::uint64_t cut_bytes = 0;
};

/// What a log adds up to.
struct Recovered {
  Identity identity;
  raft::HardState hard_state;
  /// The last snapshot marker: of create() at least.
  raft::SnapshotMetadata snapshot;
  Index last_index;
  /// Consecutive, up to last_index; the first is Options::entries_after + 1 unless the log begins
  /// later (then entries_after precedes what the log still holds) or ends earlier (then empty).
  std::vector<raft::Entry> entries;
  TornTail torn_tail;
};

/// One segment as recovery found it.
struct SegmentOnDisk {
  std::uint64_t sequence = 0;
  std::uint64_t size_bytes = 0;
  Index max_index;
};

/// A log that was read: what it says, and where to go on writing.
struct RecoveredLog {
  Recovered recovered;
  std::uint64_t marker = 0;
  /// Those with batches, oldest first; the last is in use.
  std::vector<SegmentOnDisk> segments;
  /// Empty ones after them, oldest first.
  std::vector<SegmentOnDisk> prepared;
  /// Where the next batch goes in the segment in use.
  std::uint64_t offset = 0;
  std::uint64_t last_sequence = 0;
  std::uint32_t chain_crc = 0;
  /// The last batches before `offset`, those that nothing proves to be synced.
  Bytes unproven;
};

/// `<directory>/<sequence as 16 hex digits>.wal`.
std::string segment_path(const std::string& directory, std::uint64_t sequence);
/// Where a segment lies until it is durable: `<its path>.tmp`.
std::string unfinished_segment_path(const std::string& directory, std::uint64_t sequence);

struct SegmentNames {
  /// Ascending.
  std::vector<std::uint64_t> sequences;
  /// Names of segments that never got their final one.
  std::vector<std::string> unfinished;
};
/// The segments in a directory; other names are ignored. Errors: NotFound without the directory.
absl::StatusOr<SegmentNames> list_segments(ports::Disk& disk, const std::string& directory);

/// Reads the log by FORMAT.md's rules and changes nothing: the torn tail is reported, not cut.
/// Holds one segment at a time in memory. Errors: as Wal::open.
absl::StatusOr<RecoveredLog> read_log(ports::Disk& disk, const std::string& directory,
                                      const Options& options);

}  // namespace holdfast::wal
