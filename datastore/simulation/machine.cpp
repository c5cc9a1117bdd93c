#include "datastore/simulation/machine.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "datastore/base/check.h"
#include "datastore/base/crc32c.h"
#include "datastore/base/errors.h"

namespace holdfast::simulation {

namespace {

constexpr Time kThreadHandover = std::chrono::microseconds(50);
constexpr Time kStartRetry = std::chrono::milliseconds(300);
constexpr std::size_t kCompactionReadStep = 200;

}  // namespace

/// Sees each command applied, while its entry is still in the log.
class Machine::Observer final : public node::CoreObserver {
 public:
  explicit Observer(Machine& machine) : machine_(machine) {}
  void command_applied(const statemachine::Command& command, const statemachine::Outcome& outcome,
                       node::Time took) override;

 private:
  Machine& machine_;
};

/// The event loop that a client's connection lives on.
class Machine::Loop final : public node::Mailbox {
 public:
  explicit Loop(Machine& machine) : machine_(machine) {}
  void post(absl::AnyInvocable<void()> work) override {
    machine_.later(kThreadHandover, std::move(work));
  }

 private:
  Machine& machine_;
};

/// All that ends with the process.
struct Machine::Process {
  Process(Machine& machine, MemberId self)
      : self(self),
        observer(machine),
        loop(machine),
        ids(self, machine.clock_.unix_milliseconds()) {}

  const MemberId self;
  Observer observer;
  Loop loop;
  node::RequestIds ids;
  std::unique_ptr<node::Core> core;
  WatchHub watches;
  std::vector<Task> inbox;
  bool turn_is_scheduled = false;
  bool tick_is_due = false;
  bool background_is_busy = false;
  /// Set within a turn: the process ends once the turn is over.
  Time busy_until{0};
};

Machine::Machine(Context& context, MachineOptions options)
    : context_(context),
      options_(std::move(options)),
      dice_(context.seed, 100 + options_.number),
      clock_(context.scheduler),
      disk_(Dice(context.seed, 200 + options_.number), context.faults),
      engine_(Dice(context.seed, 300 + options_.number), disk_, context.faults) {
}

Machine::~Machine() = default;

node::Core& Machine::core() {
  return *process_->core;
}

WatchHub& Machine::watches() {
  return process_->watches;
}

node::Mailbox& Machine::mailbox() {
  return process_->loop;
}

std::uint64_t Machine::next_request_id() {
  return process_->ids.next();
}

// --- life ---------------------------------------------------------------------------------------

void Machine::start_after(Time delay) {
  context_.scheduler.after(delay, [this, incarnation = incarnation_] {
    if (incarnation == incarnation_ && process_ == nullptr) start();
  });
}

void Machine::start() {
  disk_.power_on();
  node::BootstrapOptions options;
  options.wal_directory = "wal";
  options.name = options_.name;
  options.initial_cluster = options_.initial_cluster;
  options.initial_cluster_token = "simulation";
  options.wal.segment_bytes = options_.segment_bytes;
  absl::StatusOr<node::Bootstrapped> bootstrapped = node::bootstrap(disk_, engine_, dice_, options);
  disk_.take_busy();
  if (!bootstrapped.ok()) return failed_to_start(bootstrapped.status());
  begin(*std::move(bootstrapped));
}

void Machine::failed_to_start(const absl::Status& why) {
  context_.note(options_.name, " does not start: ", why.ToString());
  context_.scheduler.digest().add(why.ToString());
  if (absl::IsDataLoss(why) && !damaged_) {
    context_.judge.fail(absl::StrCat(options_.name, " refuses its own disk: ", why.ToString()));
    return;
  }
  if (absl::IsDataLoss(why)) repair();
  start_after(kStartRetry);
}

void Machine::repair() {
  disk_.replace_rotten_parts();
  disk_.misdirect_next_reads(0);
  damaged_ = false;
}

void Machine::begin(node::Bootstrapped bootstrapped) {
  ++incarnation_;
  context_.note(options_.name, " starts, applied ", bootstrapped.machine->applied_index().value,
                ", log up to ", bootstrapped.wal->last_index().value, ", cut ",
                bootstrapped.torn_tail.cut_bytes, " bytes");
  node::CoreOptions core = options_.core;
  core.self = bootstrapped.self;
  core.cluster = bootstrapped.cluster;
  core.name = options_.name;
  process_ = std::make_unique<Process>(*this, bootstrapped.self);
  context_.raft_invariants.restarted(bootstrapped.self);
  process_->core =
      std::make_unique<node::Core>(core,
                                   node::Core::Parts{.backend = &engine_,
                                                     .wal = std::move(bootstrapped.wal),
                                                     .raft = std::move(bootstrapped.raft),
                                                     .machine = std::move(bootstrapped.machine),
                                                     .observer = &process_->observer,
                                                     .clock = &clock_,
                                                     .ids = &process_->ids},
                                   clock_.monotonic());
  wake(Time(0));
  later(kThreadHandover, [this] {
    process_->tick_is_due = true;
    wake(Time(0));
    schedule_tick();
  });
  subscribe_watches();
}

void Machine::end(const absl::Status& why, Time down) {
  context_.note(options_.name, " ends: ", why.ToString());
  context_.scheduler.digest().add(why.ToString());
  ++incarnation_;
  process_.reset();
  if (on_down) on_down();
  start_after(down);
}

void Machine::lose_power(Time down) {
  disk_.lose_power();
  disk_.take_busy();
  end(absl::AbortedError("power lost"), down);
}

void Machine::kill(Time down) {
  end(absl::AbortedError("killed"), down);
}

void Machine::pause(Time span) {
  paused_until_ = std::max(paused_until_, context_.scheduler.now() + span);
}

// --- threads ------------------------------------------------------------------------------------

void Machine::later(Time delay, absl::AnyInvocable<void()> work) {
  context_.scheduler.after(delay,
                           [this, incarnation = incarnation_, work = std::move(work)]() mutable {
                             if (incarnation != incarnation_ || process_ == nullptr) return;
                             const Time now = context_.scheduler.now();
                             if (now < paused_until_)
                               return later(paused_until_ - now, std::move(work));
                             work();
                           });
}

void Machine::enqueue(Task task) {
  process_->inbox.push_back(std::move(task));
  wake(kThreadHandover);
}

void Machine::wake(Time delay) {
  if (std::exchange(process_->turn_is_scheduled, true)) return;
  const Time free_in = process_->busy_until - context_.scheduler.now();
  later(std::max(delay, free_in), [this] { turn(); });
}

void Machine::schedule_tick() {
  later(clock_.true_delay(options_.tick_interval), [this] {
    process_->tick_is_due = true;
    wake(Time(0));
    schedule_tick();
  });
}

void Machine::turn() {
  process_->turn_is_scheduled = false;
  const node::Time now = clock_.monotonic();
  node::Core& core = *process_->core;
  for (Task& task : std::exchange(process_->inbox, {})) task(core, now);
  if (std::exchange(process_->tick_is_due, false)) core.tick(now);
  const absl::Status status = core.turn(now);
  process_->busy_until = context_.scheduler.now() + disk_.take_busy();
  if (!status.ok()) return end(status, dice_.between(kStartRetry, 5 * kStartRetry));
  check();
  schedule_drain(now);
  schedule_compaction_read();
  core.flush_answers();
  if (const std::optional<node::Time> next = core.next_background_step()) {
    later(clock_.true_delay(std::max(*next - now, Time(0))), [this] { wake(Time(0)); });
  }
}

// --- the engine ---------------------------------------------------------------------------------

void Machine::schedule_drain(node::Time now) {
  node::Core& core = *process_->core;
  if (core.drain_in_flight()) return;
  std::optional<mvcc::DrainBatch> batch = core.take_drain(now, false);
  if (!batch) return;
  auto held = std::make_shared<mvcc::DrainBatch>(*std::move(batch));
  later(dice_.between(kThreadHandover, options_.max_background_delay),
        [this, held] { commit_drain(held); });
}

void Machine::commit_drain(std::shared_ptr<mvcc::DrainBatch> batch) {
  const absl::Status status = engine_.commit(batch->writes());
  if (!disk_.powered() || absl::IsUnknown(status)) {
    return end(status, dice_.between(kStartRetry, 5 * kStartRetry));
  }
  tend_log();
  if (!disk_.powered()) {
    return end(absl::AbortedError("power lost"), dice_.between(kStartRetry, 5 * kStartRetry));
  }
  later(dice_.between(kThreadHandover, options_.max_background_delay), [this, batch, status] {
    enqueue(
        [batch, status](node::Core& core, node::Time) { core.drained(std::move(*batch), status); });
  });
}

/// Errors harm nothing: the next drain tries again.
void Machine::tend_log() {
  wal::Wal& log = process_->core->wal();
  if (log.wants_next_segment()) log.prepare_next_segment().IgnoreError();
  log.trim_before(process_->core->trim_below()).IgnoreError();
  disk_.take_busy();
}

void Machine::schedule_compaction_read() {
  mvcc::CompactionJob* job = process_->core->take_compaction_to_read();
  if (job == nullptr) return;
  later(dice_.between(kThreadHandover, options_.max_background_delay),
        [this, job] { read_compaction(*job); });
}

void Machine::read_compaction(mvcc::CompactionJob& job) {
  mvcc::Reader reader(process_->core->machine().store().views());
  absl::StatusOr<mvcc::CompactionJob::Progress> progress = errors::stopped();
  if (dice_.percent(90) && reader.refresh().ok()) {
    progress = job.read(reader, kCompactionReadStep);
  }
  enqueue([this, progress = std::move(progress)](node::Core& core, node::Time) {
    const absl::Status status = core.compaction_was_read(progress);
    context_.judge.demand(status.ok(), [&] {
      return absl::StrCat(options_.name, "'s compaction failed: ", status.ToString());
    });
  });
}

// --- watches ------------------------------------------------------------------------------------

void Machine::subscribe_watches() {
  process_->core->subscribe(
      1,
      [this](Revision revision) {
        process_->watches.started(revision, process_->core->machine().store().views());
        catch_up_watches();
      },
      [this](std::shared_ptr<const watch::EventBatch> batch) {
        process_->watches.on_batch(*batch);
      },
      process_->loop);
}

/// Now and then, for as long as the process runs.
void Machine::catch_up_watches() {
  later(dice_.between(std::chrono::milliseconds(1), std::chrono::milliseconds(30)), [this] {
    process_->watches.catch_up();
    catch_up_watches();
  });
}

// --- checks -------------------------------------------------------------------------------------

void Machine::Observer::command_applied(const statemachine::Command& command,
                                        const statemachine::Outcome& outcome, node::Time) {
  const node::Core& core = *machine_.process_->core;
  const Index index = machine_.process_->core->machine().applied_index();
  const raft::Entry& entry = core.raft().log().slice(index, index, 0).front();
  machine_.context_.scheduler.digest().add(index.value);
  const bool first = machine_.context_.reference.applied(index, crc32c(0, entry.data), command,
                                                         outcome, machine_.options_.name);
  const auto* revoke = std::get_if<statemachine::LeaseRevokeRequest>(&command.body);
  if (first && revoke != nullptr) machine_.context_.leases.revoked(revoke->id, command.id);
}

void Machine::check() {
  node::Core& core = *process_->core;
  context_.raft_invariants.observe(process_->self, core.raft(), options_.name);
  const std::int64_t revision = core.machine().store().revision().value;
  const std::int64_t expected = context_.reference.revision_at(core.machine().applied_index());
  context_.judge.demand(revision == expected, [&] {
    return absl::StrCat(options_.name, " is at revision ", revision, " with index ",
                        core.machine().applied_index().value, " applied, expected ", expected);
  });
}

}  // namespace holdfast::simulation
