#pragma once

#include <array>
#include <map>
#include <memory>

#include "datastore/ports/kv_backend.h"
#include "datastore/simulation/dice.h"
#include "datastore/simulation/disk.h"
#include "datastore/simulation/faults.h"

namespace holdfast::simulation {

/// One machine's engine in memory: a commit is there as a whole or not at all, and durable on
/// return; a power loss within it draws which. What was not committed is nobody's. Content outlives
/// the process, as a file would.
class SimulatedEngine final : public ports::KvBackend {
 public:
  using Map = std::map<Bytes, Bytes, std::less<>>;
  using Buckets = std::array<Map, ports::kBucketCount>;

  /// `disk` is where the file would lie: its power is the engine's.
  SimulatedEngine(Dice dice, SimulatedDisk& disk, FaultCounts& counts);
  ~SimulatedEngine() override;

  absl::Status commit(absl::Span<const ports::BackendWrite> writes) override;
  absl::Status replace(absl::FunctionRef<absl::Status(ports::BackendFill&)> fill) override;
  std::shared_ptr<ports::BackendContent> content() override;
  ports::BackendSizes sizes() const override { return {bytes_, bytes_}; }
  absl::StatusOr<std::uint64_t> reclaim(std::uint64_t) override { return 0; }

  /// Commits are refused for want of space.
  void set_full(bool full) { full_ = full; }
  /// The next commit ends with an error after which nobody knows whether it happened.
  void fail_next_commit() { fail_next_commit_ = true; }
  void wipe();

 private:
  class Cursor;
  class Read;
  class Fill;
  class Content;

  /// Replaces the state by `next`, unless power or disk fail first.
  template <class Apply>
  absl::Status commit_by(Apply apply);

  Dice dice_;
  SimulatedDisk& disk_;
  FaultCounts& counts_;
  std::shared_ptr<Content> content_;
  std::uint64_t bytes_ = 0;
  bool full_ = false;
  bool fail_next_commit_ = false;
};

}  // namespace holdfast::simulation
