#include "datastore/offline/apply_entry.h"

#include "absl/strings/str_cat.h"
#include "datastore/codec/internal_request.h"
#include "datastore/codec/raft_messages.h"

namespace holdfast::offline {
namespace {

absl::Status apply(const raft::Entry& entry, statemachine::StateMachine& machine) {
  if (entry.type == raft::EntryType::kConfChange) {
    raft::ConfChange change;
    if (absl::Status status = codec::decode(entry.data, &change); !status.ok()) return status;
    return machine
        .apply_conf_change(
            entry.index, entry.term,
            {static_cast<statemachine::ConfChangeType>(change.type), change.node, change.context})
        .status();
  }
  if (entry.data.empty()) {
    machine.apply_nothing(entry.index, entry.term);
    return absl::OkStatus();
  }
  statemachine::Command command;
  if (absl::Status status = codec::decode_internal(entry.data, &command); !status.ok()) {
    return status;
  }
  return machine.apply(entry.index, entry.term, command).status();
}

}  // namespace

absl::Status apply_entry(const raft::Entry& entry, statemachine::StateMachine& machine) {
  const absl::Status status = apply(entry, machine);
  if (status.ok()) return status;
  return absl::DataLossError(absl::StrCat("the committed log entry ", entry.index.value,
                                          " can't be applied: ", status.message()));
}

}  // namespace holdfast::offline
