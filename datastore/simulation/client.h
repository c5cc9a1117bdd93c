#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datastore/codec/internal_request.h"
#include "datastore/simulation/context.h"
#include "datastore/simulation/machine.h"

namespace holdfast::simulation {

/// What all clients of a run share.
struct Workload {
  /// Operations still to begin.
  std::uint64_t remaining = 0;
  std::uint64_t keys = 24;
  Time think_at_most = std::chrono::milliseconds(80);
  Time answer_timeout = std::chrono::milliseconds(2500);
  std::uint64_t begun = 0;
  std::uint64_t acknowledged = 0;
  std::uint64_t unknown = 0;
  std::uint64_t refused = 0;
};

/// One client: an operation at a time on whichever member it likes, until the workload is used up.
/// Every answer goes to the history; one that does not come in time is an unknown outcome, and the
/// client may well try the same again.
class Client {
 public:
  Client(Context& context, const std::vector<Machine*>& machines, Workload& workload,
         std::uint64_t number);

  void start();
  bool is_idle() const { return !current_; }
  /// The member's process ended: an answer from it will not come.
  void connection_lost(const Machine& machine);

 private:
  enum class Verb : std::uint8_t {
    kPut,
    kPutWithLease,
    kDelete,
    kDeleteRange,
    kCompareAndPut,
    kMove,
    kGet,
    kList,
    kSerializableGet,
    kSerializableList,
    kPastList,
    kGrant,
    kKeepAlive,
    kRevoke,
    kCompact,
  };
  struct Operation {
    std::uint64_t token = 0;
    Machine* machine = nullptr;
    Time asked{0};
    /// What had been seen by anybody when it began.
    std::int64_t floor = 0;
  };

  void think();
  void begin();
  Verb draw_verb();
  void perform(Verb verb);
  Bytes some_key();
  Bytes fresh_value();

  void command(codec::CommandField field, Bytes body,
               absl::AnyInvocable<void(const node::Applied&)> then = {});
  void range(Bytes key, Bytes range_end, std::int64_t at_revision, bool linearizable);
  void grant();
  void keep_alive();
  void revoke();

  /// Sends `task` to the member and forgets it with the connection.
  void send(node::CoreTask task);
  /// Brings an answer back to the client, if it still waits for it.
  void reply(std::uint64_t token, absl::AnyInvocable<void()> then);
  void finish(bool acknowledged);
  static void read(Machine& machine, History::RangeAnswer answer,
                   absl::AnyInvocable<void(absl::StatusOr<History::RangeAnswer>)> done);

  Context& context_;
  const std::vector<Machine*>& machines_;
  Workload& workload_;
  const std::uint64_t number_;
  Dice dice_;
  std::uint64_t tokens_ = 0;
  std::uint64_t values_ = 0;
  std::optional<Operation> current_;
  /// What to try once more after an unknown outcome.
  std::optional<std::pair<codec::CommandField, Bytes>> repeat_;
  std::optional<std::pair<codec::CommandField, Bytes>> last_command_;
  std::vector<LeaseId> leases_;
  /// What this client last saw of each key.
  std::map<Bytes, std::int64_t> seen_mod_revisions_;
};

}  // namespace holdfast::simulation
