// The façade's leases, maintenance and status: what member.cpp's threads don't need to know.
#include <utility>

#include "datastore/base/errors.h"
#include "datastore/node/hashing.h"
#include "datastore/node/member.h"
#include "datastore/node/post_answer.h"

namespace holdfast::node {

namespace {

/// Free space given back in one step, and entries looked at (what is rewritten of them is one
/// commit). Small, with a pause after each: the log's syncs share the disk.
constexpr std::uint64_t kDefragmentStepBytes = std::uint64_t{2} << 20;
constexpr std::size_t kDefragmentStepEntries = 1000;
constexpr std::chrono::milliseconds kDefragmentPause{2};

/// An answer that a task may give or, when the task is refused, its caller: exactly one of them.
template <class Value>
struct SharedDone {
  using Done = absl::AnyInvocable<void(absl::StatusOr<Value>)>;
  explicit SharedDone(Done done) : done(std::make_shared<Done>(std::move(done))) {}
  void answer(Mailbox& mailbox, absl::StatusOr<Value> value) const {
    post_answer(mailbox, std::move(*done), std::move(value));
  }
  std::shared_ptr<Done> done;
};

}  // namespace

// --- leases -------------------------------------------------------------------------------------

void Member::lease_keep_alive(LeaseId id,
                              absl::AnyInvocable<void(absl::StatusOr<std::int64_t>)> done,
                              Mailbox& mailbox) {
  const SharedDone<std::int64_t> shared(std::move(done));
  const bool taken = enqueue([this, id, shared, &mailbox](Core& core, Time now) {
    const lease::Renewal renewal = core.machine().lessor().renew(id, now);
    switch (renewal.result) {
      case lease::Renewal::Result::kRenewed:
        if (renewal.clear_checkpoint) core.propose_checkpoint_reset(id);
        shared.answer(mailbox, renewal.ttl_seconds);
        break;
      case lease::Renewal::Result::kNotPrimary:
        shared.answer(mailbox, errors::no_leader());
        break;
      case lease::Renewal::Result::kExpired:
        // Its revocation is in the log: by the time this answers again it is gone.
      case lease::Renewal::Result::kNotFound:
        shared.answer(mailbox, errors::lease_not_found());
        break;
    }
  });
  if (!taken) shared.answer(mailbox, errors::stopped());
}

void Member::lease_time_to_live(LeaseId id, bool keys,
                                absl::AnyInvocable<void(absl::StatusOr<LeaseTimes>)> done,
                                Mailbox& mailbox) {
  const SharedDone<LeaseTimes> shared(std::move(done));
  const bool taken = enqueue([id, keys, shared, &mailbox](Core& core, Time now) {
    const lease::Lessor& lessor = core.machine().lessor();
    const absl::StatusOr<lease::TimeToLive> times = lessor.time_to_live(id, now);
    if (!times.ok()) return shared.answer(mailbox, times.status());
    shared.answer(mailbox, LeaseTimes{id, times->ttl_seconds, times->granted_ttl_seconds,
                                      keys ? lessor.keys_of(id) : std::vector<Bytes>()});
  });
  if (!taken) shared.answer(mailbox, errors::stopped());
}

void Member::lease_list(absl::AnyInvocable<void(absl::StatusOr<std::vector<LeaseId>>)> done,
                        Mailbox& mailbox) {
  const SharedDone<std::vector<LeaseId>> shared(std::move(done));
  const bool taken = enqueue([shared, &mailbox](Core& core, Time) {
    shared.answer(mailbox, core.machine().lessor().list());
  });
  if (!taken) shared.answer(mailbox, errors::stopped());
}

// --- maintenance --------------------------------------------------------------------------------

void Member::snapshot(absl::AnyInvocable<void(absl::StatusOr<BackendSnapshot>)> done,
                      Mailbox& mailbox) {
  const SharedDone<BackendSnapshot> shared(std::move(done));
  const bool taken = enqueue([this, shared, &mailbox](Core&, Time) {
    snapshot_requests_.push_back({std::move(*shared.done), &mailbox});
  });
  if (!taken) shared.answer(mailbox, errors::stopped());
}

void Member::hash(absl::AnyInvocable<void(absl::StatusOr<HashResult>)> done, Mailbox& mailbox) {
  const SharedDone<HashResult> shared(std::move(done));
  snapshot(
      [this, shared, &mailbox](absl::StatusOr<BackendSnapshot> snapshot) {
        if (!snapshot.ok()) return shared.answer(mailbox, snapshot.status());
        auto held = std::make_shared<BackendSnapshot>(*std::move(snapshot));
        const absl::Status submitted = readers_->submit([shared, held, &mailbox](mvcc::Reader&) {
          absl::StatusOr<HashResult> result = hash_all_buckets(*held->read);
          if (result.ok()) result->revision = held->revision;
          shared.answer(mailbox, std::move(result));
        });
        if (!submitted.ok()) shared.answer(mailbox, submitted);
      },
      mailbox);
}

void Member::hash_kv(std::int64_t revision,
                     absl::AnyInvocable<void(absl::StatusOr<HashResult>)> done, Mailbox& mailbox) {
  const SharedDone<HashResult> shared(std::move(done));
  const absl::Status submitted = run_read([this, revision, shared, &mailbox](mvcc::Reader& reader) {
    reader.release();  // the job reads by itself
    shared.answer(mailbox, hash_keys(views(), backend_, revision));
  });
  if (!submitted.ok()) shared.answer(mailbox, submitted);
}

void Member::await_compaction(Revision revision, absl::AnyInvocable<void(absl::Status)> done,
                              Mailbox& mailbox) {
  auto shared = std::make_shared<absl::AnyInvocable<void(absl::Status)>>(std::move(done));
  const bool taken = enqueue([revision, shared, &mailbox](Core& core, Time) {
    core.await_compaction(revision, std::move(*shared), mailbox);
  });
  if (!taken) post_answer(mailbox, std::move(*shared), errors::stopped());
}

void Member::defragment(absl::AnyInvocable<void(absl::Status)> done, Mailbox& mailbox) {
  auto work = std::make_shared<Defragmentation>();
  work->done = std::move(done);
  work->mailbox = &mailbox;
  const bool taken = enqueue(
      [this, work](Core&, Time) { background_->post([this, work] { defragment_step(work); }); });
  if (!taken) post_answer(mailbox, std::move(work->done), errors::stopped());
}

/// One bounded step, then to the end of the queue: commits go on in between. First thinly filled
/// pages are merged, key by key, then what is free is given back.
void Member::defragment_step(std::shared_ptr<Defragmentation> work) {
  bool more = true;
  absl::Status status;
  if (!work->merged) {
    absl::StatusOr<Bytes> next =
        backend_.compact_step(ports::Bucket::kKey, work->next_key, kDefragmentStepEntries);
    status = next.status();
    if (next.ok()) {
      work->merged = next->empty();
      work->next_key = *std::move(next);
    }
  } else {
    const absl::StatusOr<std::uint64_t> released = backend_.reclaim(kDefragmentStepBytes);
    status = released.status();
    more = released.ok() && *released > 0;
    if (more) observer_.space_reclaimed(*released);
  }
  if (status.ok() && more) {
    const std::lock_guard lock(inbox_mutex_);
    if (stopping_) status = errors::stopped();
  }
  if (!status.ok() || !more) {
    post_answer(*work->mailbox, std::move(work->done), std::move(status));
    return;
  }
  std::this_thread::sleep_for(kDefragmentPause);
  background_->post([this, work = std::move(work)] { defragment_step(work); });
}

void Member::move_leader(MemberId to, absl::AnyInvocable<void(absl::Status)> done,
                         Mailbox& mailbox) {
  auto shared = std::make_shared<absl::AnyInvocable<void(absl::Status)>>(std::move(done));
  const bool taken = enqueue([to, shared, &mailbox](Core& core, Time) {
    absl::Status status = errors::not_leader();
    if (core.raft().role() == raft::Role::kLeader) {
      status = to == core.raft().leader() ? absl::OkStatus() : errors::bad_leader_transferee();
    }
    post_answer(mailbox, std::move(*shared), std::move(status));
  });
  if (!taken) post_answer(mailbox, std::move(*shared), errors::stopped());
}

// --- membership ---------------------------------------------------------------------------------

namespace {

void refuse_for_now(MembershipDone done, Mailbox& mailbox) {
  post_answer(mailbox, std::move(done),
              absl::StatusOr<MembershipChange>(
                  absl::UnimplementedError("holdfast: this release runs one member")));
}

}  // namespace

void Member::add_member(std::vector<std::string> /*peer_urls*/, bool /*is_learner*/,
                        MembershipDone done, Mailbox& mailbox) {
  refuse_for_now(std::move(done), mailbox);
}

void Member::remove_member(MemberId /*id*/, MembershipDone done, Mailbox& mailbox) {
  refuse_for_now(std::move(done), mailbox);
}

void Member::update_member(MemberId /*id*/, std::vector<std::string> /*peer_urls*/,
                           MembershipDone done, Mailbox& mailbox) {
  refuse_for_now(std::move(done), mailbox);
}

void Member::promote_member(MemberId /*id*/, MembershipDone done, Mailbox& mailbox) {
  refuse_for_now(std::move(done), mailbox);
}

// --- status -------------------------------------------------------------------------------------

void Member::publish_status() {
  term_.store(core_->raft().term().value, std::memory_order_relaxed);
  NodeStatus status = core_->status();
  std::shared_ptr<const ClusterInfo> cluster;
  std::shared_ptr<const statemachine::ClusterState> state = core_->machine().cluster();
  if (state != cluster_state_) {
    cluster_state_ = std::move(state);
    cluster = core_->cluster_info();
  }
  const std::lock_guard lock(status_mutex_);
  status_ = std::move(status);
  if (cluster != nullptr) cluster_ = std::move(cluster);
}

NodeStatus Member::status() const {
  NodeStatus status;
  {
    const std::lock_guard lock(status_mutex_);
    status = status_;
  }
  status.sizes = backend_.sizes();
  return status;
}

std::shared_ptr<const ClusterInfo> Member::cluster() const {
  const std::lock_guard lock(status_mutex_);
  return cluster_;
}

}  // namespace holdfast::node
