#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "datastore/base/bytes.h"
#include "datastore/base/ids.h"
#include "datastore/simulation/judge.h"
#include "datastore/statemachine/command.h"
#include "datastore/statemachine/outcome.h"

namespace holdfast::simulation {

/// One change of one key, as a watcher should see it.
struct ReferenceEvent {
  std::int64_t revision = 0;
  bool tombstone = false;
  Bytes key;
  Bytes value;
};

/// What a key was at some revision.
struct ReferenceValue {
  std::int64_t create_revision = 0;
  std::int64_t mod_revision = 0;
  std::int64_t version = 0;
  Bytes value;
  std::int64_t lease = 0;
};

/// etcd's key space written down a second time, as plainly as possible, and with its whole past:
/// the first member to apply a log index drives it, every other and every replay must agree, and
/// clients' answers are compared with it.
class Reference {
 public:
  /// What a command came to.
  struct Applied {
    std::uint64_t request = 0;
    std::uint64_t entry_checksum = 0;
    std::int64_t revision = 0;
    std::string error;
    bool changed = false;
  };

  explicit Reference(Judge& judge) : judge_(judge) {}

  /// A member applied `command`, of the entry with that checksum, at `index`, with `outcome`.
  /// True if it was the first.
  bool applied(Index index, std::uint64_t entry_checksum, const statemachine::Command& command,
               const statemachine::Outcome& outcome, const std::string& who);

  std::int64_t revision() const { return revision_; }
  std::int64_t compact_revision() const { return compact_revision_; }
  /// The newest index with a command.
  Index last_index() const { return last_index_; }
  /// The store's revision once everything up to `index` is applied.
  std::int64_t revision_at(Index index) const;
  /// By request id; null if it was never applied.
  const Applied* find(std::uint64_t request) const;
  /// All changes ever, in order.
  const std::vector<ReferenceEvent>& events() const { return events_; }
  /// The first event whose revision is at least this.
  std::size_t event_from(std::int64_t revision) const;
  /// What `key` was at `revision`.
  std::optional<ReferenceValue> get(BytesView key, std::int64_t revision) const;
  /// Every live key in [begin, end) at `revision`.
  std::map<Bytes, ReferenceValue> range(BytesView begin, BytesView end,
                                        std::int64_t revision) const;
  const std::set<std::int64_t>& leases() const { return live_leases_; }

 private:
  struct Version {
    bool tombstone = false;
    ReferenceValue value;
  };
  struct Lease {
    std::set<Bytes> keys;
  };

  Applied run(const statemachine::Command& command);
  void put(const statemachine::PutRequest& request);
  std::int64_t erase(const mvcc::KeyRange& range);
  void erase_key(const Bytes& key);
  bool holds(const statemachine::Compare& compare) const;
  bool run_txn(const statemachine::TxnRequest& request);
  const ReferenceValue* live(BytesView key) const;
  void change(const Bytes& key, Version version);
  void compare_outcomes(const Applied& expected, const statemachine::Outcome& outcome,
                        const std::string& who, Index index);

  Judge& judge_;
  std::int64_t revision_ = 1;
  std::int64_t compact_revision_ = -1;
  Index last_index_;
  bool changed_in_this_command_ = false;
  std::map<std::uint64_t, Applied> by_index_;
  std::unordered_map<std::uint64_t, std::uint64_t> index_of_request_;
  std::map<Bytes, std::vector<Version>, std::less<>> keys_;
  std::vector<ReferenceEvent> events_;
  std::map<std::int64_t, Lease> leases_;
  std::set<std::int64_t> live_leases_;
};

}  // namespace holdfast::simulation
