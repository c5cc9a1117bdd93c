#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "operator/kube/json.h"
#include "operator/kube/resource.h"

/// The objects that the commands make. Pure.
namespace holdfast::plugin {

/// What `--like` names, or the only schedule of the cluster: an object whose target a new backup
/// takes over. Errors: NotFound or FailedPrecondition, saying what to name.
absl::StatusOr<kube::Json> choose_model(const std::vector<kube::Json>& schedules,
                                        const std::string& cluster, const std::string& like);

/// A HoldfastBackup with the target of `model`, a HoldfastBackupSchedule or HoldfastBackup.
kube::Json backup_like(const kube::Json& model, const kube::ObjectKey& key,
                       const std::string& cluster);

/// A point in time (RFC 3339) or a revision, as `until` of a HoldfastRestore has it; null if
/// neither is named. Errors: InvalidArgument, with an example.
absl::StatusOr<kube::Json> restore_point(const std::string& time, std::int64_t revision);

/// `until`: as restore_point's; null: the backup alone.
kube::Json restore_from(const kube::ObjectKey& key, const std::string& cluster,
                        const std::string& backup, const kube::Json& until = nullptr);

/// `to`: a member's name; empty: the operator chooses.
kube::Json leader_move(const kube::ObjectKey& key, const std::string& cluster,
                       const std::string& to);

/// What became of a one-shot object.
enum class End { kRunning, kComplete, kFailed };
End end_of(const kube::Json& object);
/// The condition that says how far it is, for people.
std::string progress_of(const kube::Json& object);

}  // namespace holdfast::plugin
