#include "datastore/peer/outbox.h"

#include <utility>

#include "datastore/peer/message_size.h"

namespace holdfast::peer {

bool Outbox::put(std::vector<raft::Message> messages) {
  const std::lock_guard lock(mutex_);
  const bool was_empty = content_.messages.empty() && content_.dropped_to.empty();
  for (raft::Message& message : messages) {
    const std::size_t bytes = size_bytes(message);
    if (content_.messages.size() >= kMaxMessages || bytes_ + bytes > kMaxBytes) {
      content_.dropped_to.insert(message.to);
      continue;
    }
    bytes_ += bytes;
    content_.messages.push_back(std::move(message));
  }
  return was_empty;
}

Outbox::Content Outbox::take() {
  const std::lock_guard lock(mutex_);
  bytes_ = 0;
  return std::exchange(content_, {});
}

}  // namespace holdfast::peer
