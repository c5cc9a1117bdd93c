#include "datastore/peer/activity.h"

namespace holdfast::peer {

void ActivityBoard::set(MemberId peer, std::optional<std::chrono::nanoseconds> since) {
  const std::lock_guard lock(mutex_);
  if (since) {
    active_[peer] = *since;
  } else {
    active_.erase(peer);
  }
}

std::optional<std::chrono::nanoseconds> ActivityBoard::since(MemberId peer) const {
  const std::lock_guard lock(mutex_);
  const auto found = active_.find(peer);
  if (found == active_.end()) return std::nullopt;
  return found->second;
}

void Activity::succeeded() {
  if (active_) return;
  active_ = true;
  board_.set(peer_, context_.clock.monotonic());
  context_.observer.peer_active(peer_);
}

void Activity::failed(const absl::Status& why) {
  if (!active_) return;
  active_ = false;
  board_.set(peer_, std::nullopt);
  context_.observer.peer_inactive(peer_, why);
}

}  // namespace holdfast::peer
