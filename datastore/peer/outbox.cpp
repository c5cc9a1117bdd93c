#include "datastore/peer/outbox.h"

#include <utility>

#include "datastore/peer/message_size.h"

namespace holdfast::peer {

bool Outbox::put(std::vector<raft::Message> messages) {
  const std::lock_guard lock(mutex_);
  const bool was_empty = content_.messages.empty() && content_.dropped_to.empty();
  for (raft::Message& message : messages) {
    const std::size_t bytes = size_bytes(message);
    if (!has_room(message, bytes)) {
      content_.dropped_to.insert(message.to);
      continue;
    }
    bytes_ += bytes;
    with_entries_ += message.entries.empty() ? 0 : 1;
    content_.messages.push_back(std::move(message));
  }
  return was_empty;
}

bool Outbox::has_room(const raft::Message& message, std::size_t bytes) const {
  if (content_.messages.size() >= kMaxMessages) return false;
  if (message.entries.empty()) return bytes_ + bytes <= max_bytes_;
  return with_entries_ == 0 || bytes_ + bytes <= max_bytes_ / 4 * 3;
}

Outbox::Content Outbox::take() {
  const std::lock_guard lock(mutex_);
  bytes_ = 0;
  with_entries_ = 0;
  return std::exchange(content_, {});
}

}  // namespace holdfast::peer
