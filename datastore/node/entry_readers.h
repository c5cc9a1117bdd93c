#pragma once

#include <cstddef>
#include <vector>

#include "absl/status/status.h"
#include "datastore/base/ids.h"
#include "datastore/node/node.h"
#include "datastore/raft/log.h"

namespace holdfast::node {

/// Those who ask for entries that this member has applied (Node::applied_entries), until there are
/// some. On core's thread.
class EntryReaders {
 public:
  /// More than that are refused with errors::too_many_requests.
  static constexpr std::size_t kMaxReaders = 16;

  void add(Index after, std::size_t max_bytes, EntriesDone done, Mailbox& mailbox, Time deadline);
  /// Answers those for whom there is something, and those whose time is over.
  void serve(const raft::Log& log, Index applied, Time now);
  void fail_all(const absl::Status& why);

 private:
  struct Reader {
    Index after;
    std::size_t max_bytes;
    EntriesDone done;
    Mailbox* mailbox;
    Time deadline;
  };

  std::vector<Reader> readers_;
};

}  // namespace holdfast::node
