#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"

/// What a restore in place does on a member's volume, before the member starts or beside it:
///
///   data              the member's
///   before-<uid>      what `data` was before restore <uid>
///   undone-<uid>      what restore <uid> had put in its place, on its way out
///   restore-state     which restore was last at it, and how far: "restored <uid>"
///
/// Each step is a rename or a whole write, synced before the next: it may end anywhere and be done
/// again, by a Pod that begins for the second or the hundredth time.
namespace holdfast::backup {

inline constexpr std::string_view kPutAsideCommand = "put-aside";
inline constexpr std::string_view kBringBackCommand = "bring-back";
inline constexpr std::string_view kDiscardCommand = "discard";

struct Exchange {
  std::string volume;  ///< where it is mounted
  std::string uid;     ///< of the HoldfastRestore
  /// What must be free before anything is put aside.
  std::int64_t needed_bytes = 0;
};

/// Makes room for a restore: `data` becomes `before-<uid>`. Does nothing if that is done, whatever
/// became of it. Errors: ResourceExhausted without the room; FailedPrecondition once it was undone.
absl::Status put_aside(const Exchange& exchange);

/// Brings it back; what was in its place goes. Does nothing if that is done, or if nothing was ever
/// put aside. Errors: FailedPrecondition once it was discarded.
absl::Status bring_back(const Exchange& exchange);

/// Removes what is still kept of this restore. Errors: FailedPrecondition if nothing stands in its
/// place.
absl::Status discard(const Exchange& exchange);

}  // namespace holdfast::backup
