#include "operator/actions/member_steps.h"

#include <algorithm>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "operator/api/names.h"
#include "operator/member/fleet.h"
#include "operator/observe/wishes.h"
#include "operator/reconcile/facts.h"
#include "operator/specs/flags.h"

namespace holdfast::actions {

namespace {

constexpr reconcile::Ordinal kNobody = -1;

/// By ID, of the joined cluster's; null if it did not answer in this pass.
const member::Client* client_of(const Pass& pass, MemberId id) {
  for (const observe::JoinedMember& stranger : pass.joined) {
    const auto& status = stranger.probe.status;
    if (status.ok() && MemberId{status->header.member_id} == id) return stranger.client.get();
  }
  return nullptr;
}

/// FinishJoin removes it in this pass.
bool is_leaving(const Pass& pass, MemberId id) {
  if (!pass.plan.disruptive) return false;
  const auto* leaves = std::get_if<reconcile::RemoveStranger>(&*pass.plan.disruptive);
  return leaves != nullptr && leaves->id == id;
}

/// It may be asked: a voter of our cluster that is not about to leave.
bool takes_part(const Pass& pass, const observe::JoinedMember& stranger) {
  if (!stranger.probe.status.ok()) return false;
  const MemberId id{stranger.probe.status->header.member_id};
  if (is_leaving(pass, id)) return false;
  const auto& strangers = pass.observed.strangers;
  return std::any_of(strangers.begin(), strangers.end(), [&](const reconcile::Stranger& known) {
    return known.id == id && known.takes_part && !known.learner;
  });
}

/// Voters of ours that take part, the leader first; `last` at the end, as it is about to leave.
/// Then those of a cluster that is joined.
std::vector<const member::Client*> voters_of(const Pass& pass, reconcile::Ordinal last) {
  const reconcile::Facts facts(pass.observed);
  std::vector<const reconcile::Member*> voters;
  for (const reconcile::Member* voter : facts.voters()) {
    if (facts.takes_part(*voter)) voters.push_back(voter);
  }
  const auto rank = [&](const reconcile::Member* voter) {
    return voter->ordinal == last ? 2 : voter == facts.leader() ? 0 : 1;
  };
  std::stable_sort(voters.begin(), voters.end(),
                   [&](const auto* left, const auto* right) { return rank(left) < rank(right); });
  std::vector<const member::Client*> clients;
  for (const reconcile::Member* voter : voters) {
    const auto found = pass.members.find(voter->ordinal);
    if (found != pass.members.end()) clients.push_back(found->second.get());
  }
  for (const observe::JoinedMember& stranger : pass.joined) {
    if (takes_part(pass, stranger)) clients.push_back(stranger.client.get());
  }
  return clients;
}

/// Ok too if it has left already.
absl::Status remove(const std::vector<const member::Client*>& voters, MemberId id) {
  const absl::Status status =
      member::at_any(voters, [&](const member::Client& client) { return client.remove(id.value); });
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

}  // namespace

std::vector<const member::Client*> voters_to_ask(const Pass& pass) {
  return voters_of(pass, kNobody);
}

const member::Client* leader_client(const Pass& pass) {
  for (const reconcile::Stranger& stranger : pass.observed.strangers) {
    if (stranger.leads) return client_of(pass, stranger.id);
  }
  const reconcile::Facts facts(pass.observed);
  if (facts.leader() == nullptr) return nullptr;
  const auto found = pass.members.find(facts.leader()->ordinal);
  return found == pass.members.end() ? nullptr : found->second.get();
}

absl::Status carry_out(const Pass& pass, const reconcile::AddLearner& step) {
  const api::HoldfastCluster& cluster = pass.cluster();
  const std::string url =
      specs::member_url(cluster, api::member_name(cluster.metadata.name, step.ordinal),
                        api::Side::kPeer, observe::tls_modes(cluster));
  return member::at_any(voters_of(pass, step.ordinal), [&](const member::Client& client) {
    return client.add_learner({url}).status();
  });
}

absl::Status carry_out(const Pass& pass, const reconcile::PromoteLearner& step) {
  return member::at_any(voters_of(pass, step.ordinal), [&](const member::Client& client) {
    return client.promote(step.id.value);
  });
}

absl::Status carry_out(const Pass& pass, const reconcile::RemoveMember& step) {
  return remove(voters_of(pass, step.ordinal), step.id);
}

absl::Status carry_out(const Pass& pass, const reconcile::RemoveStranger& step) {
  return remove(voters_to_ask(pass), step.id);
}

absl::Status carry_out(const Pass& pass, const reconcile::MoveLeader& step) {
  const auto ours = step.from ? pass.members.find(*step.from) : pass.members.end();
  const member::Client* leader =
      ours != pass.members.end() ? ours->second.get() : client_of(pass, step.from_id);
  if (leader == nullptr) return absl::UnavailableError("the leader has no address");
  return leader->move_leader(step.to_id.value);
}

absl::Status carry_out(const Pass& pass, const reconcile::LowerVersion& step) {
  return member::at_any(voters_to_ask(pass), [&](const member::Client& client) {
    return client.downgrade(member::DowngradeAction::kEnable, api::format_level(step.to)).status();
  });
}

absl::Status carry_out(const Pass& pass, const reconcile::CancelLowering& /*step*/) {
  return member::at_any(voters_to_ask(pass), [&](const member::Client& client) {
    return client.downgrade(member::DowngradeAction::kCancel, "").status();
  });
}

absl::Status carry_out(const Pass& pass, const reconcile::Defragment& step) {
  const auto found = pass.members.find(step.ordinal);
  if (found == pass.members.end()) return absl::UnavailableError("the member has no address");
  return found->second->defragment();
}

absl::Status carry_out(const Pass& pass, const reconcile::Compact& step) {
  const absl::Status status = member::at_any(
      voters_of(pass, kNobody),
      [&](const member::Client& client) { return client.compact(step.revision, step.until_free); });
  return absl::StrContains(status.message(), "has been compacted") ? absl::OkStatus() : status;
}

absl::Status carry_out(const Pass& pass, const reconcile::DisarmAlarm& step) {
  const std::vector<const member::Client*> voters = voters_of(pass, kNobody);
  for (const MemberId id : step.ids) {
    const member::Alarm alarm{id.value, member::AlarmType::kNoSpace};
    const absl::Status status = member::at_any(
        voters, [&](const member::Client& client) { return client.disarm_alarm(alarm); });
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace holdfast::actions
