#include "operator/api/operation.h"

#include "operator/api/json_fields.h"
#include "operator/api/text.h"

namespace holdfast::api {

void fields(auto& visit, is<Defragment> auto& action) {
  visit("member", action.member);
}

void fields(auto& visit, is<Compact> auto& action) {
  visit.unless_zero("revision", action.revision);
  visit.unless_zero("keepRevisions", action.keep_revisions);
}

void fields(auto& visit, is<MoveLeader> auto& action) {
  visit("member", action.member);
}

void fields(auto& visit, is<DisarmAlarm> auto& action) {
  visit("alarm", action.alarm);
  visit("member", action.member);
}

void fields(auto& visit, is<ReplaceMember> auto& action) {
  visit("member", action.member);
}

void fields(auto& visit, is<RotateCertificates> auto& action) {
  visit("scope", action.scope);
  visit("side", action.side);
}

void fields(auto& visit, is<RecoverQuorum> auto& action) {
  visit("survivor", action.survivor);
  visit("acceptDataLoss", action.accept_data_loss);
}

void fields(auto& visit, is<Restart> auto& action) {
  visit("member", action.member);
}

void fields(auto&, is<FinishJoin> auto&) {
}

namespace {

/// Makes `action` the alternative that `type` names, with its own defaults; false if none does.
template <std::size_t I = 0>
bool choose(std::string_view type, OperationAction& action) {
  if constexpr (I < std::variant_size_v<OperationAction>) {
    if (std::variant_alternative_t<I, OperationAction>::kType != type) {
      return choose<I + 1>(type, action);
    }
    action.emplace<I>();
    return true;
  } else {
    return false;
  }
}

}  // namespace

std::string_view type_of(const OperationAction& action) {
  return std::visit([]<class Action>(const Action&) { return Action::kType; }, action);
}

bool is_finished(const HoldfastOperation& operation) {
  return is_true(operation.status.conditions, condition::kComplete) ||
         is_true(operation.status.conditions, condition::kFailed);
}

bool is_overdue(const HoldfastOperation& operation, absl::Time now) {
  const auto& made_at = operation.metadata.creation_timestamp;
  return !is_finished(operation) && made_at &&
         now - *made_at >= absl::Seconds(operation.spec.active_deadline_seconds);
}

bool is_outlived(const HoldfastOperation& operation, absl::Time now) {
  const auto& ended_at = operation.status.completed_at;
  const auto& kept = operation.spec.ttl_seconds_after_finished;
  return is_finished(operation) && ended_at && kept && now - *ended_at >= absl::Seconds(*kept);
}

void fields(FieldReader& visit, OperationSpec& spec) {
  visit("clusterRef", spec.cluster_ref);
  visit("activeDeadlineSeconds", spec.active_deadline_seconds);
  visit("ttlSecondsAfterFinished", spec.ttl_seconds_after_finished);
  std::string type;
  visit("type", type);
  if (!choose(type, spec.action)) {
    visit.refuse("type", str_cat("\"", clamp_text(type, 64), "\" is no operation"));
  }
  std::visit([&]<class Action>(Action& action) { visit(Action::kField, action); }, spec.action);
}

void fields(FieldWriter& visit, const OperationSpec& spec) {
  visit("clusterRef", spec.cluster_ref);
  visit("activeDeadlineSeconds", spec.active_deadline_seconds);
  visit("ttlSecondsAfterFinished", spec.ttl_seconds_after_finished);
  visit("type", std::string(type_of(spec.action)));
  std::visit([&]<class Action>(const Action& action) { visit(Action::kField, action); },
             spec.action);
}

void fields(auto& visit, is<OperationStatus> auto& status) {
  visit("observedGeneration", status.observed_generation);
  visit("step", status.step);
  visit("member", status.member);
  visit("memberID", status.member_id);
  visit.message("message", status.message);
  visit("startedAt", status.started_at);
  visit("completedAt", status.completed_at);
  visit("doneMembers", status.done_members);
  visit("conditions", status.conditions);
}

template absl::StatusOr<HoldfastOperation> read(const nlohmann::json&);
template nlohmann::json write(const HoldfastOperation&);
template nlohmann::json status_to_apply(const HoldfastOperation&);

}  // namespace holdfast::api
