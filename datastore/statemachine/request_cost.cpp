#include "datastore/statemachine/request_cost.h"

#include <algorithm>
#include <variant>

namespace holdfast::statemachine {
namespace {

constexpr std::int64_t kKeyOverheadBytes = 256;
constexpr std::int64_t kLeaseBytes = 64;

std::int64_t branch_cost(const std::vector<RequestOp>& ops) {
  std::int64_t cost = 0;
  for (const RequestOp& op : ops) {
    if (const auto* put = std::get_if<PutRequest>(&op)) cost += put_cost(*put);
    const auto* nested = std::get_if<std::unique_ptr<TxnRequest>>(&op);
    if (nested != nullptr && *nested) cost += txn_cost(**nested);
  }
  return cost;
}

}  // namespace

std::int64_t put_cost(const PutRequest& request) {
  return kKeyOverheadBytes + static_cast<std::int64_t>(request.key.size() + request.value.size());
}

std::int64_t txn_cost(const TxnRequest& request) {
  return std::max(branch_cost(request.success), branch_cost(request.failure));
}

std::int64_t request_cost(const Command& command) {
  if (const auto* put = std::get_if<PutRequest>(&command.body)) return put_cost(*put);
  if (const auto* txn = std::get_if<TxnRequest>(&command.body)) return txn_cost(*txn);
  return std::holds_alternative<LeaseGrantRequest>(command.body) ? kLeaseBytes : 0;
}

}  // namespace holdfast::statemachine
