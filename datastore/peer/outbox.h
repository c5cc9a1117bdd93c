#pragma once

#include <cstddef>
#include <mutex>
#include <set>
#include <vector>

#include "datastore/base/ids.h"
#include "datastore/raft/types.h"

namespace holdfast::peer {

/// Messages on their way from the node's thread to the peer loop. Bounded, so that a loop that is
/// behind costs messages, not memory: those with entries may fill three quarters of it, so that
/// heartbeats and answers still pass. One alone passes whatever its size. Any thread.
class Outbox {
 public:
  static constexpr std::size_t kMaxMessages = 64 * 1024;

  struct Content {
    std::vector<raft::Message> messages;
    /// To whom messages did not fit.
    std::set<MemberId> dropped_to;
  };

  explicit Outbox(std::size_t max_bytes) : max_bytes_(max_bytes) {}

  /// True if it was empty: somebody is to come and take() what is in it.
  bool put(std::vector<raft::Message> messages);
  Content take();

 private:
  bool has_room(const raft::Message& message, std::size_t bytes) const;

  const std::size_t max_bytes_;
  std::mutex mutex_;
  Content content_;
  std::size_t bytes_ = 0;
  std::size_t with_entries_ = 0;  // messages
};

}  // namespace holdfast::peer
