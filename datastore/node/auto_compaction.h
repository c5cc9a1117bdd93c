#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>

#include "datastore/base/ids.h"

namespace holdfast::node {

using Time = std::chrono::nanoseconds;

/// When history is forgotten without anybody asking, by etcd's rules. A pure step function: the
/// owner calls due() now and then, proposes the compaction it names, and reports back. One thread.
class AutoCompaction {
 public:
  enum class Mode : std::uint8_t { kOff, kPeriodic, kRevision };
  struct Options {
    Mode mode = Mode::kOff;
    Time period{0};              // kPeriodic: what is older goes
    std::int64_t revisions = 0;  // kRevision: so many are kept
  };

  AutoCompaction(const Options& options, Time now);

  /// The revision to compact to, if one is due. Periodic: samples the revision ten times an hour,
  /// or ten times a shorter period, and compacts to the one a period ago, once an hour or once a
  /// shorter period. By revision: every five minutes. A follower only samples.
  std::optional<Revision> due(Time now, Revision current, bool is_leader);
  /// The compaction named last was refused: name it again at the next sample.
  void failed();

 private:
  std::optional<Revision> due_by_period(Time now, Revision current, bool is_leader);
  std::optional<Revision> due_by_revision(Time now, Revision current, bool is_leader);

  const Options options_;
  Time interval_{0};
  Time sample_interval_{0};
  std::size_t samples_per_period_ = 0;
  std::deque<Revision> samples_;
  Time next_sample_;
  Time last_compaction_;
  Time compaction_before_last_;
  Revision compacted_;
  Revision compacted_before_;
};

}  // namespace holdfast::node
