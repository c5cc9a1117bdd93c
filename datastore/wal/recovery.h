#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "datastore/base/bytes.h"
#include "datastore/base/ids.h"
#include "datastore/crypto/key256.h"
#include "datastore/ports/disk.h"
#include "datastore/raft/types.h"
#include "datastore/wal/format.h"

namespace holdfast::wal {

/// Large enough that a new segment is rare, and on most disks nothing.
inline constexpr std::uint64_t kSegmentBytes = std::uint64_t{64} << 20;

/// The size of new segments on a file system of so many bytes: kSegmentBytes, and less where those
/// would be most of it. The log has up to four, and the engine needs its share.
constexpr std::uint64_t segment_bytes_for(std::uint64_t file_system_bytes) {
  constexpr std::uint64_t kShare = 16;
  constexpr std::uint64_t kLeast = std::uint64_t{4} << 20;
  return std::clamp(file_system_bytes / kShare, kLeast, kSegmentBytes);
}

struct Options {
  /// Preallocated size of a new segment, [4 KiB, 1 GiB].
  std::uint64_t segment_bytes = kSegmentBytes;
  /// Writes zeros over a new segment in the background, so that a sync of what is appended there
  /// has only data to write and no block of the file to mark as used.
  bool fill_with_zeros = false;
  /// open() refuses the log of anybody else.
  std::optional<Identity> expected_identity;
  /// open() returns only the entries after this index: the state machine has the others.
  Index entries_after;
  /// Seals every segment that is begun, and opens those that were: FORMAT.md, Sealed segments.
  std::optional<crypto::SealingKey> key;
  /// With a key: plain segments may lie before the sealed ones. open() writes what they hold anew,
  /// sealed, and removes them.
  bool seal_plain = false;
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
  /// One of the segments is plain.
  bool has_plain = false;
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

/// What the segments' headers say about their ciphers.
struct LogSeals {
  bool has_plain = false;
  /// Of the data keys that open the sealed ones, each once.
  std::vector<crypto::KeyId> key_ids;
};
/// Looks at the headers only, and passes over those that make no sense: open() tells of them. A
/// directory that is missing has no segments. Errors: the disk's.
absl::StatusOr<LogSeals> find_seals(ports::Disk& disk, const std::string& directory);

/// Reads the log by FORMAT.md's rules and changes nothing: the torn tail is reported, not cut.
/// Holds one segment at a time in memory. Errors: as Wal::open.
absl::StatusOr<RecoveredLog> read_log(ports::Disk& disk, const std::string& directory,
                                      const Options& options);

}  // namespace holdfast::wal
