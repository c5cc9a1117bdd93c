#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "datastore/archive/segment.h"

/// Which moments an archive can tell. An entry's time is when it was known to be committed; whoever
/// archives and was away learns of entries later than others did, and what the state was meanwhile
/// is then in no segment, though every entry is.
namespace holdfast::archive {

/// A moment is told to this: what was acknowledged that long before it may be missing from its
/// state, and nothing of later is in it. Where it would be longer there is a gap.
inline constexpr std::int64_t kPrecisionMs = 10'000;

/// Moments that can't be told: those in (after_ms, until_ms).
struct Gap {
  std::int64_t after_ms = 0;
  std::int64_t until_ms = 0;
  Index first;  ///< of the entries of which only the order is known
  Index last;
  std::int64_t revision_before = 0;  ///< from it on any is held; 0: not known
  std::int64_t revision_after = 0;   ///< up to it; 0: not known
};

/// Entries that no segment holds: nothing after them can be made.
struct Hole {
  Index first;
  Index last;
  std::int64_t next_known_ms = 0;  ///< of the entry after them; 0: none is held
};

/// How far whoever archives says that it reaches.
struct ArchivedUntil {
  Index index;  ///< of the last entry that is stored
  Held held;
};

/// What a refusal calls things, for whom it is told.
struct Words {
  std::string_view moment;    ///< what asks for a moment: "--to-time"
  std::string_view revision;  ///< what asks for a revision
  std::string_view base;      ///< what is gone on from: "snapshot"
};

/// Reads segments in the order of their first entries, after a state. Keeps gaps, not batches.
class Timeline {
 public:
  /// The state has applied entry `begin` and holds what was acknowledged before `begin_ms`, and no
  /// more than was when it was made; 0: that is not known, unless segments tell.
  Timeline(Index begin, std::int64_t begin_ms);

  /// Errors: SegmentReader's.
  absl::Status add(BytesView segment);
  /// All segments have been added, and whoever archives says that this is what they are.
  void end_at(const ArchivedUntil& end);

  /// No later segment changes whether `moment_ms` can be told.
  bool is_settled(std::int64_t moment_ms) const;
  /// Whether the moment can be told. Errors: OutOfRange, with the moments that can be instead.
  absl::Status check(std::int64_t moment_ms, const Words& words) const;

  std::int64_t begin_ms() const { return begin_ms_; }
  /// The last moment that can be told.
  std::int64_t end_ms() const;
  const std::vector<Gap>& gaps() const { return gaps_; }
  const std::optional<Hole>& hole() const { return hole_; }
  Index end() const { return end_; }
  /// Of the entries that can be gone on with.
  const Held& held() const { return held_; }

 private:
  void take(const Batch& batch);
  void hold(const Held& held);
  bool ends_in_gap() const;

  const Index begin_;
  const bool learns_begin_;
  std::int64_t begin_ms_;
  Index end_;
  std::int64_t last_known_ms_ = 0;
  Held held_;
  std::vector<Gap> gaps_;
  std::optional<Hole> hole_;
};

/// RFC 3339 in UTC, to the millisecond, as segments have times.
std::string text_of_ms(std::int64_t time_ms);

/// A file beside segments that says how far they reach (FORMAT.md).
inline constexpr std::string_view kArchivedUntilFile = "archived-until";
std::string write_archived_until(const ArchivedUntil& end);
/// Errors: DataLoss.
absl::StatusOr<ArchivedUntil> parse_archived_until(BytesView text);

}  // namespace holdfast::archive
