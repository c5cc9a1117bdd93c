#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "operator/api/backup.h"
#include "operator/api/cluster.h"
#include "operator/api/restore.h"
#include "operator/backup/plan.h"

/// What to do about one HoldfastRestore: everything seen of it in, one next step out. Pure.
///
/// Three have a part in a restore. This planner proves the backup, tells how far it is, and has the
/// old data removed once its time is over. The cluster's planner (reconcile/restore.cpp) stops and
/// starts the members, and says in the cluster's status what it is at. The containers before a
/// member (exchange.h) put its data aside or back. Each goes by what the one before has written, so
/// none has to be alive while another works.
namespace holdfast::backup {

/// A Pod of a restore: a proof of its backup, or one that removes a member's old data.
struct RestorePodSeen {
  std::string discards;  ///< the member's name; empty: a proof
  PodSeen pod;           ///< its `job` says nothing
};

struct RestoreSeen {
  api::HoldfastRestore restore;
  std::optional<api::HoldfastCluster> cluster;
  /// The HoldfastBackup that spec names.
  std::optional<api::HoldfastBackup> backup;
  /// The backup lies on a claim that one node at a time can mount.
  bool source_on_one_node = false;
  /// Members that have a claim.
  std::set<std::string> members_with_claims;
  std::vector<RestorePodSeen> pods;
  absl::Time now;
};

struct CreateProof {
  std::int32_t number = 0;
  absl::Duration deadline;
};
struct CreateDiscard {
  std::string member;
  std::string node;  ///< where its volume is in use; empty: it is not
  std::int32_t number = 0;
};
using RestoreStepToTake =
    std::variant<HoldFinalizer, ReleaseFinalizer, CreateProof, CreateDiscard, DeletePod>;

struct RestorePlan {
  /// To be written, and nothing else done in this pass.
  std::optional<api::RestoreStatus> status;
  std::vector<Note> notes;
  std::optional<RestoreStepToTake> step;
  std::optional<absl::Duration> look_again;
};

RestorePlan plan_restore(const RestoreSeen& seen);

}  // namespace holdfast::backup
