#include "datastore/node/auto_compaction.h"

#include <algorithm>

namespace holdfast::node {

namespace {
using std::chrono::hours;
using std::chrono::minutes;
constexpr int kSamplesPerInterval = 10;
constexpr Time kRevisionInterval = minutes(5);
}  // namespace

AutoCompaction::AutoCompaction(const Options& options, Time now)
    : options_(options), next_sample_(now), last_compaction_(now), compaction_before_last_(now) {
  if (options_.mode == Mode::kPeriodic) {
    interval_ = std::min<Time>(options_.period, hours(1));
    sample_interval_ = interval_ / kSamplesPerInterval;
    samples_per_period_ = static_cast<std::size_t>(options_.period / sample_interval_);
  } else {
    sample_interval_ = kRevisionInterval;
    next_sample_ = now + kRevisionInterval;
  }
}

std::optional<Revision> AutoCompaction::due(Time now, Revision current, bool is_leader) {
  if (options_.mode == Mode::kOff || now < next_sample_) return std::nullopt;
  next_sample_ = now + sample_interval_;
  return options_.mode == Mode::kPeriodic ? due_by_period(now, current, is_leader)
                                          : due_by_revision(now, current, is_leader);
}

std::optional<Revision> AutoCompaction::due_by_period(Time now, Revision current, bool is_leader) {
  samples_.push_back(current);
  while (samples_.size() > samples_per_period_ + 1) samples_.pop_front();
  const bool a_period_is_known = samples_.size() == samples_per_period_ + 1;
  if (!is_leader || !a_period_is_known || now - last_compaction_ < interval_) return std::nullopt;
  const Revision target = samples_.front();
  if (target <= compacted_) return std::nullopt;
  compaction_before_last_ = last_compaction_;
  compacted_before_ = compacted_;
  last_compaction_ = now;
  compacted_ = target;
  return target;
}

std::optional<Revision> AutoCompaction::due_by_revision(Time now, Revision current,
                                                        bool is_leader) {
  const Revision target(current.value - options_.revisions);
  if (!is_leader || target.value <= 0 || target <= compacted_) return std::nullopt;
  compaction_before_last_ = last_compaction_;
  compacted_before_ = compacted_;
  last_compaction_ = now;
  compacted_ = target;
  return target;
}

void AutoCompaction::failed() {
  last_compaction_ = compaction_before_last_;
  compacted_ = compacted_before_;
}

}  // namespace holdfast::node
