#include "operator/backup/restore_plan.h"

#include <algorithm>
#include <utility>

#include "operator/api/names.h"
#include "operator/api/text.h"
#include "operator/backup/condition_writer.h"

namespace holdfast::backup {
namespace {

using api::ConditionStatus;
using api::InPlaceStep;
using api::RestoreStep;
namespace condition = api::condition;

constexpr absl::Duration kWhileRunning = absl::Seconds(30);
/// While the cluster's status is followed, which no object's event tells of here.
constexpr absl::Duration kWhileWaiting = absl::Seconds(2);
constexpr absl::Duration kShortestTry = absl::Seconds(10);

/// What a HoldfastRestore shows of what its cluster is at.
RestoreStep step_of(InPlaceStep step) {
  switch (step) {
    case InPlaceStep::kWaiting:
      return RestoreStep::kWaiting;
    case InPlaceStep::kStopping:
      return RestoreStep::kStopping;
    case InPlaceStep::kRestoring:
      return RestoreStep::kRestoring;
    case InPlaceStep::kRestored:
      return RestoreStep::kRestored;
    case InPlaceStep::kDiscarding:
      return RestoreStep::kDiscarding;
    case InPlaceStep::kUndoStopping:
      return RestoreStep::kUndoStopping;
    case InPlaceStep::kUndoing:
      return RestoreStep::kUndoing;
    case InPlaceStep::kUndone:
      return RestoreStep::kUndone;
  }
  return RestoreStep::kWaiting;
}

class RestorePlanner {
 public:
  explicit RestorePlanner(const RestoreSeen& seen)
      : seen_(seen),
        restore_(seen.restore),
        status_(seen.restore.status),
        in_place_(in_place_of(seen)) {}

  RestorePlan plan() {
    if (restore_.metadata.deletion_timestamp) {
      end();
    } else if (status_.finished_at) {
      tidy();
    } else if (!has_finalizer()) {
      plan_.step = HoldFinalizer{};
    } else if (!status_.validated_at) {
      validate();
    } else {
      follow_cluster();
    }
    status_.observed_generation = restore_.metadata.generation;
    if (changed_) {
      plan_.status = std::move(status_);
      plan_.step.reset();
    }
    return std::move(plan_);
  }

 private:
  // -- what is there

  static const api::RestoreInPlace* in_place_of(const RestoreSeen& seen) {
    if (!seen.cluster || !seen.cluster->status.restore) return nullptr;
    const api::RestoreInPlace& there = *seen.cluster->status.restore;
    return there.uid == seen.restore.metadata.uid ? &there : nullptr;
  }
  bool has_finalizer() const {
    const auto& finalizers = restore_.metadata.finalizers;
    return std::find(finalizers.begin(), finalizers.end(), api::kRestoreFinalizer) !=
           finalizers.end();
  }
  bool cluster_ends() const {
    return !seen_.cluster || seen_.cluster->metadata.deletion_timestamp.has_value();
  }
  /// The last of a proof (`member` empty) or of a member's removal.
  const PodSeen* last_pod(const std::string& member) const {
    const PodSeen* last = nullptr;
    for (const RestorePodSeen& each : seen_.pods) {
      if (each.discards != member) continue;
      if (last == nullptr || each.pod.number > last->number) last = &each.pod;
    }
    return last;
  }
  const PodSeen* proof(std::int32_t number) const {
    for (const RestorePodSeen& each : seen_.pods) {
      if (each.discards.empty() && each.pod.number == number) return &each.pod;
    }
    return nullptr;
  }
  absl::Time begun() const {
    return status_.started_at.value_or(restore_.metadata.creation_timestamp.value_or(seen_.now));
  }
  absl::Duration time_left() const {
    return begun() + absl::Seconds(restore_.spec.active_deadline_seconds) - seen_.now;
  }
  std::string late() const {
    return api::str_cat("it had not begun within activeDeadlineSeconds, ",
                        restore_.spec.active_deadline_seconds);
  }

  // -- what to say

  void set(std::string_view type, ConditionStatus status, std::string_view reason,
           std::string_view message) {
    changed_ = conditions_.set(type, status, reason, message) || changed_;
  }
  void note(bool warning, std::string_view reason, std::string_view message) {
    plan_.notes.push_back({warning, std::string(reason), std::string(message)});
  }
  void go_to(RestoreStep step, std::string_view message) {
    if (status_.step == step && status_.message == message) return;
    status_.step = step;
    status_.message = std::string(message);
    changed_ = true;
  }
  void finish(RestoreStep step, std::string_view message) {
    go_to(step, message);
    status_.finished_at = seen_.now;
    status_.old_data_kept_until.reset();
    changed_ = true;
  }
  /// Nothing was replaced.
  void fail(std::string_view reason, const std::string& message) {
    finish(RestoreStep::kFailed, message);
    if (!status_.validated_at) set(condition::kValidated, ConditionStatus::kFalse, reason, message);
    set(condition::kComplete, ConditionStatus::kFalse, reason, message);
    set(condition::kFailed, ConditionStatus::kTrue, reason, message);
    note(true, "Failed", message);
  }
  void wait(std::string_view reason, std::string_view message) {
    set(condition::kComplete, ConditionStatus::kFalse, reason, message);
    go_to(status_.validated_at ? RestoreStep::kWaiting : RestoreStep::kValidating, message);
    plan_.look_again = kWhileWaiting;
  }

  // -- the proof, before which nothing is touched

  void validate() {
    if (restore_.spec.undo) {
      return fail("UndoneBeforeItBegan", "spec.undo was set before it began: nothing was touched");
    }
    if (cluster_ends() && seen_.cluster) {
      return fail("ClusterGone",
                  "the cluster is being deleted: make another from the backup with "
                  "bootstrap.restore");
    }
    if (time_left() <= absl::ZeroDuration()) return fail("DeadlineExceeded", late());
    if (!seen_.cluster) return wait("WaitingForCluster", "there is no such cluster yet");
    if (!status_.source && !find_source()) return;
    if (status_.attempts == 0) return begin_proof();
    const PodSeen* pod = proof(status_.attempts);
    if (pod == nullptr) {
      plan_.step = CreateProof{status_.attempts, std::max(time_left(), kShortestTry)};
      plan_.look_again = kWhileRunning;
    } else if (!pod->ended) {
      plan_.look_again = kWhileRunning;
      if (!pod->trouble.empty()) {
        set(condition::kValidated, ConditionStatus::kUnknown, "PodWaits",
            api::str_cat("Pod ", pod->name, ": ", pod->trouble));
      }
    } else {
      judge(*pod);
    }
  }

  /// Copies where the backup is: its HoldfastBackup may go, and must not change, while members are
  /// made from it. False: there is nothing to prove yet, or never will be.
  bool find_source() {
    const auto refuse = [this](const std::string& message) {
      fail("SourceOnOneNode", message);
      return false;
    };
    if (seen_.source_on_one_node && seen_.cluster->spec.replicas > 1) {
      return refuse(
          "the backup lies on a claim that only one node at a time can mount, and members on other "
          "nodes could not read it: copy it to an object store or to a ReadWriteMany claim");
    }
    if (restore_.spec.source.stored) {
      status_.source = restore_.spec.source.stored;
    } else if (!seen_.backup) {
      wait("WaitingForBackup",
           api::str_cat("there is no HoldfastBackup ", restore_.spec.source.backup_ref.name));
      return false;
    } else if (has_failed(*seen_.backup)) {
      fail("BackupFailed",
           api::str_cat("HoldfastBackup ", seen_.backup->metadata.name, " has failed"));
      return false;
    } else if (!is_complete(*seen_.backup)) {
      wait("WaitingForBackup",
           api::str_cat("HoldfastBackup ", seen_.backup->metadata.name, " is not complete"));
      return false;
    } else {
      status_.source = api::StoredBackup{seen_.backup->spec.target, object_of(*seen_.backup),
                                         seen_.backup->status.sha256};
    }
    changed_ = true;
    return true;
  }

  void begin_proof() {
    if (!status_.started_at) status_.started_at = seen_.now;
    ++status_.attempts;
    changed_ = true;
    const std::string_view text =
        "the backup is restored into a member of its own and read; the cluster is not touched";
    go_to(RestoreStep::kValidating, text);
    set(condition::kValidated, ConditionStatus::kUnknown, "Validating", text);
    set(condition::kComplete, ConditionStatus::kFalse, "Validating", text);
  }

  void judge(const PodSeen& pod) {
    const std::optional<Verdict>& verdict = pod.verdict;
    if (verdict && verdict->succeeded && verdict->manifest) {
      status_.validated_at = seen_.now;
      status_.size_bytes = verdict->manifest->snapshot_size_bytes;
      status_.revision = verdict->manifest->revision + restore_.spec.bump_revisions;
      changed_ = true;
      set(condition::kValidated, ConditionStatus::kTrue, verdict->reason, verdict->message);
      set(condition::kComplete, ConditionStatus::kFalse, "Waiting", "the cluster takes it up next");
      go_to(RestoreStep::kWaiting, "the cluster takes it up next");
      return note(false, "Validated", verdict->message);
    }
    const std::string why =
        verdict ? verdict->message
                : api::str_cat("Pod ", pod.name, " ended without a word: ", pod.trouble);
    if ((verdict && !verdict->retryable) || status_.attempts >= kMaxAttempts) {
      return fail(verdict ? verdict->reason : "CouldNotValidate",
                  api::str_cat(why, "; nothing was touched"));
    }
    const absl::Time ended = pod.ended_at.value_or(seen_.now);
    const absl::Duration left =
        ended + kFirstRetryDelay * (1 << (status_.attempts - 1)) - seen_.now;
    if (left > absl::ZeroDuration()) {
      plan_.look_again = left;
    } else {
      begin_proof();
    }
  }

  // -- the cluster's part

  void follow_cluster() {
    plan_.look_again = kWhileWaiting;
    if (cluster_ends()) {
      if (status_.completed_at) {
        return finish(RestoreStep::kFinished,
                      "the cluster is deleted; the old data goes, or stays, "
                      "with its volumes");
      }
      return fail("ClusterGone", "the cluster was deleted");
    }
    if (in_place_ == nullptr) return await_cluster();
    const RestoreStep step = step_of(in_place_->step);
    if (in_place_->step == InPlaceStep::kWaiting && time_left() <= absl::ZeroDuration()) {
      return fail("DeadlineExceeded", api::str_cat(late(), ": ", in_place_->message));
    }
    // The intent to discard stands here before the cluster follows it.
    const bool discards = status_.step == RestoreStep::kDiscarding;
    if (!(discards && step == RestoreStep::kRestored)) tell(step);
    if (step == RestoreStep::kRestored) keep();
    if (step == RestoreStep::kDiscarding) discard();
    if (!changed_ && !plan_.step) tidy();
  }

  /// It is not the cluster's turn with it, or it has lost its status.
  void await_cluster() {
    if (status_.completed_at) {
      return finish(RestoreStep::kFinished,
                    "the cluster's status does not know of it any more; the old data stays on its "
                    "volumes");
    }
    if (time_left() <= absl::ZeroDuration()) return fail("DeadlineExceeded", late());
    const auto& other = seen_.cluster->status.restore;
    if (!other) return wait("Waiting", "the cluster takes it up next");
    wait("AnotherRestore",
         other->step == InPlaceStep::kRestored
             ? api::str_cat("HoldfastRestore ", other->name,
                            " still keeps the data from before it; delete it to go on")
             : api::str_cat("HoldfastRestore ", other->name, " comes first"));
  }

  void tell(RestoreStep step) {
    if (in_place_->members != status_.members) {
      status_.members = in_place_->members;
      changed_ = true;
    }
    if (step == RestoreStep::kRestored) return tell_restored();
    if (step == RestoreStep::kUndone) return tell_undone();
    go_to(step, in_place_->message);
    const bool over = step == RestoreStep::kDiscarding;
    if (!over) set(condition::kComplete, ConditionStatus::kFalse, name_of(step), text_of_step());
  }
  std::string text_of_step() const {
    return in_place_->message.empty() ? std::string(api::name_of(in_place_->step))
                                      : in_place_->message;
  }

  void tell_restored() {
    const bool first = !status_.completed_at;
    if (first) {
      status_.completed_at = seen_.now;
      status_.previous_cluster_id = in_place_->previous_cluster_id;
      status_.cluster_id = in_place_->cluster_id;
      const std::string text = api::str_cat(
          "the members serve the backup, from revision ", status_.revision,
          ", with everything up to there marked compacted: kube-apiservers and other watchers list "
          "anew by themselves. Restart what keeps keys or revisions without watching");
      set(condition::kComplete, ConditionStatus::kTrue, "Restored", text);
      note(false, "Restored", text);
    }
    // Why an undo is barred is the cluster's to say.
    go_to(RestoreStep::kRestored, in_place_->message);
  }

  void tell_undone() {
    const std::string text =
        "the members serve what they held before; revisions went back: restart kube-apiservers and "
        "whatever else remembers a revision";
    set(condition::kUndone, ConditionStatus::kTrue, "Undone", text);
    set(condition::kComplete, ConditionStatus::kFalse, "Undone", text);
    note(true, "Undone", text);
    finish(RestoreStep::kUndone, text);
  }

  // -- the old data

  void keep() {
    const absl::Duration keep = restore_.spec.keep_old_data;
    std::optional<absl::Time> until;
    if (keep > absl::ZeroDuration()) until = *status_.completed_at + keep;
    if (status_.old_data_kept_until != until) {
      status_.old_data_kept_until = until;
      changed_ = true;
    }
    if (!until) return;
    if (*until <= seen_.now && !restore_.spec.undo) {
      go_to(RestoreStep::kDiscarding, "the old data's time is over");
    }
    plan_.look_again = std::max(kWhileWaiting, std::min(*until - seen_.now, kWhileRunning));
  }

  /// One member after the other: each by a Pod that mounts its volume where it is in use.
  void discard() {
    for (const std::string& member : status_.members) {
      const auto& done = status_.discarded_members;
      if (std::find(done.begin(), done.end(), member) != done.end()) continue;
      return discard(member);
    }
    note(false, "OldDataRemoved", "the data from before the restore is removed");
    finish(RestoreStep::kFinished, "the data from before the restore is removed");
  }

  void discard(const std::string& member) {
    if (!seen_.members_with_claims.contains(member)) return discarded(member);  // went with it
    const PodSeen* pod = last_pod(member);
    if (pod == nullptr) return create_discard(member, 1);
    if (!pod->ended) {
      plan_.look_again = kWhileRunning;
      return;
    }
    if (pod->verdict && pod->verdict->succeeded) return discarded(member);
    if (pod->number < kMaxAttempts) {
      const absl::Time ended = pod->ended_at.value_or(seen_.now);
      const absl::Duration left = ended + kFirstRetryDelay * (1 << pod->number) - seen_.now;
      if (left <= absl::ZeroDuration()) return create_discard(member, pod->number + 1);
      plan_.look_again = left;
      return;
    }
    note(true, "OldDataLeft",
         api::str_cat("the old data of ", member, " could not be removed and stays on its volume: ",
                      pod->verdict ? pod->verdict->message : pod->trouble));
    discarded(member);
  }

  void discarded(const std::string& member) {
    status_.discarded_members.push_back(member);
    changed_ = true;
  }

  void create_discard(const std::string& member, std::int32_t number) {
    CreateDiscard create{member, "", number};
    for (const api::MemberStatus& known : seen_.cluster->status.members) {
      if (known.name == member) create.node = known.node;
    }
    plan_.step = std::move(create);
    plan_.look_again = kWhileRunning;
  }

  // -- afterwards

  /// Pods whose outcome stands in status go; of failed ones the last stays, for its log.
  void tidy() {
    for (const RestorePodSeen& each : seen_.pods) {
      const bool failed = !each.pod.verdict || !each.pod.verdict->succeeded;
      const bool last = last_pod(each.discards) == &each.pod;
      if (each.pod.deleting || !each.pod.ended || (failed && last)) continue;
      plan_.step = DeletePod{each.pod.name, each.pod.uid};
      plan_.look_again = absl::ZeroDuration();
      return;
    }
  }

  /// It is being deleted: what has begun is finished by the cluster, then the old data goes.
  void end() {
    if (!has_finalizer()) return;
    if (cluster_ends() || status_.finished_at || in_place_ == nullptr) {
      plan_.step = ReleaseFinalizer{};
      return;
    }
    follow_cluster();
  }

  const RestoreSeen& seen_;
  const api::HoldfastRestore& restore_;
  api::RestoreStatus status_;
  ConditionWriter conditions_{status_.conditions, restore_.metadata.generation, seen_.now};
  const api::RestoreInPlace* in_place_;
  RestorePlan plan_;
  bool changed_ = false;
};

}  // namespace

RestorePlan plan_restore(const RestoreSeen& seen) {
  return RestorePlanner(seen).plan();
}

}  // namespace holdfast::backup
