#pragma once

#include <cstdint>

#include "datastore/statemachine/command.h"

/// What a command charges against the space quota, in bytes (etcd-facts 3.11). An estimate for the
/// door, and at apply what tells a transaction that NOSPACE stops from one it lets through.
namespace holdfast::statemachine {

/// 256 + key + value.
std::int64_t put_cost(const PutRequest& request);

/// The dearer branch's puts, nested ones included; 0 if neither puts.
std::int64_t txn_cost(const TxnRequest& request);

/// The cost of any command: a put's, a transaction's, 64 for a lease grant, else 0. What costs 0
/// passes a full quota.
std::int64_t request_cost(const Command& command);

}  // namespace holdfast::statemachine
