#include "operator/actions/member_steps.h"

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "operator/api/names.h"
#include "operator/member/fleet.h"
#include "operator/observe/wishes.h"
#include "operator/reconcile/facts.h"
#include "operator/specs/flags.h"

namespace holdfast::actions {

namespace {

/// Voters that take part, the leader first; `last` at the end, as it is about to leave.
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
  return clients;
}

}  // namespace

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
  const absl::Status status =
      member::at_any(voters_of(pass, step.ordinal),
                     [&](const member::Client& client) { return client.remove(step.id.value); });
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

absl::Status carry_out(const Pass& pass, const reconcile::RemoveStranger& step) {
  constexpr reconcile::Ordinal kNobody = -1;
  const absl::Status status =
      member::at_any(voters_of(pass, kNobody),
                     [&](const member::Client& client) { return client.remove(step.id.value); });
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

absl::Status carry_out(const Pass& pass, const reconcile::MoveLeader& step) {
  const auto leader = step.from ? pass.members.find(*step.from) : pass.members.end();
  if (leader == pass.members.end()) {
    return absl::UnavailableError("the leader has no address");
  }
  return leader->second->move_leader(step.to_id.value);
}

}  // namespace holdfast::actions
