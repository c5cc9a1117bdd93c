#pragma once

#include <string>

/// Short courses that the walk is too small for: each returns what went wrong, or nothing.
namespace holdfast::reconcile {

/// All members' leaves, made together, are renewed before they end, not all at once, and each only
/// after the one before is shown.
std::string renewals_come_in_time_and_in_turn();
/// A member that is down for months keeps nobody else from being renewed.
std::string a_silent_member_blocks_no_renewal();
/// So does a rotation that waits for a member which is down.
std::string a_parked_rotation_keeps_renewing();
/// Leaves that are asked for come one by one, each after the one before is shown.
std::string leaves_go_one_by_one();
/// A CA stays trusted while somebody's only leaf comes from it.
std::string an_old_ca_stays_while_someone_has_no_other_leaf();

}  // namespace holdfast::reconcile
