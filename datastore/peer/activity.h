#pragma once

#include <chrono>
#include <mutex>
#include <optional>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "datastore/base/ids.h"
#include "datastore/peer/context.h"

namespace holdfast::peer {

/// Since when each peer can be reached, for everybody to read. Any thread.
class ActivityBoard {
 public:
  void set(MemberId peer, std::optional<std::chrono::nanoseconds> since);
  std::optional<std::chrono::nanoseconds> since(MemberId peer) const;

 private:
  mutable std::mutex mutex_;
  absl::flat_hash_map<MemberId, std::chrono::nanoseconds> active_;
};

/// Whether one peer can be reached: from a success until the next failure, whichever of its
/// connections either happens on (etcd-facts 1.7). Loop thread.
class Activity {
 public:
  Activity(Context& context, ActivityBoard& board, MemberId peer)
      : context_(context), board_(board), peer_(peer) {}
  ~Activity() { board_.set(peer_, std::nullopt); }
  Activity(const Activity&) = delete;
  Activity& operator=(const Activity&) = delete;

  void succeeded();
  void failed(const absl::Status& why);

 private:
  Context& context_;
  ActivityBoard& board_;
  const MemberId peer_;
  bool active_ = false;
};

}  // namespace holdfast::peer
