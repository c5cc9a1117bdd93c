#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "datastore/simulation/context.h"
#include "datastore/simulation/machine.h"
#include "datastore/simulation/watch_hub.h"

namespace holdfast::simulation {

/// A client that watches a range for the whole run, from member to member as they come and go, and
/// holds what it gets against the reference: every change of its range, in order, each once.
class Watcher {
 public:
  /// Watches [key, range_end); an empty range_end is the single key.
  Watcher(Context& context, const std::vector<Machine*>& machines, std::uint64_t number, Bytes key,
          Bytes range_end);
  ~Watcher();

  void start() { connect(); }
  /// True once it has had everything there is.
  bool is_caught_up();
  std::uint64_t events() const { return events_; }
  std::string describe() const;

 private:
  class Connection;

  void connect();
  void connect_later();
  void leave();
  void on_events(const std::vector<WatchedEvent>& events);
  void on_end(const absl::Status& why, Revision compacted);
  bool wants(const ReferenceEvent& event) const;
  void skip_others();

  Context& context_;
  const std::vector<Machine*>& machines_;
  const std::uint64_t number_;
  const Bytes key_;
  const Bytes range_end_;
  Dice dice_;
  std::shared_ptr<Connection> connection_;
  /// The revision to ask for next, and the place of the event that must come next.
  std::int64_t next_revision_ = 1;
  std::size_t next_event_ = 0;
  std::uint64_t events_ = 0;
};

}  // namespace holdfast::simulation
