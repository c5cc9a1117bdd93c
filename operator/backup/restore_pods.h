#pragma once

#include <optional>
#include <string>

#include "nlohmann/json.hpp"
#include "operator/backup/pods.h"
#include "operator/backup/restore_plan.h"

/// Pods of HoldfastRestores: rendered from values, and read back. Pure.
namespace holdfast::backup {

/// A proof of the backup, as that of a HoldfastBackup (source.h).
nlohmann::json proof_pod(const RestoreSeen& seen, const CreateProof& step, const PodParts& parts);

/// Removes a member's old data. Beside a running member it mounts the same volume, which one node
/// at a time can: it is bound to that node.
nlohmann::json discard_pod(const RestoreSeen& seen, const CreateDiscard& step,
                           const PodParts& parts);

/// Nothing if the Pod is not one of `restore`, by its owner's UID.
std::optional<RestorePodSeen> read_restore_pod(const nlohmann::json& pod,
                                               const api::HoldfastRestore& restore);

}  // namespace holdfast::backup
