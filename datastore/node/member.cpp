#include "datastore/node/member.h"

#include <algorithm>
#include <utility>

#include "datastore/base/errors.h"
#include "datastore/base/thread_share.h"
#include "datastore/node/log_upkeep.h"
#include "datastore/node/post_answer.h"

namespace holdfast::node {

namespace {

/// Work of one reclaim step: bounds how long a commit waits behind it.
constexpr std::uint64_t kReclaimStepBytes = std::uint64_t{16} << 20;
/// A slice of a compaction's reading ends with this many deletions found.
constexpr std::size_t kCompactionDeletesPerSlice = 5'000;
constexpr std::size_t kCompactionReadStep = 5'000;

}  // namespace

absl::Status this_member_was_removed() {
  return absl::FailedPreconditionError(
      "the member has been permanently removed from the cluster. Its data directory is of no more "
      "use; to have it back, add it as a new member and start it with an empty one.");
}

std::unique_ptr<Member> Member::start(MemberOptions options, Bootstrapped bootstrapped,
                                      MemberParts parts) {
  options.core.self = bootstrapped.self;
  options.core.cluster = bootstrapped.cluster;
  for (const statemachine::Member& known : bootstrapped.join_members) {
    options.core.known_members.push_back(
        {known.id, known.name, known.peer_urls, known.client_urls, known.is_learner});
  }
  std::unique_ptr<Member> member(
      new Member(std::move(options), std::move(parts), bootstrapped.self));
  const Time now = member->clock_.monotonic();
  member->core_ = std::make_unique<Core>(
      member->options_.core,
      Core::Parts{.backend = &member->backend_,
                  .wal = std::move(bootstrapped.wal),
                  .raft = std::move(bootstrapped.raft),
                  .machine = std::move(bootstrapped.machine),
                  .observer = &member->observer_,
                  .clock = &member->clock_,
                  .ids = &member->ids_,
                  .peers = member->peers_,
                  .tokens = member->tokens_ == nullptr ? nullptr : &member->tokens_->simple(),
                  .post = [raw = member.get()](CoreTask task) { raw->enqueue(std::move(task)); }},
      now);
  member->views_ = &member->core_->machine().store().views();
  member->next_tick_ = now;  // the first tick at once: a lone member leads without waiting
  member->publish_status();
  member->readers_ = std::make_unique<ReaderPool>(*member->views_, member->options_.reader_threads,
                                                  member->options_.max_queued_reads);
  member->background_ = std::make_unique<WorkQueue>();
  member->thread_ = std::thread([raw = member.get()] { raw->run(); });
  return member;
}

Member::Member(MemberOptions options, MemberParts parts, MemberId self)
    : options_(std::move(options)),
      backend_(*parts.backend),
      disk_(*parts.disk),
      clock_(*parts.clock),
      observer_(*parts.observer),
      peers_(parts.peers),
      tokens_(parts.tokens),
      on_fatal_(std::move(parts.on_fatal)),
      ids_(self, parts.clock->unix_milliseconds()) {
}

Member::~Member() {
  stop();
}

void Member::stop() {
  if (!thread_.joinable()) return;  // never started, or stopped already
  {
    const std::lock_guard lock(inbox_mutex_);
    stopping_ = true;  // it may be: a thread that failed says so itself, and is still to be joined
  }
  inbox_wake_.notify_one();
  thread_.join();
  readers_.reset();
  background_.reset();
  drain_the_rest();
}

/// With all threads gone: what the log would replay at the next start goes into the engine now.
void Member::drain_the_rest() {
  if (failed_) return;
  if (finished_drain_) {
    core_->drained(std::move(finished_drain_->batch), finished_drain_->status);
    finished_drain_.reset();
  }
  std::optional<mvcc::DrainBatch> rest = core_->take_drain(clock_.monotonic(), true);
  if (!rest) return;
  const absl::Status status = backend_.commit(rest->writes());
  if (!status.ok()) observer_.backend_commit_failed(status);
  core_->drained(*std::move(rest), status);
}

// --- the node's thread --------------------------------------------------------------------------

void Member::run() {
  run_when_woken();
  // What the log already has committed comes first: it says who the voters are, so that the first
  // tick finds a lone member ready to lead.
  if (!turn(clock_.monotonic())) return answer_all_stopped();
  while (true) {
    const Time now = clock_.monotonic();
    {
      std::unique_lock lock(inbox_mutex_);
      const bool idle = submissions_.empty() && tasks_.empty() && messages_.empty() &&
                        !finished_drain_ && !stopping_;
      const Time wake_at = std::min(next_tick_, core_->next_background_step().value_or(next_tick_));
      if (idle && now < wake_at) {
        thread_waits_ = true;
        inbox_wake_.wait_for(lock, wake_at - now, [this] {
          return stopping_ || !submissions_.empty() || !tasks_.empty() || !messages_.empty() ||
                 finished_drain_;
        });
        thread_waits_ = false;
      }
      if (stopping_) break;
    }
    const Time turn_begin = clock_.monotonic();
    take_inbox(turn_begin);
    if (turn_begin >= next_tick_) tick(turn_begin);
    if (!turn(turn_begin)) break;
  }
  answer_all_stopped();
}

void Member::tick(Time now) {
  next_tick_ = now + options_.tick_interval;
  core_->tick(now);
  expire_submissions(now);
  for (std::shared_ptr<LeaderCall>& call : std::exchange(leader_calls_, {})) {
    if (call->deadline <= now) {
      call->fail(errors::timeout());
    } else {
      LeaderCall& again = *call;
      again.attempt(std::move(call), *core_, now);
    }
  }
  // Those that it still hears learn of the removal from it.
  const std::optional<Time> removed = core_->removed_at();
  if (removed && now - *removed >= options_.core.election_timeout && core_error_.ok()) {
    core_error_ = this_member_was_removed();
  }
}

bool Member::turn(Time now) {
  absl::Status status = std::exchange(core_error_, absl::OkStatus());
  if (status.ok()) status = core_->turn(now);
  if (!status.ok()) {
    failed_ = true;
    on_fatal_(status);
    return false;
  }
  for (SnapshotWanted& wanted : core_->take_wanted_snapshots()) {
    snapshot_requests_.push_back({nullptr, nullptr, std::move(wanted.message)});
  }
  schedule_install(now);
  remove_obsolete_files();
  schedule_background(now, false);
  schedule_compaction_read();
  publish_status();
  core_->flush_answers();
  return true;
}

void Member::take_inbox(Time now) {
  std::vector<Submission> submissions;
  std::vector<CoreTask> tasks;
  std::vector<raft::Message> messages;
  std::optional<FinishedDrain> finished;
  {
    const std::lock_guard lock(inbox_mutex_);
    submissions.swap(submissions_);
    tasks.swap(tasks_);
    messages.swap(messages_);
    finished.swap(finished_drain_);
  }
  if (finished) core_->drained(std::move(finished->batch), std::move(finished->status));
  if (absl::Status status = core_->step(std::move(messages)); !status.ok()) core_error_ = status;
  for (CoreTask& task : tasks) task(*core_, now);
  for (Submission& submission : submissions) held_.push_back(std::move(submission));
  std::size_t taken = 0;
  std::size_t taken_bytes = 0;
  while (!held_.empty() && core_->accepts_proposals()) {
    Submission submission = std::move(held_.front());
    held_.pop_front();
    taken += submission.proposals.size();
    taken_bytes += submission.size_bytes;
    core_->propose(std::move(submission.proposals), *submission.mailbox, now);
  }
  if (taken > 0) {
    const std::lock_guard lock(inbox_mutex_);
    inbox_proposals_ -= taken;
    inbox_bytes_ -= taken_bytes;
  }
}

/// While the engine is too far behind, proposals wait here no longer than they would in the log.
void Member::expire_submissions(Time now) {
  while (!held_.empty() && held_.front().submitted + options_.core.request_timeout <= now) {
    Submission submission = std::move(held_.front());
    held_.pop_front();
    {
      const std::lock_guard lock(inbox_mutex_);
      inbox_proposals_ -= submission.proposals.size();
      inbox_bytes_ -= submission.size_bytes;
    }
    for (Proposal& proposal : submission.proposals) {
      Applied applied;
      applied.outcome.status = errors::timeout();
      applied.term = term();
      post_answer(*submission.mailbox, std::move(proposal.done), std::move(applied));
    }
  }
}

void Member::schedule_background(Time now, bool all) {
  trim_below_.store(core_->trim_below().value, std::memory_order_relaxed);
  if (core_->drain_in_flight() || core_->is_installing()) return;
  const bool has_snapshots = !snapshot_requests_.empty();
  std::optional<mvcc::DrainBatch> batch = core_->take_drain(now, all || has_snapshots);
  if (!batch && !has_snapshots) return;
  const mvcc::Store& store = core_->machine().store();
  std::vector<SnapshotRequest> snapshots = std::exchange(snapshot_requests_, {});
  for (SnapshotRequest& request : snapshots) {
    if (request.message) core_->describe_state(*request.message);
  }
  background_->post([this, batch = std::move(batch), snapshots = std::move(snapshots),
                     applied = store.applied_index(), term = store.applied_term(),
                     revision = store.revision()]() mutable {
    if (batch) {
      commit_drain(*std::move(batch), std::move(snapshots), applied, term, revision);
    } else {
      serve_snapshots(std::move(snapshots), applied, term, revision);
    }
  });
}

/// One slice of the compaction's reading on the pool; its end comes back as a task.
void Member::schedule_compaction_read() {
  mvcc::CompactionJob* job = core_->take_compaction_to_read();
  if (job == nullptr) return;
  const auto report = [this](absl::StatusOr<mvcc::CompactionJob::Progress> progress) {
    enqueue([this, progress = std::move(progress)](Core& core, Time) {
      if (absl::Status status = core.compaction_was_read(progress); !status.ok()) {
        observer_.background_error("compaction", status);
      }
    });
  };
  const absl::Status submitted = run_read([job, report](mvcc::Reader& reader) {
    absl::StatusOr<mvcc::CompactionJob::Progress> progress = mvcc::CompactionJob::Progress::kMore;
    while (reader.holding() && progress.ok() && *progress == mvcc::CompactionJob::Progress::kMore &&
           job->pending_deletes() < kCompactionDeletesPerSlice) {
      progress = job->read(reader, kCompactionReadStep);
    }
    report(reader.holding() ? std::move(progress) : errors::stopped());
  });
  if (!submitted.ok()) report(errors::stopped());
}

void Member::answer_all_stopped() {
  core_->stop();
  {
    const std::lock_guard lock(inbox_mutex_);
    stopping_ = true;
    for (Submission& submission : submissions_) held_.push_back(std::move(submission));
    submissions_.clear();
    tasks_.clear();
    messages_.clear();
  }
  for (Submission& submission : held_) {
    for (Proposal& proposal : submission.proposals) {
      Applied applied;
      applied.outcome.status = errors::stopped();
      post_answer(*submission.mailbox, std::move(proposal.done), std::move(applied));
    }
  }
  held_.clear();
  for (std::shared_ptr<LeaderCall>& call : std::exchange(leader_calls_, {})) {
    call->fail(errors::stopped());
  }
  for (SnapshotRequest& request : snapshot_requests_) {
    answer_snapshot(std::move(request), errors::stopped());
  }
  snapshot_requests_.clear();
}

// --- the background thread ----------------------------------------------------------------------

void Member::commit_drain(mvcc::DrainBatch batch, std::vector<SnapshotRequest> snapshots,
                          Index applied, Term term, Revision revision) {
  const Time started = clock_.monotonic();
  absl::Status status = backend_.commit(batch.writes());
  if (status.ok()) {
    observer_.backend_committed(clock_.monotonic() - started, batch.bytes);
    serve_snapshots(std::move(snapshots), applied, term, revision);
  } else {
    observer_.backend_commit_failed(status);
    // What the disk holds is unknown now: a restart finds out, and replays the log.
    if (absl::IsUnknown(status)) on_fatal_(status);
    for (SnapshotRequest& request : snapshots) answer_snapshot(std::move(request), status);
  }
  {
    const std::lock_guard lock(inbox_mutex_);
    finished_drain_ = FinishedDrain{std::move(batch), status};
  }
  inbox_wake_.notify_one();
  tend_log(status);
  const ports::BackendSizes sizes = backend_.sizes();
  if (sizes.allocated_bytes > sizes.used_bytes + options_.reclaim_above_bytes) {
    tend_space(kReclaimStepBytes);
  }
}

void Member::tend_log(const absl::Status& committed) {
  const Index trim_below(trim_below_.load(std::memory_order_relaxed));
  node::tend_log(
      core_->wal(), committed, trim_below,
      [this](const char* what, const absl::Status& why) { observer_.background_error(what, why); });
}

void Member::tend_space(std::uint64_t max_bytes) {
  const absl::StatusOr<std::uint64_t> released = backend_.reclaim(max_bytes);
  if (!released.ok()) {
    observer_.background_error("giving free space back", released.status());
  } else if (*released > 0) {
    observer_.space_reclaimed(*released);
  }
}

void Member::serve_snapshots(std::vector<SnapshotRequest> snapshots, Index applied, Term term,
                             Revision revision) {
  for (SnapshotRequest& request : snapshots) {
    absl::StatusOr<std::unique_ptr<ports::BackendRead>> read = backend_.begin_read();
    if (!read.ok()) {
      answer_snapshot(std::move(request), read.status());
    } else {
      answer_snapshot(std::move(request),
                      BackendSnapshot{*std::move(read), applied, term, revision});
    }
  }
}

// --- the façade ---------------------------------------------------------------------------------

bool Member::enqueue(CoreTask task) {
  bool wake = false;
  {
    const std::lock_guard lock(inbox_mutex_);
    if (stopping_ || tasks_.size() >= options_.max_inbox) return false;
    tasks_.push_back(std::move(task));
    wake = thread_waits_;
  }
  if (wake) inbox_wake_.notify_one();
  return true;
}

void Member::propose(std::vector<Proposal> proposals, Mailbox& mailbox) {
  absl::Status refusal = errors::too_many_requests();
  std::vector<Proposal> refused;
  bool wake = false;
  {
    const std::lock_guard lock(inbox_mutex_);
    if (stopping_) {
      refusal = errors::stopped();
      refused.swap(proposals);
    }
    const std::size_t size_bytes = refuse_beyond_bound(proposals, refused);
    if (!proposals.empty()) {
      inbox_proposals_ += proposals.size();
      inbox_bytes_ += size_bytes;
      submissions_.push_back({std::move(proposals), &mailbox, clock_.monotonic(), size_bytes});
      wake = thread_waits_;
    }
  }
  if (wake) inbox_wake_.notify_one();
  refuse(std::move(refused), mailbox, refusal);
}

std::size_t Member::refuse_beyond_bound(std::vector<Proposal>& proposals,
                                        std::vector<Proposal>& refused) {
  std::size_t size_bytes = 0;
  for (const Proposal& proposal : proposals) size_bytes += proposal.entry.size();
  const std::size_t for_big_ones = options_.max_inbox_bytes / 4 * 3;
  if (inbox_bytes_ + size_bytes <= for_big_ones &&
      inbox_proposals_ + proposals.size() <= options_.max_inbox) {
    return size_bytes;
  }
  std::vector<Proposal> taken;
  size_bytes = 0;
  for (Proposal& proposal : proposals) {
    const std::size_t bytes = proposal.entry.size();
    const std::size_t bound = bytes > kSmallProposalBytes ? for_big_ones : options_.max_inbox_bytes;
    const bool fits = inbox_bytes_ + size_bytes + bytes <= bound &&
                      inbox_proposals_ + taken.size() < options_.max_inbox;
    if (fits) size_bytes += bytes;
    (fits ? taken : refused).push_back(std::move(proposal));
  }
  proposals = std::move(taken);
  return size_bytes;
}

void Member::refuse(std::vector<Proposal> proposals, Mailbox& mailbox, const absl::Status& why) {
  for (Proposal& proposal : proposals) {
    Applied applied;
    applied.outcome.status = why;
    applied.term = term();
    post_answer(mailbox, std::move(proposal.done), std::move(applied));
  }
}

void Member::read_index(absl::AnyInvocable<void(absl::Status)> done, Mailbox& mailbox) {
  auto shared = std::make_shared<absl::AnyInvocable<void(absl::Status)>>(std::move(done));
  const bool taken = enqueue([shared, &mailbox](Core& core, Time now) {
    core.read_index(std::move(*shared), mailbox, now);
  });
  if (!taken) post_answer(mailbox, std::move(*shared), errors::stopped());
}

absl::Status Member::run_read(absl::AnyInvocable<void(mvcc::Reader&)> work) {
  return readers_->submit([work = std::move(work)](mvcc::Reader& reader) mutable {
    // A failed refresh leaves the reader empty: the work sees that and answers.
    reader.refresh().IgnoreError();
    work(reader);
  });
}

std::uint64_t Member::subscribe(
    absl::AnyInvocable<void(Revision)> started,
    absl::AnyInvocable<void(std::shared_ptr<const watch::EventBatch>)> deliver, Mailbox& mailbox) {
  const std::uint64_t ticket = next_ticket_.fetch_add(1, std::memory_order_relaxed);
  enqueue([ticket, started = std::move(started), deliver = std::move(deliver), &mailbox](
              Core& core, Time) mutable {
    core.subscribe(ticket, std::move(started), std::move(deliver), mailbox);
  });
  return ticket;
}

void Member::unsubscribe(std::uint64_t ticket) {
  enqueue([ticket](Core& core, Time) { core.unsubscribe(ticket); });
}

}  // namespace holdfast::node
