#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "datastore/mvcc/view.h"
#include "datastore/watch/watcher_set.h"

namespace holdfast::simulation {

/// An event as it reaches a watching client.
struct WatchedEvent {
  std::int64_t revision = 0;
  bool tombstone = false;
  Bytes key;
};

/// Whoever watches; calls come in the order of the connection.
class WatchSink {
 public:
  virtual ~WatchSink() = default;
  virtual void on_events(std::vector<WatchedEvent> events) = 0;
  /// The watch has ended: compacted, with how far, or another error.
  virtual void on_end(absl::Status why, Revision compacted) = 0;
};

/// What rpc's watch hub does for the streams of one event loop, without the streams: the production
/// WatcherSet fed with the node's batches, and history read from the store for who is behind.
class WatchHub {
 public:
  /// The node has told the revision from which on batches come; again after the leader's state has
  /// replaced this member's.
  void started(Revision revision, const mvcc::ViewSource& views);
  bool is_started() const { return set_.has_value(); }

  /// Watches [key, range_end) from `start_revision` on. The sink must outlive its watch.
  std::uint64_t add(const Bytes& key, const Bytes& range_end, std::int64_t start_revision,
                    WatchSink& sink);
  void remove(std::uint64_t watch);
  void on_batch(const watch::EventBatch& batch);
  /// Brings one group of those behind up to date, as far as one slice goes; false if none is.
  bool catch_up();

 private:
  struct Watch {
    watch::WatcherId id;
    WatchSink* sink;
  };

  std::optional<watch::WatcherSet> set_;
  std::optional<mvcc::Reader> reader_;
  std::map<std::uint64_t, Watch> watches_;
  std::uint64_t next_cookie_ = 1;
};

}  // namespace holdfast::simulation
