#pragma once

#include <cstddef>
#include <mutex>
#include <set>
#include <vector>

#include "datastore/base/ids.h"
#include "datastore/raft/types.h"

namespace holdfast::peer {

/// Messages on their way from the node's thread to the peer loop. Bounded, so that a loop that is
/// behind costs messages, not memory. Any thread.
class Outbox {
 public:
  static constexpr std::size_t kMaxMessages = 64 * 1024;
  static constexpr std::size_t kMaxBytes = std::size_t{256} << 20;

  struct Content {
    std::vector<raft::Message> messages;
    /// To whom messages did not fit.
    std::set<MemberId> dropped_to;
  };

  /// True if it was empty: somebody is to come and take() what is in it.
  bool put(std::vector<raft::Message> messages);
  Content take();

 private:
  std::mutex mutex_;
  Content content_;
  std::size_t bytes_ = 0;
};

}  // namespace holdfast::peer
