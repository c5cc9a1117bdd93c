#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "datastore/base/ids.h"
#include "datastore/ports/disk.h"
#include "datastore/raft/types.h"
#include "datastore/wal/batch.h"
#include "datastore/wal/encode_buffer.h"
#include "datastore/wal/recovery.h"
#include "datastore/wal/segment_seal.h"

namespace holdfast::wal {

/// The raft log on disk: appends batches, syncs, and gives whole segments back. FORMAT.md has every
/// byte and the rules of recovery.
///
/// Threads: append(), sync() and the getters by one thread; prepare_next_segment(),
/// release_next_segment() and trim_before() by one other thread, at the same time if need be.
///
/// Errors: ResourceExhausted from append() means that the disk is full: nothing of the batch is
/// acknowledged, the log is as consistent as before, and the same append may be tried again. Every
/// other error of append() or sync() is final: what the disk holds is unknown, every later call
/// fails, and the process must end; a restart finds out.
class Wal {
 public:
  struct Opened;

  /// True if `directory` holds a log.
  static absl::StatusOr<bool> exists(ports::Disk& disk, const std::string& directory);

  /// Makes a new log with what it begins with, durable on return. `marker` is a random number other
  /// than 0. A crash before the return leaves no log, or the whole of it; with none, create() may
  /// be called again. Errors: AlreadyExists; the disk's.
  static absl::StatusOr<std::unique_ptr<Wal>> create(ports::Disk& disk,
                                                     const std::string& directory,
                                                     const Identity& identity, std::uint64_t marker,
                                                     const Beginning& begin,
                                                     const Options& options = {});

  /// Reads the log, cuts a torn tail, and is ready to append. `disk` must outlive the log.
  /// Errors: NotFound without a log; DataLoss for damage, by file, offset and batch, nothing
  /// changed; FailedPrecondition for another member's log or a newer format; the disk's.
  static absl::StatusOr<Opened> open(ports::Disk& disk, const std::string& directory,
                                     const Options& options = {});

  ~Wal();

  /// Writes `batch` after everything before it, and syncs unless `sync` is false. Very large
  /// batches are written as several, in order: after a crash a prefix of the entries may be there.
  absl::Status append(const Batch& batch, bool sync = true);

  /// Makes every append so far durable. Cheap if it is already.
  absl::Status sync();

  /// Makes the segment after the one in use, unless it is there: milliseconds of work, to be called
  /// from a background thread when wants_next_segment(). An append that needs it earlier makes it
  /// itself. Errors: the disk's; they harm nothing, and the call may be repeated.
  absl::Status prepare_next_segment();
  /// Gives that segment's space back: for a disk that is full, where something else needs it more.
  /// Errors: the disk's; they harm nothing.
  absl::Status release_next_segment();
  bool wants_next_segment() const { return !has_prepared_.load(std::memory_order_relaxed); }

  /// Removes the oldest segments as far as all their entries precede `index`, but never an entry
  /// past the last synced snapshot marker, and never the segment in use.
  /// Returns the number of segments removed. Errors: the disk's; the call may be repeated.
  absl::StatusOr<std::size_t> trim_before(Index index);

  Index last_index() const { return last_index_; }
  const raft::HardState& hard_state() const { return hard_state_; }
  const raft::SnapshotMetadata& snapshot() const { return snapshot_; }
  /// Bytes of all segments, as preallocated.
  std::uint64_t size_bytes() const;

 private:
  struct Segment {
    std::uint64_t sequence = 0;
    std::unique_ptr<ports::File> file;
    std::uint64_t size_bytes = 0;
    /// The highest index of an entry ever written there.
    Index max_index;
    /// Null if the segment is plain.
    std::unique_ptr<SegmentSeal> seal;
  };

  Wal(ports::Disk& disk, std::string directory, const Options& options);

  /// A segment without a file yet, and the bytes that it is to begin with.
  Segment plan_segment(std::uint64_t sequence, Bytes& begin) const;
  absl::StatusOr<Segment> make_segment(Segment planned, BytesView begin);
  absl::StatusOr<std::unique_ptr<ports::File>> write_unfinished(const std::string& path,
                                                                std::uint64_t size_bytes,
                                                                BytesView begin);
  absl::Status take_over(RecoveredLog log, const TornTail& torn);
  absl::Status remove_prepared(const std::vector<SegmentOnDisk>& prepared);
  absl::Status leave_recovered_segment();
  absl::Status seal_plain_segments();
  absl::Status remove_closed_segments();
  absl::Status append_split(const Batch& batch);
  absl::Status append_piece(const Batch& piece);
  absl::Status begin_segment(const Batch& piece);
  absl::Status switch_segment();
  absl::Status write_piece(const Batch& piece, std::size_t batch_bytes);
  absl::Status make_prepared();  // prepare_mutex_ held
  /// With the header, as the log writes it.
  std::size_t batch_bytes(const Batch& batch) const;
  std::uint32_t encode(const Batch& piece, std::size_t batch_bytes, SealAt at);
  void advance(const Batch& piece, std::size_t batch_bytes, std::uint32_t header_crc);
  absl::Status zero_failed_write();
  absl::Status sync_file();
  void note_synced();
  std::size_t piece_limit_bytes() const;

  ports::Disk& disk_;
  const std::string directory_;
  const Options options_;
  Identity identity_;
  std::uint64_t marker_ = 0;

  // The state that the log's batches add up to.
  Index last_index_;
  raft::HardState hard_state_;
  raft::SnapshotMetadata snapshot_;

  // Where the next batch goes.
  Segment active_;
  std::uint64_t offset_ = 0;
  std::uint64_t last_sequence_ = 0;
  std::uint64_t synced_through_ = 0;
  std::uint32_t chain_crc_ = 0;
  /// Bytes from offset_ on that a failed write may have left behind.
  std::uint64_t failed_write_bytes_ = 0;
  /// In the segment in use.
  std::uint32_t failed_writes_ = 0;
  absl::Status failure_;
  EncodeBuffer buffer_;
  /// Segments left behind, while the first batch after them is not synced.
  std::vector<Segment> leaving_;

  // Shared with the background thread.
  std::mutex prepare_mutex_;
  std::optional<Segment> prepared_;
  std::uint64_t next_segment_ = 0;
  std::atomic<bool> has_prepared_{false};
  mutable std::mutex closed_mutex_;
  std::vector<Segment> closed_;
  std::atomic<std::uint64_t> synced_snapshot_index_{0};
  std::atomic<std::uint64_t> live_bytes_{0};
};

struct Wal::Opened {
  std::unique_ptr<Wal> wal;
  Recovered recovered;
};

}  // namespace holdfast::wal
