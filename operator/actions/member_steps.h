#pragma once

#include <vector>

#include "absl/status/status.h"
#include "operator/actions/pass.h"

namespace holdfast::actions {

/// The member that leads, ours or the joined cluster's; null if it was not heard of in this pass.
const member::Client* leader_client(const Pass& pass);

/// Voters that take part, the leader first: whom a change is asked of, one after the other.
std::vector<const member::Client*> voters_to_ask(const Pass& pass);

// The steps of a plan that members carry out. Each is asked of one member after the other, the
// leader first, until one has done it, refused it or left its outcome unknown.

absl::Status carry_out(const Pass& pass, const reconcile::AddLearner& step);
absl::Status carry_out(const Pass& pass, const reconcile::PromoteLearner& step);
absl::Status carry_out(const Pass& pass, const reconcile::RemoveMember& step);
absl::Status carry_out(const Pass& pass, const reconcile::RemoveStranger& step);
/// Asked of the present leader alone.
absl::Status carry_out(const Pass& pass, const reconcile::MoveLeader& step);
absl::Status carry_out(const Pass& pass, const reconcile::LowerVersion& step);
absl::Status carry_out(const Pass& pass, const reconcile::CancelLowering& step);
/// Asked of that member alone.
absl::Status carry_out(const Pass& pass, const reconcile::Defragment& step);
absl::Status carry_out(const Pass& pass, const reconcile::Compact& step);
absl::Status carry_out(const Pass& pass, const reconcile::DisarmAlarm& step);

}  // namespace holdfast::actions
