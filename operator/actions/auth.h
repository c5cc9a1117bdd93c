#pragma once

#include "absl/status/status.h"
#include "operator/actions/news.h"
#include "operator/actions/pass.h"
#include "operator/actions/writer.h"

namespace holdfast::actions {

/// Whether the step is asked of members, who may say no; else it is one write of a Secret.
bool is_asked_of_members(const reconcile::AuthStep& step);

/// Carries out one step of the planner of authentication. Each may be repeated, and each names the
/// version of the Secret that was seen: a write that finds another is no failure, the next pass
/// looks again. Passwords leave only into Secrets and into calls to members.
absl::Status carry_out(Writer& write, const Pass& pass, const reconcile::AuthStep& step);

/// What users are told of a step that was carried out. Empty: nothing.
News news_of(const Pass& pass, const reconcile::AuthStep& step);

}  // namespace holdfast::actions
