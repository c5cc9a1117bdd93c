#include "datastore/simulation/machine.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "absl/strings/str_cat.h"
#include "datastore/base/check.h"
#include "datastore/base/crc32c.h"
#include "datastore/base/errors.h"
#include "datastore/codec/raft_messages.h"
#include "datastore/node/install.h"
#include "datastore/node/log_upkeep.h"
#include "datastore/simulation/machine_peers.h"
#include "datastore/storage/layout.h"

namespace holdfast::simulation {

namespace {

constexpr Time kThreadHandover = std::chrono::microseconds(50);
/// After a connection has ended.
constexpr Time kRedialsWithin = std::chrono::milliseconds(150);
constexpr Time kStartRetry = std::chrono::milliseconds(300);
constexpr std::size_t kCompactionReadStep = 200;
constexpr char kSnapshotDirectory[] = "snap";

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

/// What the engine is to commit, and who gets a copy of the state after that.
struct Machine::Drain {
  std::optional<mvcc::DrainBatch> batch;
  std::vector<raft::Message> snapshots;
  Revision revision;
};

/// All that ends with the process.
struct Machine::Process {
  Process(Machine& machine, Context& context, Network& network)
      : observer(machine),
        loop(machine),
        peers(context, network, machine, machine.self()),
        ids(machine.self(), machine.clock_.unix_milliseconds()) {}

  Observer observer;
  Loop loop;
  MachinePeers peers;
  node::RequestIds ids;
  std::unique_ptr<node::Core> core;
  WatchHub watches;
  std::vector<raft::Message> messages;
  std::vector<node::CoreTask> tasks;
  std::deque<node::Proposal> proposals;
  std::vector<raft::Message> wanted_snapshots;
  bool turn_is_scheduled = false;
  bool tick_is_due = false;
  Time busy_until{0};
  Time background_until{0};
  /// Found outside a turn: the next one ends the process.
  absl::Status error;
};

Machine::Machine(Context& context, Network& network, Neighbours& neighbours, MachineOptions options)
    : context_(context),
      network_(network),
      neighbours_(neighbours),
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

MachinePeers& Machine::peers() {
  return process_->peers;
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
    if (incarnation == incarnation_ && process_ == nullptr && !is_retired_) start();
  });
}

void Machine::start() {
  disk_.power_on();
  node::BootstrapOptions options;
  options.wal_directory = "wal";
  options.snapshot_directory = kSnapshotDirectory;
  options.name = options_.name;
  options.initial_cluster = options_.initial_cluster;
  options.initial_cluster_token = kClusterToken;
  options.join = options_.join;
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
  for (const statemachine::Member& known : bootstrapped.join_members) {
    core.known_members.push_back(
        {known.id, known.name, known.peer_urls, known.client_urls, known.is_learner});
  }
  process_ = std::make_unique<Process>(*this, context_, network_);
  network_.attach(options_.self, *this);
  context_.raft_invariants.restarted(options_.self);
  const std::uint64_t incarnation = incarnation_;
  process_->core =
      std::make_unique<node::Core>(core,
                                   node::Core::Parts{.backend = &engine_,
                                                     .wal = std::move(bootstrapped.wal),
                                                     .raft = std::move(bootstrapped.raft),
                                                     .machine = std::move(bootstrapped.machine),
                                                     .observer = &process_->observer,
                                                     .clock = &clock_,
                                                     .ids = &process_->ids,
                                                     .peers = &process_->peers,
                                                     .post =
                                                         [this, incarnation](node::CoreTask task) {
                                                           if (incarnation == incarnation_)
                                                             enqueue(std::move(task));
                                                         }},
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
  if (disk_.powered()) refuse_connections();
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

void Machine::stop(Time down) {
  const std::uint64_t incarnation = incarnation_;
  const auto stopped = [this, incarnation, down] {
    if (incarnation == incarnation_) end(absl::AbortedError("stopped"), down);
  };
  enqueue([this, stopped](node::Core& core, node::Time now) {
    core.hand_over(stopped, process_->loop, now);
  });
  later(options_.core.election_timeout, stopped);
}

/// Its host lives on and says that nobody listens to those who call, if they do before it is back.
void Machine::refuse_connections() {
  for (const auto& [id, neighbour] : neighbours_) {
    if (id == options_.self) continue;
    context_.scheduler.after(dice_.between(Time(0), kRedialsWithin), [this, neighbour = neighbour] {
      const bool heard = network_.is_open(options_.self, neighbour->self()) &&
                         network_.is_open(neighbour->self(), options_.self);
      if (is_up() || !disk_.powered() || !neighbour->is_up() || !heard) return;
      context_.faults.add(Fault::kConnectRefused);
      neighbour->enqueue(
          [gone = options_.self](node::Core& core, node::Time) { core.report_gone(gone); });
    });
  }
}

void Machine::told_removed() {
  if (std::exchange(is_retired_, true)) return;
  end(absl::AbortedError("removed"), Time(0));
}

void Machine::lose_everything() {
  is_retired_ = true;
  if (process_ != nullptr) end(absl::AbortedError("disk lost"), Time(0));
  disk_.wipe();
  engine_.wipe();
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

void Machine::in_background(absl::AnyInvocable<void()> work) {
  const Time now = context_.scheduler.now();
  Time& until = process_->background_until;
  until = std::max(until, now) + dice_.between(kThreadHandover, options_.max_background_delay);
  later(until - now, std::move(work));
}

void Machine::enqueue(node::CoreTask task) {
  if (process_ == nullptr) return;
  process_->tasks.push_back(std::move(task));
  wake(kThreadHandover);
}

void Machine::propose(node::Proposal proposal) {
  process_->proposals.push_back(std::move(proposal));
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
  absl::Status status = take_inbox(now);
  if (status.ok()) status = process_->core->turn(now);
  process_->busy_until = context_.scheduler.now() + disk_.take_busy();
  if (!status.ok()) {
    context_.judge.demand(!absl::IsDataLoss(status), [&] {
      return absl::StrCat(options_.name, " stops: ", status.ToString());
    });
    return end(status, dice_.between(kStartRetry, 5 * kStartRetry));
  }
  check();
  after_turn(now);
}

absl::Status Machine::take_inbox(node::Time now) {
  Process& process = *process_;
  node::Core& core = *process.core;
  absl::Status status = core.step(std::exchange(process.messages, {}));
  for (node::CoreTask& task : std::exchange(process.tasks, {})) task(core, now);
  while (!process.proposals.empty() && core.accepts_proposals()) {
    std::vector<node::Proposal> next;
    next.push_back(std::move(process.proposals.front()));
    process.proposals.pop_front();
    core.propose(std::move(next), process.loop, now);
  }
  if (std::exchange(process.tick_is_due, false)) core.tick(now);
  return status.ok() ? process.error : status;
}

/// What the other threads are given.
void Machine::after_turn(node::Time now) {
  node::Core& core = *process_->core;
  for (node::SnapshotWanted& wanted : core.take_wanted_snapshots()) {
    process_->wanted_snapshots.push_back(std::move(wanted.message));
  }
  schedule_install(now);
  for (const std::string& file : core.take_obsolete_files()) disk_.remove(file).IgnoreError();
  schedule_drain(now);
  schedule_compaction_read();
  core.flush_answers();
  if (const std::optional<node::Time> next = core.next_background_step()) {
    later(clock_.true_delay(std::max(*next - now, Time(0))), [this] { wake(Time(0)); });
  }
  const std::optional<node::Time> removed = core.removed_at();
  if (removed && now - *removed >= options_.core.election_timeout) told_removed();
}

// --- the engine ---------------------------------------------------------------------------------

void Machine::schedule_drain(node::Time now) {
  node::Core& core = *process_->core;
  if (core.drain_in_flight()) return;
  auto drain = std::make_shared<Drain>();
  drain->batch = core.take_drain(now, /*all=*/!process_->wanted_snapshots.empty());
  if (!drain->batch && process_->wanted_snapshots.empty()) return;
  drain->snapshots = std::exchange(process_->wanted_snapshots, {});
  drain->revision = core.machine().store().revision();
  for (raft::Message& message : drain->snapshots) core.describe_state(message);
  in_background([this, drain] { commit_drain(drain); });
}

void Machine::commit_drain(const std::shared_ptr<Drain>& drain) {
  const absl::Status status =
      drain->batch ? engine_.commit(drain->batch->writes()) : absl::OkStatus();
  if (!disk_.powered() || absl::IsUnknown(status)) {
    return end(status, dice_.between(kStartRetry, 5 * kStartRetry));
  }
  serve_snapshots(*drain, status);
  if (!drain->batch) return;
  node::tend_log(process_->core->wal(), status, process_->core->trim_below(),
                 [](const char*, const absl::Status&) {});
  disk_.take_busy();
  if (!disk_.powered()) {
    return end(absl::AbortedError("power lost"), dice_.between(kStartRetry, 5 * kStartRetry));
  }
  later(dice_.between(kThreadHandover, options_.max_background_delay), [this, drain, status] {
    enqueue([drain, status](node::Core& core, node::Time) {
      core.drained(*std::move(drain->batch), status);
    });
  });
}

void Machine::serve_snapshots(Drain& drain, const absl::Status& committed) {
  for (raft::Message& message : drain.snapshots) {
    auto read = engine_.begin_read();
    if (!committed.ok() || !read.ok()) {
      enqueue([to = message.to](node::Core& core, node::Time) { core.report_snapshot(to, false); });
      continue;
    }
    const Index applied = message.snapshot.index;
    const Term term = message.snapshot.term;
    process_->peers.send_snapshot(
        {std::move(message), {*std::move(read), applied, term, drain.revision}});
  }
}

void Machine::schedule_install(node::Time now) {
  std::optional<node::SnapshotInstall> install = process_->core->take_install(now);
  if (!install) return;
  in_background([this, install = *std::move(install)] {
    const absl::Status status =
        node::install_snapshot(disk_, install.file, install.snapshot, engine_);
    disk_.take_busy();
    if (!disk_.powered()) {
      return end(status, dice_.between(kStartRetry, 5 * kStartRetry));
    }
    enqueue([this, status](node::Core& core, node::Time now) {
      const absl::Status installed = core.installed(status, now);
      if (!installed.ok()) process_->error = installed;
    });
  });
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
        if (batch != nullptr) process_->watches.on_batch(*batch);
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

// --- peers --------------------------------------------------------------------------------------

void Machine::receive(MemberId from, Bytes bytes) {
  if (process_->peers.is_removed(from)) {
    // As the peer room answers whoever was removed.
    context_.scheduler.after(kThreadHandover, [sender = neighbour(from)] {
      if (sender->is_up()) sender->told_removed();
    });
    return;
  }
  raft::Message message;
  const absl::Status decoded = codec::decode(bytes, &message);
  context_.judge.demand(decoded.ok() && codec::encode(message) == bytes, [&] {
    return absl::StrCat("a message from ", from.value,
                        " is not what was sent: ", decoded.ToString());
  });
  process_->messages.push_back(std::move(message));
  wake(kThreadHandover);
}

void Machine::tell_unreachable(MemberId peer) {
  enqueue([peer](node::Core& core, node::Time) { core.report_unreachable(peer); });
}

bool Machine::receive_snapshot(BytesView bytes, Bytes file) {
  raft::Message message;
  if (!codec::decode(bytes, &message).ok()) return false;
  const std::string path =
      absl::StrCat(kSnapshotDirectory, "/", storage::snapshot_file_name(message.snapshot.index));
  if (*disk_.exists(path)) return false;  // another of the same is being installed
  auto created = disk_.open(path, ports::Disk::Open::kCreate);
  absl::Status status = created.status();
  const BytesView content = file;
  if (status.ok()) status = (*created)->write(0, {&content, 1});
  if (status.ok()) status = (*created)->sync();
  if (status.ok()) status = disk_.sync_directory(kSnapshotDirectory);
  disk_.take_busy();
  if (!disk_.powered()) {
    end(status, dice_.between(kStartRetry, 5 * kStartRetry));
    return false;
  }
  if (!status.ok()) {
    disk_.remove(path).IgnoreError();
    return false;
  }
  enqueue([this, message = std::move(message), path](node::Core& core, node::Time) mutable {
    const absl::Status stepped = core.step_snapshot(std::move(message), path);
    if (!stepped.ok()) process_->error = stepped;
  });
  return true;
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
  context_.raft_invariants.observe(options_.self, core.raft(), core.wal().hard_state().term,
                                   options_.name);
  const std::int64_t revision = core.machine().store().revision().value;
  const std::int64_t expected = context_.reference.revision_at(core.machine().applied_index());
  context_.judge.demand(revision == expected, [&] {
    return absl::StrCat(options_.name, " is at revision ", revision, " with index ",
                        core.machine().applied_index().value, " applied, expected ", expected);
  });
}

}  // namespace holdfast::simulation
