#pragma once

#include "datastore/raft/types.h"

/// Who votes and who only listens. One change at a time (thesis 4.1).
namespace holdfast::raft {

bool is_voter(const ConfState& conf, MemberId member);
bool is_learner(const ConfState& conf, MemberId member);

/// `conf` after `change`. Adding a voter promotes a learner, adding a learner demotes a voter; a
/// change whose node is 0 or that only updates addresses changes nothing.
ConfState changed(ConfState conf, const ConfChange& change);

}  // namespace holdfast::raft
