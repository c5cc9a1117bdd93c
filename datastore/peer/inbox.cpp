#include "datastore/peer/inbox.h"

#include <utility>

namespace holdfast::peer {
namespace {

/// Why `message` is not for the node; null if it is.
const char* refusal(const Context& context, const raft::Message& message) {
  if (message.to != context.options.self) return "it is addressed to another member";
  if (context.is_removed(message.from)) return "its sender was removed from the cluster";
  if (message.type == raft::MessageType::kSnap) return "a snapshot without its database";
  return nullptr;
}

}  // namespace

void deliver(Context& context, std::vector<raft::Message> messages) {
  std::erase_if(messages, [&](const raft::Message& message) {
    const char* why = refusal(context, message);
    if (why != nullptr) context.observer.message_refused(message.from, why);
    return why != nullptr;
  });
  if (!messages.empty()) context.port->step(std::move(messages));
}

}  // namespace holdfast::peer
