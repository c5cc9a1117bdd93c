#pragma once

#include <map>
#include <optional>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "datastore/base/ids.h"
#include "datastore/node/core_observer.h"
#include "datastore/node/node.h"
#include "datastore/node/request_ids.h"
#include "datastore/raft/raft.h"

namespace holdfast::node {

/// Reads that wait until this member has applied all that was committed when they came: one
/// question to the leader for all that gathered, asked again when no answer comes, answered when
/// the index it names is applied. One thread.
class LinearizableReads {
 public:
  using Done = absl::AnyInvocable<void(absl::Status)>;

  /// False beyond the bound; `done` is then untouched. Without a mailbox it runs on this thread,
  /// and must not come back here.
  bool add(Done& done, Mailbox* mailbox, Time deadline);
  /// Asks for those that gathered. Without a leader they wait for one.
  void ask(raft::Raft& raft, RequestIds& ids, Time now);
  void answered(const raft::ReadState& read);
  /// Lets go of all that need no more than `applied`.
  void release(Index applied);
  /// Ends those whose time is up, and has those asked again that have waited for long.
  void tick(Time now);
  void fail_all(const absl::Status& why);

 private:
  struct Read {
    Done done;
    Mailbox* mailbox;
    Time deadline;
  };
  struct Round {
    std::vector<Read> reads;
    Time asked_at;
    std::optional<Index> index;  // once raft has answered
  };
  void finish(Read read, const absl::Status& status);
  void expire(std::vector<Read>& reads, Time now);

  std::vector<Read> gathered_;
  std::map<std::uint64_t, Round> rounds_;
  std::size_t size_ = 0;
};

}  // namespace holdfast::node
