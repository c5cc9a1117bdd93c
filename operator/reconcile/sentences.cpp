#include "absl/strings/str_cat.h"
#include "operator/reconcile/draft.h"

/// What members do at our word, as users read it in events.
namespace holdfast::reconcile {
namespace {

struct Told {
  std::string reason;
  std::string sentence;
};

Told tell(const AddLearner& step) {
  return {"LearnerAdded", absl::StrCat(name_of(step.ordinal), " was added as a learner")};
}
Told tell(const PromoteLearner& step) {
  return {"LearnerPromoted", absl::StrCat(name_of(step.ordinal), " has caught up and votes")};
}
Told tell(const RemoveMember& step) {
  return {"MemberRemoved", absl::StrCat(name_of(step.ordinal), " was removed from the cluster")};
}
Told tell(const RemoveStranger& step) {
  return {"MemberRemoved",
          absl::StrCat(step.name, ", a member of the cluster that was joined, was ", "removed")};
}
Told tell(const MoveLeader& step) {
  const std::string from = step.from ? name_of(*step.from) : "a member of the joined cluster";
  return {"LeaderMoved", absl::StrCat("the lead went from ", from, " to ", name_of(step.to))};
}
Told tell(const LowerVersion& step) {
  return {"DowngradeEnabled",
          absl::StrCat("the members were asked to agree on etcd version ",
                       api::format_level(step.to), ", which the older release needs")};
}
Told tell(const CancelLowering& /*step*/) {
  return {"DowngradeCancelled", "spec.version no longer asks for the older release"};
}
Told tell(const Defragment& step) {
  return {"MemberDefragmented", absl::StrCat(name_of(step.ordinal), " gave its free pages back")};
}
Told tell(const Compact& step) {
  return {"Compacted", absl::StrCat("revisions up to ", step.revision, " were compacted")};
}
Told tell(const DisarmAlarm& /*step*/) {
  return {"AlarmDisarmed", "there is room again: the NOSPACE alarm was taken back"};
}
/// Of objects Kubernetes tells.
template <class OfObjects>
Told tell(const OfObjects& step) {
  const std::string text = to_string(Step(step));
  return {text.substr(0, text.find(' ')), text};
}

Told tell_of(const Step& step) {
  return std::visit([](const auto& kind) { return tell(kind); }, step);
}

}  // namespace

std::string reason_of(const Step& step) {
  return tell_of(step).reason;
}

std::string sentence_of(const Step& step) {
  return tell_of(step).sentence;
}

}  // namespace holdfast::reconcile
