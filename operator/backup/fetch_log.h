#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "datastore/telemetry/log.h"
#include "operator/api/backup_target.h"
#include "operator/backup/manifest.h"
#include "operator/backup/objects.h"
#include "operator/backup/sealing.h"

namespace holdfast::backup {

/// Which part of the archive after a backup is wanted.
struct FetchLogRequest {
  std::string object;  ///< the backup's
  std::string into;    ///< a folder; made if need be
  /// Up to here; nothing: to its end, for a proof, and any damage is an error.
  std::optional<api::RestorePoint> until;
  std::vector<SealingKey> keys;
};

/// Gets the archived log after a backup into a folder, as `holdfast snapshot replay` takes it. For
/// a proof nothing is got where no archive goes on from the backup.
/// Errors: OutOfRange if the archive can't tell what the state was at `until`: before the backup,
/// after its end, in a gap; it says what is possible instead, and so what to set. DataLoss, with
/// the object's name. FailedPrecondition without the key. Objects'; a file's.
absl::Status fetch_log(const Objects& objects, const Manifest& manifest,
                       const FetchLogRequest& request, telemetry::Logger& log);

}  // namespace holdfast::backup
