#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "datastore/node/core_observer.h"
#include "datastore/node/node.h"
#include "datastore/node/peers.h"

namespace holdfast::node {

/// What one member answered to a comparison; nothing if it could not.
using PeerHashes = std::map<MemberId, std::optional<HashResult>>;

/// The member to be alarmed after the leader hashed its store before (`own`) and after (`later`,
/// with a linearizable read between) it asked the others: the first found, as in etcd.
std::optional<MemberId> find_corrupt(MemberId self, const HashResult& own, const HashResult& later,
                                     const PeerHashes& peers);

struct CompactionVerdict {
  /// Those to be alarmed; member 0 when no majority agrees.
  std::vector<MemberId> corrupt;
  /// Everybody has answered for this compaction: it needs no second look.
  bool is_final = false;
};
/// By the hashes of one compaction, `own` among them.
CompactionVerdict compare_compactions(MemberId self, const HashResult& own,
                                      const PeerHashes& peers);

/// The check of a start (feature gate InitialCorruptCheck): asks every other member for its hash at
/// this member's revision, and waits for the answers. Those that can't answer or compare say
/// nothing, as in etcd. Blocks up to `patience`; not on a thread of node's or peers'. Errors:
/// DataLoss, naming the member that differs; this member must not serve.
absl::Status check_before_serving(Node& node, Peers& peers, Time patience);

/// Compares this leader's store with its followers' now and then, and raises CORRUPT where they
/// differ: by etcd's two checks. The owner calls tick() often, on one thread, and keeps this until
/// node and peers have stopped: their answers come here.
class CorruptionMonitor {
 public:
  struct Options {
    Time period{0};             // --corrupt-check-time; 0 for never
    Time compaction_period{0};  // --compact-hash-check-time; 0 for never
    /// Told of each member alarmed and of each check that could not be made. Any thread.
    std::function<void(MemberId, const HashResult& own)> on_corrupt;
    std::function<void(const absl::Status&)> on_failure;
  };

  CorruptionMonitor(Node& node, Peers& peers, Options options, Time now);
  ~CorruptionMonitor();

  void tick(Time now);

 private:
  struct Round;

  void begin_periodic(Time now);
  void begin_compaction(Time now);
  void ask_peers(std::shared_ptr<Round> round, Revision revision);
  void conclude(Round& round);
  void alarm(MemberId member, const HashResult& own);

  Node& node_;
  Peers& peers_;
  const Options options_;
  Time next_periodic_;
  Time next_compaction_;
  Revision checked_compaction_;
  std::shared_ptr<Round> round_;  // under way
};

}  // namespace holdfast::node
