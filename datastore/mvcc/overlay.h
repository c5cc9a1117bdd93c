#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "datastore/base/bytes.h"
#include "datastore/mvcc/key_value.h"

/// The revisions that the backend does not have yet, in memory, in order: segments of a table of
/// records and a chunk of bytes. The writer appends; readers see the records published by size and
/// ignore what is newer than their view.
namespace holdfast::mvcc {

/// One put or tombstone. `bytes` holds the bucket key in 18 bytes (a put's last is 0), then the
/// value: both as the backend will get them.
struct OverlayRecord {
  std::int64_t main = 0;
  const char* bytes = nullptr;
  std::uint32_t sub = 0;
  std::uint32_t value_size = 0;

  BucketRevision revision() const { return {main, sub}; }
  bool tombstone() const { return bytes[kRevisionKeyBytes] != '\0'; }
  BytesView key() const { return {bytes, tombstone() ? kTombstoneKeyBytes : kRevisionKeyBytes}; }
  BytesView value() const { return {bytes + kTombstoneKeyBytes, value_size}; }
};
static_assert(sizeof(OverlayRecord) == 24);

class OverlaySegment : public std::enable_shared_from_this<OverlaySegment> {
 public:
  static constexpr std::size_t kMaxRecords = 2048;
  static constexpr std::size_t kChunkBytes = 512 * 1024;

  /// With room for at least one record of `first_bytes`. `number` counts segments.
  OverlaySegment(std::uint64_t number, std::size_t first_bytes);

  std::uint64_t number() const { return number_; }
  std::size_t size() const { return size_.load(std::memory_order_acquire); }
  /// index < size().
  const OverlayRecord& record(std::size_t index) const { return records_[index]; }
  /// Index of the first record at or after `revision`, of those published.
  std::size_t lower_bound(BucketRevision revision) const;

  /// Writer: room for one more record with `value_size` bytes of value, or null if it does not fit;
  /// then publish() it once the value is written to value_of(room).
  char* reserve(std::size_t value_size);
  static char* value_of(char* room) { return room + kTombstoneKeyBytes; }
  const OverlayRecord& publish(char* room, const BucketKey& key, std::size_t value_size);

 private:
  std::uint64_t number_;
  std::size_t chunk_bytes_;
  std::size_t chunk_used_ = 0;
  std::unique_ptr<char[]> chunk_;
  std::unique_ptr<OverlayRecord[]> records_;
  std::atomic<std::size_t> size_{0};
};

/// An unchanging list of segments, shared by views. The last one may still grow.
class OverlayList {
 public:
  using Segments = std::vector<std::shared_ptr<OverlaySegment>>;

  OverlayList() = default;
  explicit OverlayList(Segments segments) : segments_(std::move(segments)) {}

  const Segments& segments() const { return segments_; }
  const OverlayRecord* find(BucketRevision revision) const;

  /// Walks records from the first at or after a revision.
  class Walk {
   public:
    Walk(const OverlayList& list, BucketRevision from);
    bool valid() const { return segment_ < list_.segments_.size(); }
    const OverlayRecord& record() const { return list_.segments_[segment_]->record(index_); }
    void next();

   private:
    void settle();
    const OverlayList& list_;
    std::size_t segment_ = 0;
    std::size_t index_ = 0;
  };

 private:
  /// Index of the last segment that begins at or before `revision`; 0 if none does.
  std::size_t segment_of(BucketRevision revision) const;

  Segments segments_;
};

/// A place between two records.
struct OverlayPosition {
  std::uint64_t segment_number = 0;
  std::size_t records = 0;
};

/// The writer's side.
class Overlay {
 public:
  Overlay();

  struct Room {
    char* memory;
    OverlaySegment* segment;
  };
  /// Room for a value of `value_size` bytes, to be written to OverlaySegment::value_of(memory) and
  /// then published in that segment.
  Room reserve(std::size_t value_size);

  /// The end: where the next record goes.
  OverlayPosition end() const;

  /// Forgets segments that lie whole before `position`; views keep theirs.
  void drop_before(const OverlayPosition& position);

  /// The list of now, made anew only when segments came or went.
  std::shared_ptr<const OverlayList> list();

  const OverlayList::Segments& segments() const { return segments_; }

 private:
  OverlayList::Segments segments_;
  std::shared_ptr<const OverlayList> list_;
  std::uint64_t next_number_ = 1;
};

}  // namespace holdfast::mvcc
