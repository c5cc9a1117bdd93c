#pragma once

#include <atomic>

#include "datastore/config/options.h"
#include "datastore/node/auto_compaction.h"
#include "datastore/node/corruption_monitor.h"
#include "datastore/node/member.h"
#include "datastore/ports/clock.h"
#include "datastore/storage/lmdb_backend.h"
#include "datastore/telemetry/log.h"
#include "datastore/telemetry/metrics.h"

namespace holdfast::cli {

/// What a running member does now and then without anybody asking: gauges, automatic compaction,
/// the comparison of stores, the line that tells when it is ready. It blocks nowhere. One thread
/// calls it; all that it is given outlives it, and member and peers stop before it goes.
class Housekeeping {
 public:
  /// Between two calls of tick().
  static constexpr std::chrono::milliseconds kInterval{100};

  struct Parts {
    node::Member& member;
    node::Peers& peers;
    const storage::LmdbBackend& backend;
    const ports::Clock& clock;
    telemetry::Logger& log;
    telemetry::Metrics& metrics;
  };

  Housekeeping(const config::Options& options, const node::AutoCompaction::Options& compaction,
               const Parts& parts);

  void tick();
  /// Says so once, when there is a leader, as etcd: before that only serializable reads find an
  /// answer.
  void tell_when_ready();

 private:
  /// Runs answers where they arise.
  class InPlaceMailbox final : public node::Mailbox {
   public:
    void post(absl::AnyInvocable<void()> work) override { work(); }
  };

  node::CorruptionMonitor::Options corruption_checks(const config::Options& options) const;
  void update_gauges();
  void compact_if_due();

  const Parts parts_;
  InPlaceMailbox in_place_;
  node::AutoCompaction auto_compaction_;
  node::CorruptionMonitor corruption_monitor_;
  bool told_ready_ = false;
  std::atomic<bool> compaction_failed_{false};
};

}  // namespace holdfast::cli
