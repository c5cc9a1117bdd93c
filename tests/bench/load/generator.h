#pragma once

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/bench/load/connection.h"
#include "tests/bench/load/requests.h"

namespace holdfast::bench {

/// Where to, and how wide.
struct Target {
  std::string address = "127.0.0.1";
  uint16_t port = 0;
  pid_t server_pid = 0;  ///< whose CPU time each phase reports; 0: nobody's
  uint32_t connections = 10;
  uint32_t in_flight = 1000;  ///< requests in flight, over all connections
  uint64_t keys = 10000;      ///< keys in use: 0 to keys - 1
  RequestShape shape;
};

/// One measured stretch of equal requests. It ends at the first bound that is reached, then waits
/// for what is in flight; kCreate and kDelete end after every key has had its turn.
struct Phase {
  std::string name;
  Operation operation = Operation::kPut;
  double seconds = 0;  ///< 0: unbounded
  uint64_t count = 0;  ///< 0: unbounded
  bool until_stdin_closes = false;
  double rate_per_second =
      0;                   ///< open loop, latency counted from the planned start; 0: closed loop
  uint64_t page_keys = 0;  ///< kListPage
  bool watched = false;    ///< one watcher on the prefix must see every change
};

struct Report {
  std::string name;
  uint64_t requests = 0;
  uint64_t errors = 0;
  std::string first_error;
  uint64_t entries = 0;  ///< listed keys
  uint64_t watched = 0;  ///< events the watcher has seen
  double seconds = 0;
  double server_cpu_seconds = 0;
  double own_cpu_seconds = 0;
  double p50_ms = 0, p99_ms = 0, p999_ms = 0, max_ms = 0;
};

/// Keeps requests in flight over a few connections, on one thread, and measures them. Each request
/// in flight has a slot; a slot's guarded transactions go to keys that no other slot touches, so
/// that guards hold.
class Generator : public CallObserver {
 public:
  /// Connects. Errors: Unavailable; InvalidArgument if keys < in_flight.
  static absl::StatusOr<std::unique_ptr<Generator>> open(const Target& target);
  ~Generator() override;

  /// Runs one phase to its end. Answers other than OK, guards that fail and lists of the wrong size
  /// are counted in the report; a lost connection or kStallSeconds without an answer is an error.
  absl::StatusOr<Report> run(const Phase& phase);

  void on_message(uint32_t tag, std::string_view message) override;
  void on_end(uint32_t tag, int grpc_status, std::string_view grpc_message) override;

 private:
  using Nanos = int64_t;
  struct Slot {
    uint64_t cursor = 0;
    RequestItem item;
    Answer answer;
    Nanos started = 0;
    uint64_t entries = 0;
    int64_t lease = 0;
    uint32_t stream = 0;  // kLeaseKeepAlive: the open call
  };

  explicit Generator(const Target& target);

  absl::Status connect();
  absl::Status start_watch();
  absl::Status drive();
  absl::Status poll_once(Nanos wait);
  absl::Status serve(Connection& connection);
  absl::Status await_watcher();
  void start_due(Nanos now);
  void start_next(uint32_t slot, Nanos started);
  bool take_item(Slot& slot, uint32_t index);
  void send_item(uint32_t slot);
  void finish(uint32_t slot);
  void fail(std::string_view why);
  void check_answer(uint32_t slot);
  bool stopping(Nanos now) const;
  Connection& connection_of(uint32_t slot) { return *connections_[slot % connections_.size()]; }
  void summarize();

  const Target target_;
  int epoll_ = -1;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::unique_ptr<Connection> watcher_;
  bool watching_ = false;
  std::vector<Slot> slots_;
  std::vector<int64_t> revisions_;  // by key: the guard of its next update
  std::string request_;
  std::minstd_rand random_{1};

  // Of the phase that runs.
  Phase phase_;
  Report report_;
  std::vector<uint32_t> idle_;
  std::vector<uint32_t> latencies_;  // in units of 100 ns
  Nanos begin_ = 0, deadline_ = 0, due_ = 0, last_answer_ = 0;
  uint64_t issued_ = 0;
  uint64_t in_flight_ = 0;
  bool stdin_closed_ = false;
};

}  // namespace holdfast::bench
