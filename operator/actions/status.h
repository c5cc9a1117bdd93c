#pragma once

#include "operator/actions/pass.h"
#include "operator/api/cluster_status.h"

namespace holdfast::actions {

/// What status should say after this pass: the plan's memory, and what was seen. Equal to what
/// stands there if nothing of it has changed, so that an idle cluster costs no write: what moves
/// with every request (revisions, sizes, lag) is not in it. Pure.
api::ClusterStatus next_status(const Pass& pass);

}  // namespace holdfast::actions
