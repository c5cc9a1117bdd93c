#include "operator/backup/plan.h"

#include <algorithm>
#include <utility>

#include "operator/api/names.h"
#include "operator/api/text.h"
#include "operator/backup/condition_writer.h"
#include "operator/backup/target.h"

namespace holdfast::backup {
namespace {

using api::ConditionStatus;
namespace condition = api::condition;

/// While something runs whose end an object's event tells.
constexpr absl::Duration kWhileRunning = absl::Seconds(30);
/// While something is missing that nobody tells of.
constexpr absl::Duration kWhileWaiting = absl::Seconds(3);
/// The least that a try is given.
constexpr absl::Duration kShortestTry = absl::Seconds(10);
/// Of a removal, which has no deadline of its own.
constexpr absl::Duration kRemovalDeadline = absl::Minutes(10);

constexpr std::string_view kRequestOfSpec = "spec";

class Planner {
 public:
  explicit Planner(const BackupSeen& seen)
      : seen_(seen), backup_(seen.backup), status_(seen.backup.status) {}

  BackupPlan plan() {
    if (backup_.metadata.deletion_timestamp) {
      end();
    } else if (wants_finalizer() && !has_finalizer()) {
      plan_.step = HoldFinalizer{};
    } else if (!is_complete(backup_) && !has_failed(backup_)) {
      take();
    } else if (!verify()) {
      tidy();
    }
    status_.observed_generation = backup_.metadata.generation;
    // Not for its own sake: a pass that has nothing else to say writes nothing.
    if (changed_) plan_.status = std::move(status_);
    return std::move(plan_);
  }

 private:
  // -- what is there

  bool wants_finalizer() const {
    return backup_.spec.deletion_policy == api::BackupDeletion::kDelete;
  }
  bool has_finalizer() const {
    const auto& finalizers = backup_.metadata.finalizers;
    return std::find(finalizers.begin(), finalizers.end(), api::kBackupFinalizer) !=
           finalizers.end();
  }
  const PodSeen* pod(Job job, std::int32_t number) const {
    for (const PodSeen& pod : seen_.pods) {
      if (pod.job == job && pod.number == number) return &pod;
    }
    return nullptr;
  }
  const PodSeen* last_pod(Job job) const {
    const PodSeen* last = nullptr;
    for (const PodSeen& pod : seen_.pods) {
      if (pod.job == job && (last == nullptr || pod.number > last->number)) last = &pod;
    }
    return last;
  }
  absl::Time begun() const {
    return status_.started_at.value_or(backup_.metadata.creation_timestamp.value_or(seen_.now));
  }
  absl::Duration time_left() const {
    return begun() + absl::Seconds(backup_.spec.active_deadline_seconds) - seen_.now;
  }

  // -- what to say

  void set(std::string_view type, ConditionStatus status, std::string_view reason,
           std::string_view message) {
    changed_ = conditions_.set(type, status, reason, message) || changed_;
  }
  void note(bool warning, std::string_view reason, std::string_view message) {
    plan_.notes.push_back({warning, std::string(reason), std::string(message)});
  }
  void wait(std::string_view reason, std::string_view message) {
    set(condition::kComplete, ConditionStatus::kFalse, reason, message);
    plan_.look_again = kWhileWaiting;
  }
  void create(Job job, std::int32_t number, absl::Duration deadline) {
    plan_.step = CreatePod{job, number, std::max(deadline, kShortestTry)};
    plan_.look_again = kWhileRunning;
  }

  // -- taking it

  void take() {
    if (status_.attempts == 0) return begin_try();
    const PodSeen* worker = pod(Job::kTake, status_.attempts);
    if (worker == nullptr) {
      if (time_left() <= absl::ZeroDuration()) return give_up("DeadlineExceeded", late(), true);
      return create(Job::kTake, status_.attempts, time_left());
    }
    if (!worker->ended) return await_end(*worker);
    if (worker->verdict && worker->verdict->succeeded && worker->verdict->manifest) {
      return complete(*worker->verdict->manifest);
    }
    fail_or_retry(*worker);
  }

  /// Records which member it is taken from; the Pod follows in the next pass.
  void begin_try() {
    if (time_left() <= absl::ZeroDuration()) return give_up("DeadlineExceeded", late(), false);
    const MemberSeen* member = pick();
    if (member == nullptr && status_.attempts > 0) {
      plan_.look_again = kWhileWaiting;  // why the last try failed stays said
      return;
    }
    if (member == nullptr) {
      return wait("WaitingForMember", seen_.members
                                          ? "no member of the cluster takes part; it is tried again"
                                          : "there is no such cluster yet, or it is not formed");
    }
    if (!status_.started_at) status_.started_at = seen_.now;
    ++status_.attempts;
    status_.member = member->name;
    status_.version = member->version;
    changed_ = true;
    set(condition::kComplete, ConditionStatus::kFalse, "Running",
        api::str_cat("taking it from ", member->name));
    if (status_.attempts == 1) {
      note(false, "Started", api::str_cat("taking it from ", member->name));
    }
  }

  /// A follower rather than the leader, which has enough to do; another than last time, if that
  /// went wrong.
  const MemberSeen* pick() const {
    const MemberSeen* best = nullptr;
    int best_rank = 0;
    for (const MemberSeen& member : seen_.members.value_or(std::vector<MemberSeen>())) {
      if (!member.ready) continue;
      const int rank = (member.leader ? 1 : 0) + (member.name == status_.member ? 2 : 0);
      if (best == nullptr || rank < best_rank) {
        best = &find(member.name);
        best_rank = rank;
      }
    }
    return best;
  }
  const MemberSeen& find(const std::string& name) const {
    return *std::find_if(seen_.members->begin(), seen_.members->end(),
                         [&](const MemberSeen& member) { return member.name == name; });
  }

  void await_end(const PodSeen& worker) {
    plan_.look_again = kWhileRunning;
    if (worker.trouble.empty()) return;
    set(condition::kComplete, ConditionStatus::kFalse, "PodWaits",
        api::str_cat("Pod ", worker.name, ": ", worker.trouble));
  }

  void complete(const Manifest& manifest) {
    status_.uri = uri_of(backup_.spec.target, object_of(backup_));
    status_.size_bytes = manifest.size_bytes;
    status_.sha256 = manifest.sha256;
    status_.revision = manifest.revision;
    status_.log_index = static_cast<std::int64_t>(manifest.log_index);
    status_.cluster_id = ClusterId{api::parse_id(manifest.cluster_id).value_or(0)};
    status_.completed_at = seen_.now;
    changed_ = true;
    const std::string text = api::str_cat("revision ", manifest.revision, ", ", manifest.size_bytes,
                                          " bytes, read back and equal: ", status_.uri);
    set(condition::kComplete, ConditionStatus::kTrue, "Stored", text);
    note(false, "Stored", text);
  }

  /// A worker that said nothing was killed: what it left must go before anyone says that it failed.
  void fail_or_retry(const PodSeen& worker) {
    const bool mute = !worker.verdict;
    const std::string reason = mute ? "WorkerLost" : worker.verdict->reason;
    const std::string why =
        mute ? api::str_cat("Pod ", worker.name, " ended without a word: ", worker.trouble)
             : worker.verdict->message;
    const bool leftover = mute || worker.verdict->leftover;
    const bool again = mute || worker.verdict->retryable;
    if (time_left() <= absl::ZeroDuration()) {
      return give_up("DeadlineExceeded", api::str_cat(late(), "; the last try: ", why), leftover);
    }
    if (!again || status_.attempts >= kMaxAttempts) return give_up(reason, why, leftover);
    set(condition::kComplete, ConditionStatus::kFalse, "Retrying",
        api::str_cat("try ", status_.attempts, " of ", kMaxAttempts, ": ", why));
    if (changed_) note(true, reason, api::str_cat(why, "; it is tried again"));
    if (const absl::Duration left = retry_delay_left(worker, status_.attempts);
        left > absl::ZeroDuration()) {
      plan_.look_again = left;
      return;
    }
    if (!changed_) begin_try();
  }

  absl::Duration retry_delay_left(const PodSeen& worker, std::int32_t attempts) const {
    const absl::Time ended = worker.ended_at.value_or(seen_.now);
    return ended + kFirstRetryDelay * (1 << (attempts - 1)) - seen_.now;
  }

  std::string late() const {
    return api::str_cat("it took longer than activeDeadlineSeconds, ",
                        backup_.spec.active_deadline_seconds);
  }

  void give_up(std::string_view reason, const std::string& message, bool leftover) {
    // Nor may the wait for it be endless: it may be that no Pod of ours can be made.
    if (leftover && time_left() > -kRemovalDeadline) {
      const PodSeen* cleaner = last_pod(Job::kRemove);
      if (cleaner == nullptr) return create(Job::kRemove, 1, kRemovalDeadline);
      if (!cleaner->ended) {
        plan_.look_again = kWhileRunning;
        return;
      }
    }
    changed_ = true;
    set(condition::kComplete, ConditionStatus::kFalse, reason, message);
    set(condition::kFailed, ConditionStatus::kTrue, reason, message);
    note(true, "Failed", message);
  }

  // -- proving it

  /// What asks for a proof that there is none of yet; empty: nothing.
  std::string open_request() const {
    if (!is_complete(backup_)) return {};
    const auto asked = backup_.metadata.annotations.find(std::string(api::annotation::kVerify));
    std::string request(backup_.spec.verify ? kRequestOfSpec : "");
    if (asked != backup_.metadata.annotations.end() && !asked->second.empty()) {
      request = api::clamp_text(asked->second, kMaxRequestBytes);
    }
    const auto& last = status_.verification;
    return last && last->request == request && last->finished_at ? std::string() : request;
  }

  /// Whether there is anything to prove.
  bool verify() {
    const std::string request = open_request();
    if (request.empty()) return false;
    auto& proof = status_.verification;
    if (!proof || proof->request != request) {
      const std::int32_t run = proof ? proof->run : 0;
      proof.emplace();
      proof->request = request;
      proof->run = run;
      proof->started_at = seen_.now;
      begin_proof();
      return true;
    }
    const PodSeen* worker = pod(Job::kVerify, proof->run);
    const absl::Duration left = proof->started_at.value_or(seen_.now) +
                                absl::Seconds(backup_.spec.active_deadline_seconds) - seen_.now;
    if (worker == nullptr) {
      if (left <= absl::ZeroDuration()) {
        end_proof("CouldNotVerify", late());
      } else {
        create(Job::kVerify, proof->run, left);
      }
    } else if (!worker->ended) {
      plan_.look_again = kWhileRunning;
      if (!worker->trouble.empty()) {
        set(condition::kVerified, ConditionStatus::kUnknown, "PodWaits",
            api::str_cat("Pod ", worker->name, ": ", worker->trouble));
      }
    } else {
      judge(*worker, left);
    }
    return true;
  }

  void begin_proof() {
    ++status_.verification->run;
    ++status_.verification->attempts;
    changed_ = true;
    set(condition::kVerified, ConditionStatus::kUnknown, "Verifying",
        "it is restored into a member of its own and compared");
  }

  void judge(const PodSeen& worker, absl::Duration left) {
    const std::optional<Verdict>& verdict = worker.verdict;
    if (verdict && verdict->succeeded) {
      status_.verification->finished_at = seen_.now;
      status_.verification->restore_milliseconds =
          static_cast<std::int64_t>(verdict->restore_seconds * 1000);
      status_.verified_at = seen_.now;
      changed_ = true;
      set(condition::kVerified, ConditionStatus::kTrue, verdict->reason, verdict->message);
      note(false, "Verified", verdict->message);
      return;
    }
    const std::string why =
        verdict ? verdict->message
                : api::str_cat("Pod ", worker.name, " ended without a word: ", worker.trouble);
    if (verdict && !verdict->retryable) return end_proof(verdict->reason, why);
    if (status_.verification->attempts >= kMaxAttempts || left <= absl::ZeroDuration()) {
      return end_proof(verdict ? verdict->reason : "CouldNotVerify", why);
    }
    const absl::Duration delay = retry_delay_left(worker, status_.verification->attempts);
    if (delay > absl::ZeroDuration()) {
      plan_.look_again = delay;
      return;
    }
    begin_proof();
  }

  void end_proof(std::string_view reason, const std::string& why) {
    status_.verification->finished_at = seen_.now;
    status_.verified_at.reset();
    changed_ = true;
    set(condition::kVerified, ConditionStatus::kFalse, reason, why);
    note(true, "VerificationFailed", why);
  }

  // -- afterwards

  /// Pods whose outcome stands in status go; of those that failed the last stays, for its log.
  void tidy() {
    for (const PodSeen& pod : seen_.pods) {
      const bool failed = !pod.verdict || !pod.verdict->succeeded;
      if (pod.deleting || !pod.ended || (failed && last_pod(pod.job) == &pod)) continue;
      plan_.step = DeletePod{pod.name, pod.uid};
      plan_.look_again = absl::ZeroDuration();
      return;
    }
  }

  /// It is being deleted: what is stored goes with it if it is to, and if it can.
  void end() {
    if (!has_finalizer()) return;
    if (!wants_finalizer() || status_.attempts == 0) {
      plan_.step = ReleaseFinalizer{};
      return;
    }
    // Nobody may store anything once it is removed.
    for (const PodSeen& pod : seen_.pods) {
      if (pod.job == Job::kRemove || pod.ended) continue;
      if (!pod.deleting) plan_.step = DeletePod{pod.name, pod.uid};
      plan_.look_again = kWhileWaiting;
      return;
    }
    remove_stored();
  }

  void remove_stored() {
    const PodSeen* worker = last_pod(Job::kRemove);
    if (worker == nullptr) return create(Job::kRemove, 1, kRemovalDeadline);
    if (!worker->ended) {
      plan_.look_again = kWhileRunning;
      return;
    }
    // One that cleaned up after a failed try, before the deletion, has done all there is to do.
    if (worker->verdict && worker->verdict->succeeded) {
      plan_.step = ReleaseFinalizer{};
      return;
    }
    if (worker->number < kMaxAttempts) {
      const absl::Duration delay = retry_delay_left(*worker, worker->number);
      if (delay > absl::ZeroDuration()) {
        plan_.look_again = delay;
      } else {
        create(Job::kRemove, worker->number + 1, kRemovalDeadline);
      }
      return;
    }
    note(true, "StoredCopyLeft",
         api::str_cat("what is stored could not be removed and stays: ",
                      uri_of(backup_.spec.target, object_of(backup_)), ": ",
                      worker->verdict ? worker->verdict->message : worker->trouble));
    plan_.step = ReleaseFinalizer{};
  }

  static constexpr std::size_t kMaxRequestBytes = 256;

  const BackupSeen& seen_;
  const api::HoldfastBackup& backup_;
  api::BackupStatus status_;
  ConditionWriter conditions_{status_.conditions, backup_.metadata.generation, seen_.now};
  BackupPlan plan_;
  bool changed_ = false;
};

}  // namespace

BackupPlan plan_backup(const BackupSeen& seen) {
  return Planner(seen).plan();
}

std::string object_of(const api::HoldfastBackup& backup) {
  constexpr std::size_t kUidDigits = 8;
  return api::str_cat(backup.metadata.ns, "/", backup.spec.cluster_ref.name, "/",
                      backup.metadata.name, "-", backup.metadata.uid.substr(0, kUidDigits), ".db",
                      is_encrypted(backup.spec.target) ? ".sealed" : "");
}

bool is_complete(const api::HoldfastBackup& backup) {
  return api::is_true(backup.status.conditions, condition::kComplete);
}
bool is_verified(const api::HoldfastBackup& backup) {
  return api::is_true(backup.status.conditions, condition::kVerified);
}
bool has_failed(const api::HoldfastBackup& backup) {
  return api::is_true(backup.status.conditions, condition::kFailed);
}

}  // namespace holdfast::backup
