#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "datastore/base/ids.h"
#include "datastore/raft/raft.h"
#include "datastore/simulation/judge.h"

namespace holdfast::simulation {

/// The safety properties of Raft (thesis figure 3.2), looked at from outside after each step: one
/// leader per term, log matching, leader completeness, and that what one member holds committed no
/// other ever contradicts. Costs what changed since the last look.
class RaftInvariants {
 public:
  explicit RaftInvariants(Judge& judge) : judge_(judge) {}

  /// `durable_term`: the one on the member's disk. What it appends as the leader of a later one
  /// exists for itself alone, and may be something else after a crash.
  void observe(MemberId member, const raft::Raft& raft, Term durable_term, const std::string& who);
  /// The member began anew: what it had not synced is gone.
  void restarted(MemberId member) { seen_.erase(member); }

  /// The newest index that any member held committed.
  Index committed() const { return Index(committed_.size()); }
  std::uint64_t elections() const { return leaders_.size(); }

 private:
  struct Fingerprint {
    Term term;
    std::uint64_t checksum = 0;
    friend bool operator==(const Fingerprint&, const Fingerprint&) = default;
  };
  struct Seen {
    Index committed;
    /// Terms of the log, by index, as of the last look.
    std::vector<Term> terms;
  };

  static Fingerprint fingerprint(const raft::Log& log, Index index);
  void check_leader(MemberId member, const raft::Raft& raft, const std::string& who);
  void check_log(Seen& seen, const raft::Log& log, const std::string& who);
  void check_committed(Seen& seen, const raft::Raft& raft, const std::string& who);

  Judge& judge_;
  std::map<Term, MemberId> leaders_;
  std::map<MemberId, Seen> seen_;
  /// By index - 1.
  std::vector<Fingerprint> committed_;
  /// Of every entry ever seen: what it is, and the term before it.
  struct Known {
    std::uint64_t checksum = 0;
    Term previous_term;
  };
  std::map<std::pair<Index, Term>, Known> entries_;
};

}  // namespace holdfast::simulation
