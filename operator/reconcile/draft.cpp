#include "operator/reconcile/draft.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace holdfast::reconcile {

std::string name_of(Ordinal ordinal) {
  return absl::StrCat("member ", ordinal);
}

namespace {

/// The deadline once more, and twice as long after each further time.
Seconds pause_after(const Parked& parked, Seconds deadline) {
  return deadline << (std::clamp(parked.times, 1, kMostParkings) - 1);
}

}  // namespace

void Draft::park(const std::string& why) {
  const Operation operation = *memory().operation;
  Parked parked{operation.kind, operation.ordinal, wishes().generation, now()};
  const auto& before = memory().parked;
  if (before && before->kind == parked.kind && before->generation == parked.generation) {
    parked.times = std::min(before->times + 1, kMostParkings);
  }
  memory().parked = parked;
  const Seconds deadline = wishes().progress_deadline_seconds;
  warn(absl::StrCat(to_string(operation.kind), "Parked"),
       absl::StrCat(to_string(operation.kind), " of ", name_of(operation.ordinal),
                    " did not end within ", deadline, " s: ", why,
                    "; tried again when the spec changes, or after ", pause_after(parked, deadline),
                    " s"));
  finish();
}

void Draft::succeed() {
  auto& parked = memory().parked;
  if (parked && parked->kind == memory().operation->kind) parked.reset();
  finish();
}

void report(Draft& draft, const std::string& request, bool succeeded, std::string message) {
  draft.plan.finished.push_back({request, succeeded, std::move(message)});
}

bool Draft::is_parked(Operation::Kind kind) const {
  const auto& parked = plan.memory.parked;
  return parked && parked->kind == kind && parked->generation == wishes().generation &&
         now() - parked->since <= pause_after(*parked, wishes().progress_deadline_seconds);
}

namespace {

std::string name(const CreateVolume& step) {
  return absl::StrCat("CreateVolume ", step.ordinal);
}
std::string name(const LatchVolume& step) {
  return absl::StrCat("LatchVolume ", step.ordinal);
}
std::string name(const GrowVolume& step) {
  return absl::StrCat("GrowVolume ", step.ordinal, " to ", step.bytes, " bytes");
}
std::string name(const DeleteVolume& step) {
  return absl::StrCat("DeleteVolume ", step.ordinal);
}
std::string name(const CreatePod& step) {
  switch (step.start) {
    case Start::kNewCluster:
      return absl::StrCat("CreatePod ", step.ordinal, " as seed");
    case Start::kForceAlone:
      return absl::StrCat("CreatePod ", step.ordinal, " forced alone");
    case Start::kRestored:
      return absl::StrCat("CreatePod ", step.ordinal, " from the backup");
    case Start::kReturned:
      return absl::StrCat("CreatePod ", step.ordinal, " with its old data");
    case Start::kJoin:
      break;
  }
  return absl::StrCat("CreatePod ", step.ordinal);
}
std::string name(const DeletePod& step) {
  return absl::StrCat("DeletePod ", step.ordinal);
}
std::string name(const AddLearner& step) {
  return absl::StrCat("AddLearner ", step.ordinal);
}
std::string name(const PromoteLearner& step) {
  return absl::StrCat("PromoteLearner ", step.ordinal);
}
std::string name(const RemoveMember& step) {
  return absl::StrCat("RemoveMember ", step.ordinal);
}
std::string name(const RemoveStranger& step) {
  return absl::StrCat("RemoveStranger ", step.name);
}
std::string name(const MoveLeader& step) {
  return absl::StrCat("MoveLeader ", step.from ? absl::StrCat(*step.from) : "of another", " to ",
                      step.to);
}
std::string name(const LowerVersion& step) {
  return absl::StrCat("LowerVersion to ", api::format_level(step.to));
}
std::string name(const CancelLowering& /*step*/) {
  return "CancelLowering";
}
std::string name(const Defragment& step) {
  return absl::StrCat("Defragment ", step.ordinal);
}
std::string name(const Compact& step) {
  return absl::StrCat("Compact at ", step.revision);
}
std::string name(const DisarmAlarm& step) {
  return absl::StrCat("DisarmAlarm of ", step.ids.size());
}
std::string name(const RemoveFinalizer& /*step*/) {
  return "RemoveFinalizer";
}

}  // namespace

std::string to_string(const Step& step) {
  return std::visit([](const auto& kind) { return name(kind); }, step);
}

std::string to_string(Operation::Kind kind) {
  switch (kind) {
    case Operation::Kind::kBootstrap:
      return "Bootstrap";
    case Operation::Kind::kGrow:
      return "Grow";
    case Operation::Kind::kShrink:
      return "Shrink";
    case Operation::Kind::kReplace:
      return "Replace";
    case Operation::Kind::kRestart:
      return "Restart";
    case Operation::Kind::kFence:
      return "Fence";
    case Operation::Kind::kMoveLeader:
      return "MoveLeader";
    case Operation::Kind::kRecoverQuorum:
      return "RecoverQuorum";
    case Operation::Kind::kRestore:
      return "Restore";
  }
  return "";
}

}  // namespace holdfast::reconcile
