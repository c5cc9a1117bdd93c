#include "operator/actions/executor.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "operator/actions/auth.h"
#include "operator/actions/certificates.h"
#include "operator/actions/encryption.h"
#include "operator/actions/issued.h"
#include "operator/actions/member_steps.h"
#include "operator/actions/status.h"
#include "operator/actions/texts.h"
#include "operator/actions/upkeep.h"
#include "operator/api/names.h"
#include "operator/api/operation.h"
#include "operator/observe/assemble.h"
#include "operator/observe/kinds.h"
#include "operator/specs/claim.h"
#include "operator/specs/difference.h"
#include "operator/specs/pod.h"
#include "operator/specs/standing.h"

namespace holdfast::actions {

namespace {

using kube::Json;
using kube::Object;
using kube::ObjectKey;
namespace kinds = observe::kinds;

bool is_asked_of_members(const reconcile::Step& step) {
  return std::holds_alternative<reconcile::AddLearner>(step) ||
         std::holds_alternative<reconcile::PromoteLearner>(step) ||
         std::holds_alternative<reconcile::RemoveMember>(step) ||
         std::holds_alternative<reconcile::RemoveStranger>(step) ||
         std::holds_alternative<reconcile::MoveLeader>(step) ||
         std::holds_alternative<reconcile::LowerVersion>(step) ||
         std::holds_alternative<reconcile::CancelLowering>(step) ||
         std::holds_alternative<reconcile::Defragment>(step) ||
         std::holds_alternative<reconcile::Compact>(step) ||
         std::holds_alternative<reconcile::DisarmAlarm>(step);
}

specs::Start start_of(reconcile::Start start) {
  switch (start) {
    case reconcile::Start::kNewCluster:
      return specs::Start::kNewCluster;
    case reconcile::Start::kJoin:
      return specs::Start::kJoinExisting;
    case reconcile::Start::kForceAlone:
      return specs::Start::kForceNewCluster;
    case reconcile::Start::kRestored:
      return specs::Start::kRestored;
    case reconcile::Start::kReturned:
      return specs::Start::kReturned;
  }
  return specs::Start::kJoinExisting;
}

bool exchanges_data(reconcile::Start start) {
  return start == reconcile::Start::kRestored || start == reconcile::Start::kReturned;
}

}  // namespace

/// One pass of one cluster.
class Executor::Run {
 public:
  Run(Executor& executor, const Pass& pass, std::shared_ptr<const kube::Leadership> leadership)
      : executor_(executor), pass_(pass), write_(executor.client_, std::move(leadership)) {}

  Outcome run() {
    const bool deleting = pass_.resolved.wishes.deleting;
    if (!deleting && !keep(hold_finalizer())) return std::move(outcome_);
    if (!keep(write_status())) return std::move(outcome_);
    announce();
    if (!deleting && !pass_.resolved.wishes.paused) {
      hold_standing_objects();
      hold_member_objects();
      hold_issued_certificates();
      keep(carry_out_certificate_step());
      keep(carry_out_auth_step());
      keep(hold_key_secrets(write_, pass_));
      keep(carry_out_encryption_step());
    }
    for (const reconcile::Step& step : pass_.plan.repairs) keep(carry_out_step(step));
    if (pass_.plan.disruptive && outcome_.status.ok()) keep(carry_out_step(*pass_.plan.disruptive));
    for (const reconcile::Finished& finished : pass_.plan.finished) keep(answer(finished));
    for (const reconcile::Finished& finished : pass_.certificate_plan.finished) {
      keep(answer(finished));
    }
    maintain_one();
    end_operations();
    return std::move(outcome_);
  }

 private:
  const api::HoldfastCluster& cluster() const { return pass_.cluster(); }
  const std::string& ns() const { return cluster().metadata.ns; }
  ObjectKey cluster_key() const { return {ns(), cluster().metadata.name}; }
  std::string member(reconcile::Ordinal ordinal) const {
    return api::member_name(cluster().metadata.name, ordinal);
  }
  ObjectKey pod_key(reconcile::Ordinal ordinal) const { return {ns(), member(ordinal)}; }
  ObjectKey claim_key(reconcile::Ordinal ordinal) const {
    return {ns(), api::claim_name(cluster().metadata.name, ordinal)};
  }

  /// Notes the first failure. False if there was one now.
  bool keep(const absl::Status& status) {
    if (outcome_.status.ok() && !status.ok()) outcome_.status = status;
    return status.ok();
  }

  absl::Status hold_finalizer() {
    const auto& finalizers = cluster().metadata.finalizers;
    if (std::find(finalizers.begin(), finalizers.end(), api::kFinalizer) != finalizers.end()) {
      return absl::OkStatus();
    }
    std::vector<std::string> wanted = finalizers;
    wanted.emplace_back(api::kFinalizer);
    // Whatever this pass has seen is older than its own write now: the next one goes on.
    const absl::Status status = patch_finalizers(wanted);
    return status.ok() ? absl::AbortedError("the finalizer was added; looking again") : status;
  }

  absl::Status release_finalizer() {
    std::vector<std::string> wanted = cluster().metadata.finalizers;
    std::erase(wanted, api::kFinalizer);
    return patch_finalizers(wanted);
  }

  absl::Status patch_finalizers(const std::vector<std::string>& wanted) {
    const Json patch = {{"metadata",
                         {{"uid", cluster().metadata.uid},
                          {"resourceVersion", version_to_change()},
                          {"finalizers", wanted}}}};
    return write_.patch(kinds::kClusters, cluster_key(), patch);
  }

  std::string version_to_change() const {
    return outcome_.written_version.empty() ? cluster().metadata.resource_version
                                            : outcome_.written_version;
  }

  absl::Status write_status() {
    api::HoldfastCluster next = cluster();
    next.status = next_status(pass_);
    if (next.status == cluster().status) return confirm_is_newest();
    Json body = api::status_to_apply(next);
    body["metadata"]["resourceVersion"] = cluster().metadata.resource_version;
    const absl::StatusOr<Json> written = write_.apply(kinds::kClusters, body, "status");
    if (!written.ok()) return written.status();
    outcome_.written_version = std::string(kube::resource_version_of(*written));
    return absl::OkStatus();
  }

  /// Nothing to write, so nothing that a newer operator's write would have made us lose by: what
  /// takes something away is only done by one who has seen the newest.
  absl::Status confirm_is_newest() {
    const bool deletes = std::any_of(
        pass_.plan.repairs.begin(), pass_.plan.repairs.end(), [](const reconcile::Step& step) {
          return std::holds_alternative<reconcile::DeleteVolume>(step) ||
                 std::holds_alternative<reconcile::DeletePod>(step);
        });
    if (!deletes && !pass_.plan.disruptive) return absl::OkStatus();
    const absl::StatusOr<Json> live = executor_.client_.get(kinds::kClusters, cluster_key());
    if (!live.ok()) return live.status();
    if (kube::resource_version_of(*live) == cluster().metadata.resource_version) {
      return absl::OkStatus();
    }
    return absl::AbortedError("the resource has changed since it was seen; looking again");
  }

  void announce() {
    for (const reconcile::Announcement& each : pass_.plan.announcements) {
      record(each.warning, each.reason, "Reconcile", each.message);
    }
    announce_issuer();
    announce_auth();
    announce_encryption();
    announce_storage();
  }

  void announce_encryption() {
    const auto& waiting = pass_.encryption_plan.waiting;
    if (!waiting || waiting->reason == reconcile::kSealing ||
        waiting->reason == reconcile::kKeyChanging) {
      return;
    }
    tell_once(api::condition::kEncryptionReady, *waiting);
  }

  void announce_storage() {
    if (pass_.plan.storage) return tell_once(api::condition::kStorageHealthy, *pass_.plan.storage);
    const api::Condition* before =
        api::find_condition(cluster().status.conditions, api::condition::kStorageHealthy);
    const bool grew = before != nullptr && before->reason == "Growing";
    if (grew && pass_.plan.growing.empty()) {
      record(false, "VolumesGrown", "Reconcile", "every volume has the size that is declared");
    }
  }

  /// What only a person can do; told once for each thing to do.
  void announce_auth() {
    const auto& waiting = pass_.auth_plan.waiting;
    if (!waiting || waiting->reason == reconcile::kWaitingForMembers) return;
    tell_once(api::condition::kAuthReady, *waiting);
  }

  /// An issuer that gives nothing is the user's to mend; told once for each way of not giving.
  void announce_issuer() {
    for (const auto* side : {&pass_.certificate_plan.peer, &pass_.certificate_plan.client}) {
      if (!side->waiting || side->waiting->reason != reconcile::kIssuerNotReady) continue;
      return tell_once(api::condition::kTlsReady, *side->waiting);  // what the condition tells
    }
  }

  /// Unless the condition has said it before.
  void tell_once(std::string_view condition, const reconcile::Waiting& waiting) {
    const std::string message = with_member_names(waiting.message, cluster().metadata.name);
    const api::Condition* before = api::find_condition(cluster().status.conditions, condition);
    if (before == nullptr || before->message != message) {
      record(true, waiting.reason, "Reconcile", message);
    }
  }

  void record(bool warning, std::string_view reason, std::string_view action,
              std::string_view note) {
    using Type = kube::EventRecorder::Type;
    executor_.events_.record(*pass_.snapshot.object, warning ? Type::kWarning : Type::kNormal,
                             reason, action, with_member_names(note, cluster().metadata.name));
  }

  specs::Surroundings surroundings() const {
    const ExecutorOptions& options = executor_.options_;
    return {pass_.plan.budget, options.serves_service_monitors, options.serves_alert_rules,
            options.operator_namespace};
  }

  void hold_standing_objects() {
    for (const Json& wanted : specs::standing_objects(cluster(), surroundings())) {
      const std::string kind(kube::text_at(wanted, {"kind"}));
      const Object live = pass_.snapshot.find_standing(kind, std::string(kube::name_of(wanted)));
      if (live && !specs::needs_apply(wanted, *live)) continue;
      const auto resource = observe::resource_of(kind);
      if (resource) keep(write_.apply(*resource, wanted).status());
    }
    for (const specs::ObjectKey& unwanted : specs::unwanted_objects(cluster(), surroundings())) {
      const Object live = pass_.snapshot.find_standing(unwanted.kind, unwanted.name);
      const auto resource = observe::resource_of(unwanted.kind);
      if (!live || !resource || !observe::is_ours(pass_.snapshot, *live)) continue;
      keep(write_.remove(*resource, {ns(), unwanted.name}, std::string(kube::uid_of(*live))));
    }
  }

  void hold_issued_certificates() {
    const Asked asked = ask_cert_manager(write_, pass_);
    for (const std::string& refusal : asked.refusals) {
      record(true, "CertificateRefused", "Reconcile", refusal);
    }
    keep(asked.status);
    keep(delete_leaves_of_the_gone(write_, pass_));
  }

  /// What may change on Pods and claims while they are in use.
  void hold_member_objects() {
    for (const Object& pod : pass_.snapshot.pods) {
      const auto ordinal = api::ordinal_of(cluster().metadata.name, kube::name_of(*pod));
      if (!ordinal || !observe::is_ours(pass_.snapshot, *pod)) continue;
      if (!kube::text_at(*pod, {"metadata", "deletionTimestamp"}).empty()) continue;
      const auto patch = specs::pod_metadata_patch(cluster(), marks_of(*ordinal), *pod);
      if (patch) keep(look_again_after(write_.patch(kinds::kPods, pod_key(*ordinal), *patch)));
    }
    for (const Object& claim : pass_.snapshot.claims) {
      if (!observe::is_ours(pass_.snapshot, *claim)) continue;
      const auto patch = specs::retention_patch(cluster(), *claim);
      if (patch) {
        keep(look_again_after(write_.patch(kinds::kClaims, kube::key_of(*claim), *patch)));
      }
    }
  }

  /// A member that is not (yet) known as a voter is a learner: nobody is led to it, and no budget
  /// counts it.
  specs::MemberMarks marks_of(reconcile::Ordinal ordinal) const {
    specs::MemberMarks marks;
    marks.ordinal = ordinal;
    marks.learner = true;
    if (std::string mark = certificates_mark(pass_, ordinal); !mark.empty()) {
      marks.annotations[std::string(api::annotation::kCertificates)] = std::move(mark);
    }
    if (std::string mark = keys_mark(pass_); !mark.empty()) {
      marks.annotations[std::string(api::annotation::kKeys)] = std::move(mark);
    }
    for (const reconcile::Member& member : pass_.observed.members) {
      if (member.ordinal != ordinal || !member.registration) continue;
      marks.learner = member.registration->learner;
      marks.id = member.registration->id;
      return marks;
    }
    // While no quorum answers what was known last stays.
    for (const api::MemberStatus& known : cluster().status.members) {
      if (known.name != member(ordinal)) continue;
      marks.learner = known.role == api::MemberRole::kLearner;
      marks.id = known.id;
    }
    return marks;
  }

  absl::Status carry_out_certificate_step() {
    const auto& step = pass_.certificate_plan.step;
    if (!step) return absl::OkStatus();
    const absl::Status status =
        CertificateWriter(executor_.client_, write_, pass_).carry_out(*step);
    const std::string what = reconcile::to_string(*step);
    executor_.log_.info(status.ok() ? "carried out a step" : "could not carry out a step",
                        {{"cluster", kube::to_text(cluster_key())},
                         {"step", what},
                         {"outcome", std::string(status.message())}});
    // Single certificates are many and told by the log alone.
    const bool single = std::holds_alternative<reconcile::IssueLeaf>(*step) ||
                        std::holds_alternative<reconcile::InstallLeaf>(*step);
    if (status.ok() && !single) record(false, "Certificates", "Reconcile", what);
    if (std::holds_alternative<reconcile::SetPeerScheme>(*step)) outcome_.changed_members = true;
    return status;
  }

  absl::Status carry_out_auth_step() {
    const auto& step = pass_.auth_plan.step;
    if (!step) return absl::OkStatus();
    const absl::Status status = actions::carry_out(write_, pass_, *step);
    const std::string what = reconcile::to_string(*step);
    log_step(what, status);
    if (status.ok()) {
      const News news = news_of(pass_, *step);
      if (!news.reason.empty()) record(false, news.reason, "Reconcile", news.sentence);
    } else if (is_asked_of_members(*step)) {
      tell_refusal(what, status);
      return absl::OkStatus();
    }
    return status;
  }

  absl::Status carry_out_encryption_step() {
    const auto& step = pass_.encryption_plan.step;
    if (!step) return absl::OkStatus();
    const absl::Status status = actions::carry_out(write_, pass_, *step);
    log_step(reconcile::to_string(*step), status);
    if (!status.ok()) return status;
    const News news = news_of(pass_, *step);
    record(false, news.reason, "Reconcile", news.sentence);
    return status;
  }

  void tell_refusal(const std::string& what, const absl::Status& status) {
    if (member::outcome_of(status) != member::Outcome::kRejected) return;
    record(true, "MembersRefused", "Reconcile",
           absl::StrCat("refused by the members: ", what, ": ", std::string(status.message())));
  }

  /// A Pod is made once its member's certificates stand; the pass that sees the last of them does
  /// it.
  bool awaits_certificates(const reconcile::Step& step) const {
    const auto* pod = std::get_if<reconcile::CreatePod>(&step);
    return pod != nullptr && !pass_.certificate_plan.startable.contains(pod->ordinal);
  }

  absl::Status carry_out_step(const reconcile::Step& step) {
    if (awaits_certificates(step)) return absl::OkStatus();
    if (absl::Status status = write_.may_write(); !status.ok()) return status;
    const bool of_members = is_asked_of_members(step);
    const absl::Status status =
        std::visit([this](const auto& kind) { return perform(kind); }, step);
    const std::string what = reconcile::to_string(step);
    log_step(what, status);
    if (status.ok()) {
      outcome_.changed_members = outcome_.changed_members || of_members;
      // Users are told what changes the cluster; that volumes and Pods follow, Kubernetes tells.
      if (of_members) {
        record(false, reconcile::reason_of(step), "Reconcile", reconcile::sentence_of(step));
      }
    } else if (of_members) {
      tell_refusal(what, status);
    }
    // Members say no, not yet or nothing at all as a matter of course: the next look tells.
    return of_members ? absl::OkStatus() : status;
  }

  void log_step(const std::string& what, const absl::Status& status) {
    const std::string cluster_name = kube::to_text(cluster_key());
    if (status.ok()) {
      executor_.log_.info("carried out a step", {{"cluster", cluster_name}, {"step", what}});
    } else if (member::outcome_of(status) == member::Outcome::kRetry) {
      executor_.log_.debug(
          "a step has to wait",
          {{"cluster", cluster_name}, {"step", what}, {"why", std::string(status.message())}});
    } else {
      executor_.log_.warn("a step was not carried out, or nobody knows",
                          {{"cluster", cluster_name}, {"step", what}, telemetry::Field(status)});
    }
  }

  absl::Status perform(const reconcile::CreateVolume& step) {
    return write_.create(
        kinds::kClaims,
        specs::member_claim(cluster(), {step.ordinal, step.cluster_id.value_or(ClusterId{})}));
  }
  absl::Status perform(const reconcile::LatchVolume& step) {
    const Object claim = claim_of(step.ordinal);
    if (!claim) return absl::OkStatus();
    return look_again_after(
        write_.patch(kinds::kClaims, claim_key(step.ordinal),
                     specs::latch_patch(std::string(kube::uid_of(*claim)), step.cluster_id)));
  }
  absl::Status perform(const reconcile::GrowVolume& step) {
    const Object claim = claim_of(step.ordinal);
    if (!claim) return absl::OkStatus();
    return look_again_after(
        write_.patch(kinds::kClaims, claim_key(step.ordinal),
                     specs::grow_patch(std::string(kube::uid_of(*claim)), step.bytes)));
  }
  absl::Status perform(const reconcile::DeleteVolume& step) {
    // The Pod may be younger than what the caches show (rule 6).
    const absl::StatusOr<Json> pod = executor_.client_.get(kinds::kPods, pod_key(step.ordinal));
    const bool deleting = pass_.resolved.wishes.deleting;
    if (pod.ok() && !deleting) return absl::OkStatus();
    if (!pod.ok() && !absl::IsNotFound(pod.status())) return pod.status();
    return write_.remove(kinds::kClaims, claim_key(step.ordinal), step.uid);
  }
  absl::Status perform(const reconcile::CreatePod& step) {
    specs::MemberStart start{
        start_of(step.start), {step.joining.begin(), step.joining.end()}, {}, step.restore};
    if (step.start == reconcile::Start::kJoin) start.foreign = strangers();
    Json pod = specs::member_pod(cluster(), pass_.resolved.member, marks_of(step.ordinal), start);
    if (exchanges_data(step.start)) return create_exchanging(step, std::move(pod));
    if (step.start != reconcile::Start::kNewCluster) return write_.create(kinds::kPods, pod);
    const absl::StatusOr<Json> seed = executor_.options_.prepare_seed(cluster(), std::move(pod));
    if (seed.ok()) return write_.create(kinds::kPods, *seed);
    record(true, "CannotRestore", "Bootstrap", std::string(seed.status().message()));
    return seed.status();
  }
  /// Nobody may run on the other data, and the caches may be older than the last Pod.
  absl::Status create_exchanging(const reconcile::CreatePod& step, Json pod) {
    for (const reconcile::Member& other : pass_.observed.members) {
      const absl::StatusOr<Json> live = executor_.client_.get(kinds::kPods, pod_key(other.ordinal));
      if (absl::IsNotFound(live.status())) continue;
      if (!live.ok()) return live.status();
      const specs::PodOrigin origin = specs::pod_origin(*live);
      if (origin.start == start_of(step.start) && origin.restore == step.restore) continue;
      return absl::AbortedError(
          absl::StrCat(member(other.ordinal), " still has another Pod; looking again"));
    }
    const absl::StatusOr<Json> prepared =
        executor_.options_.prepare_exchange(cluster(), std::move(pod));
    if (prepared.ok()) return write_.create(kinds::kPods, *prepared);
    record(true, "CannotRestore", "Restore", std::string(prepared.status().message()));
    return prepared.status();
  }
  /// Of a cluster that is joined: a joiner is told of every member.
  std::vector<specs::InitialMember> strangers() const {
    std::vector<specs::InitialMember> all;
    for (const reconcile::Stranger& stranger : pass_.observed.strangers) {
      for (const std::string& url : stranger.peer_urls) all.push_back({stranger.name, url});
    }
    return all;
  }
  absl::Status perform(const reconcile::DeletePod& step) {
    // Nobody is left to confirm the end of one whose node is gone.
    bool at_once = false;
    for (const Object& pod : pass_.snapshot.pods) {
      if (kube::uid_of(*pod) == step.uid) at_once = observe::is_node_gone(pass_.snapshot, *pod);
    }
    if (step.evict && !at_once) return write_.evict(pod_key(step.ordinal), step.uid);
    return write_.remove(kinds::kPods, pod_key(step.ordinal), step.uid, at_once);
  }
  absl::Status perform(const reconcile::RemoveFinalizer& /*step*/) {
    return look_again_after(release_finalizer());
  }
  template <class MemberStep>
  absl::Status perform(const MemberStep& step) {
    return actions::carry_out(pass_, step);
  }

  Object claim_of(reconcile::Ordinal ordinal) const {
    for (const Object& claim : pass_.snapshot.claims) {
      if (kube::key_of(*claim) == claim_key(ordinal)) return claim;
    }
    return nullptr;
  }

  /// The oldest HoldfastOperation that the planner has no say in.
  void maintain_one() {
    if (!outcome_.status.ok() || !may_maintain(pass_)) return;
    std::optional<api::HoldfastOperation> oldest;
    for (const Object& object : pass_.snapshot.operations) {
      auto operation = api::read<api::HoldfastOperation>(*object);
      if (!operation.ok() || !is_upkeep(*operation) || api::is_finished(*operation)) continue;
      if (operation->metadata.deletion_timestamp || api::is_overdue(*operation, pass_.now))
        continue;
      const auto created = operation->metadata.creation_timestamp;
      if (!oldest || created < oldest->metadata.creation_timestamp) oldest = *std::move(operation);
    }
    if (!oldest || !keep(write_.may_write())) return;
    const Progress progress = maintain(pass_, *oldest);
    if (progress.finished) {
      keep(answer(*progress.finished));
    } else if (!progress.done_member.empty()) {
      api::OperationStatus& status = oldest->status;
      if (!status.started_at) status.started_at = pass_.now;
      status.observed_generation = oldest->metadata.generation;
      status.member = progress.done_member;
      status.done_members.push_back(progress.done_member);
      keep(write_operation(*oldest));
    }
  }

  /// Those whose time is up fail; those that have ended long enough ago go.
  void end_operations() {
    for (const Object& object : pass_.snapshot.operations) {
      const auto operation = api::read<api::HoldfastOperation>(*object);
      if (!operation.ok() || operation->metadata.deletion_timestamp) continue;
      if (api::is_overdue(*operation, pass_.now)) {
        keep(answer({operation->metadata.name, false,
                     absl::StrCat("it did not end within ", operation->spec.active_deadline_seconds,
                                  " s (spec.activeDeadlineSeconds)")}));
      } else if (api::is_outlived(*operation, pass_.now)) {
        keep(write_.remove(kinds::kOperations, kube::key_of(*object),
                           std::string(kube::uid_of(*object))));
      }
    }
  }

  absl::Status write_operation(const api::HoldfastOperation& operation) {
    Json body = api::status_to_apply(operation);
    body["metadata"]["resourceVersion"] = operation.metadata.resource_version;
    return look_again_after(write_.apply(kinds::kOperations, body, "status").status());
  }

  /// Tells the HoldfastOperation what became of it.
  absl::Status answer(const reconcile::Finished& finished) {
    for (const Object& object : pass_.snapshot.operations) {
      if (kube::name_of(*object) != finished.request) continue;
      auto operation = api::read<api::HoldfastOperation>(*object);
      if (!operation.ok() || api::is_finished(*operation)) return absl::OkStatus();
      finish(finished, *operation);
      return write_operation(*operation);
    }
    return absl::OkStatus();
  }

  void finish(const reconcile::Finished& finished, api::HoldfastOperation& operation) const {
    api::OperationStatus& status = operation.status;
    status.observed_generation = operation.metadata.generation;
    status.message = with_member_names(finished.message, cluster().metadata.name);
    status.completed_at = pass_.now;
    if (!status.started_at) status.started_at = pass_.now;
    api::Condition condition;
    condition.type =
        std::string(finished.succeeded ? api::condition::kComplete : api::condition::kFailed);
    condition.status = api::ConditionStatus::kTrue;
    condition.reason = finished.succeeded ? "Done" : "CouldNotBeDone";
    condition.message = status.message;
    condition.observed_generation = operation.metadata.generation;
    condition.last_transition_time = pass_.now;
    api::set_condition(status.conditions, std::move(condition));
  }

  Executor& executor_;
  const Pass& pass_;
  Writer write_;
  Outcome outcome_;
};

Outcome Executor::carry_out(const Pass& pass, std::shared_ptr<const kube::Leadership> leadership) {
  return Run(*this, pass, std::move(leadership)).run();
}

}  // namespace holdfast::actions
