#pragma once

#include <cstdint>
#include <string>
#include <unordered_set>
#include <vector>

#include "absl/status/status.h"
#include "datastore/base/bytes.h"
#include "datastore/node/node.h"
#include "datastore/simulation/judge.h"
#include "datastore/simulation/reference.h"

namespace holdfast::simulation {

/// What clients saw, checked for linearizability as it comes.
///
/// etcd's revisions make that linear in time: an acknowledged operation names the revision at which
/// it took place. The operations taken in the order of their revisions are the sequential history;
/// it is the right one if (1) each answer is what that history gives at that revision, which is
/// Reference's to say, and (2) it agrees with real time: whoever asks after another was answered
/// sees at least that revision, and a write a later one. An operation of unknown outcome took place
/// where Reference applied it, or never.
class History {
 public:
  History(Judge& judge, const Reference& reference) : judge_(judge), reference_(reference) {}

  /// An operation begins: what it must see at least.
  std::int64_t begin() const { return newest_seen_; }

  /// A command was answered, OK or with a final error.
  void command_answered(std::uint64_t request, std::int64_t floor, const node::Applied& applied);
  /// A range was answered at `header_revision` with wire-encoded KeyValues, asked at `at_revision`
  /// (0: the newest).
  struct RangeAnswer {
    Bytes key;
    Bytes range_end;
    std::int64_t at_revision = 0;
    bool linearizable = false;
    std::int64_t header_revision = 0;
    std::vector<Bytes> kvs;
  };
  void range_answered(std::int64_t floor, const RangeAnswer& answer);
  /// A watcher saw an event of this revision.
  void event_seen(std::int64_t revision) { saw(revision); }

  /// At the end: nothing that was refused took place.
  void finish();

  std::uint64_t answered() const { return answered_; }

 private:
  void saw(std::int64_t revision) { newest_seen_ = std::max(newest_seen_, revision); }

  Judge& judge_;
  const Reference& reference_;
  std::int64_t newest_seen_ = 1;
  std::uint64_t answered_ = 0;
  std::vector<std::uint64_t> refused_;
};

}  // namespace holdfast::simulation
