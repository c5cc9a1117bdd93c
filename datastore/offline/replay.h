#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "datastore/base/ids.h"
#include "datastore/ports/disk.h"

namespace holdfast::offline {

/// `snapshot replay`: where to stop. With neither, at the archive's end.
struct ReplayRequest {
  std::string snapshot_file;
  std::string archive_dir;  ///< of segments (datastore/archive/FORMAT.md)
  std::string output_file;
  /// As soon as the state has this revision.
  std::optional<Revision> to_revision;
  /// Before the first entry that was not known to be committed by then; refused where the archive
  /// does not tell what the state was (datastore/archive/timeline.h).
  std::optional<absl::Time> to_time;
};

struct Replayed {
  std::uint64_t entries = 0;
  Index applied_index;
  Revision revision;
  /// Of the last batch applied; nothing if none was.
  std::optional<absl::Time> known_at;
};

/// Makes a later snapshot file out of one and the archived log after it. The new file is put
/// together beside its place and renamed, with a store of the state's size beside it meanwhile.
/// Errors: NotFound; AlreadyExists; DataLoss if the archive is damaged, lacks an entry, or is of
/// another history; OutOfRange if what was asked for lies before the snapshot, in a gap of the
/// archive or after its end, with what is possible instead.
absl::StatusOr<Replayed> replay(ports::Disk& disk, const ReplayRequest& request);

}  // namespace holdfast::offline
