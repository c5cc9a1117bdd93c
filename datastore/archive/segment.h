#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "datastore/base/bytes.h"
#include "datastore/base/ids.h"
#include "datastore/raft/types.h"

/// Segments of an archive of the log; FORMAT.md has every byte.
namespace holdfast::archive {

inline constexpr std::string_view kSegmentSuffix = ".entries";

/// Which entries a segment holds.
struct SegmentName {
  Index first;
  Index last;

  std::string str() const;
  /// Nothing for any other name.
  static std::optional<SegmentName> parse(std::string_view name);
};

/// Where a segment joins what is before it.
struct Joint {
  ClusterId cluster;
  Index index;  ///< of the entry before the segment's first
  Term term;    ///< of that entry; 0: not known
};

/// What the entries up to some point are known to hold, by whoever asked a member that a quorum
/// confirmed.
struct Held {
  std::int64_t until_ms = 0;  ///< all that was acknowledged before, since 1970; 0: not known
  std::int64_t revision = 0;  ///< at least this one; 0: not known

  friend bool operator==(const Held&, const Held&) = default;
};

/// Entries that were known to be committed at one moment.
struct Batch {
  std::int64_t known_at_ms = 0;  ///< since 1970
  std::vector<raft::Entry> entries;
  Held before;  ///< of the entries before these
};

/// Puts one segment together, in memory.
class SegmentWriter {
 public:
  explicit SegmentWriter(const Joint& joint);

  /// The entries go on from those before: consecutive, terms not falling. A time before the last
  /// one counts as that, and nothing is held of later than `known_at_ms`. Errors: InvalidArgument
  /// for entries that don't go on; nothing is added.
  absl::Status add(std::int64_t known_at_ms, const Held& before,
                   absl::Span<const raft::Entry> entries);

  /// The same for raftpb.Entry as members send them.
  absl::Status add_encoded(std::int64_t known_at_ms, const Held& before,
                           absl::Span<const BytesView> entries);

  bool empty() const { return !first_; }
  std::size_t size_bytes() const { return bytes_.size(); }
  /// What would come next goes on from here.
  const Joint& end() const { return end_; }
  /// Requires an entry.
  SegmentName name() const { return {first_, end_.index}; }
  /// The whole segment; the writer is of no more use.
  Bytes finish();

 private:
  Joint end_;
  Index first_;  // 0 while empty
  std::int64_t last_time_ms_ = 0;
  Bytes bytes_;
};

/// Reads one segment, of which nothing is believed before its digest was compared.
class SegmentReader {
 public:
  /// `bytes` must outlive the reader. Errors: DataLoss for what is cut, damaged or no segment;
  /// FailedPrecondition for a newer format.
  static absl::StatusOr<SegmentReader> open(BytesView bytes);

  const Joint& joint() const { return joint_; }
  /// Nothing at the end. Errors: DataLoss for what the format does not allow.
  absl::StatusOr<std::optional<Batch>> next();

 private:
  SegmentReader(std::uint32_t version, const Joint& joint, BytesView batches)
      : version_(version), joint_(joint), end_(joint), rest_(batches) {}

  absl::StatusOr<std::uint32_t> read_batch_header(Batch& batch);

  std::uint32_t version_;
  Joint joint_;
  Joint end_;
  std::int64_t last_time_ms_ = 0;
  BytesView rest_;
};

}  // namespace holdfast::archive
