// The façade's leases, maintenance and status: what member.cpp's threads don't need to know.
#include <utility>

#include "datastore/base/errors.h"
#include "datastore/node/hashing.h"
#include "datastore/node/install.h"
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

namespace {

absl::StatusOr<LeaseTimes> times_of(Core& core, LeaseId id, bool keys, Time now) {
  const lease::Lessor& lessor = core.machine().lessor();
  if (!lessor.is_primary()) return errors::not_leader();
  const absl::StatusOr<lease::TimeToLive> times = lessor.time_to_live(id, now);
  if (!times.ok()) return times.status();
  return LeaseTimes{id, times->ttl_seconds, times->granted_ttl_seconds,
                    keys ? lessor.keys_of(id) : std::vector<Bytes>()};
}

/// Worth another try with whoever leads then.
bool is_about_leadership(const absl::Status& status) {
  return absl::IsUnavailable(status) || status == errors::not_leader();
}

}  // namespace

/// `ask(core, now, leader, done)` asks this member's core when it leads (leader 0), or the leader.
template <class Value, class Ask>
void Member::ask_leader(absl::AnyInvocable<void(absl::StatusOr<Value>)> done, Mailbox& mailbox,
                        Ask ask) {
  const SharedDone<Value> shared(std::move(done));
  auto call = std::make_shared<LeaderCall>();
  call->deadline = clock_.monotonic() + options_.core.request_timeout;
  call->fail = [shared, &mailbox](absl::Status why) { shared.answer(mailbox, std::move(why)); };
  call->attempt = [this, shared, ask = std::move(ask), &mailbox](std::shared_ptr<LeaderCall> self,
                                                                 Core& core, Time now) mutable {
    const MemberId leader = core.raft().leader();
    const bool is_elsewhere = leader && leader != options_.core.self && peers_ != nullptr;
    if (!leader) {
      leader_calls_.push_back(std::move(self));
      return;
    }
    // On the network's thread when the leader is elsewhere.
    auto heard = [this, shared, self = std::move(self), &mailbox](absl::StatusOr<Value> value) {
      if (!value.ok() && is_about_leadership(value.status())) {
        const bool taken = enqueue([this, self](Core&, Time) { leader_calls_.push_back(self); });
        if (!taken) self->fail(errors::stopped());
        return;
      }
      shared.answer(mailbox, std::move(value));
    };
    ask(core, now, is_elsewhere ? leader : MemberId(), std::move(heard));
  };
  const bool taken = enqueue([call](Core& core, Time now) { call->attempt(call, core, now); });
  if (!taken) shared.answer(mailbox, errors::stopped());
}

void Member::lease_keep_alive(LeaseId id,
                              absl::AnyInvocable<void(absl::StatusOr<std::int64_t>)> done,
                              Mailbox& mailbox) {
  ask_leader<std::int64_t>(std::move(done), mailbox,
                           [this, id](Core& core, Time now, MemberId leader, auto heard) {
                             if (leader) return peers_->keep_alive(leader, id, std::move(heard));
                             core.renew_lease(id, now, std::move(heard));
                           });
}

void Member::lease_time_to_live(LeaseId id, bool keys,
                                absl::AnyInvocable<void(absl::StatusOr<LeaseTimes>)> done,
                                Mailbox& mailbox) {
  ask_leader<LeaseTimes>(std::move(done), mailbox,
                         [this, id, keys](Core& core, Time now, MemberId leader, auto heard) {
                           if (leader)
                             return peers_->time_to_live(leader, id, keys, std::move(heard));
                           heard(times_of(core, id, keys, now));
                         });
}

void Member::keep_alive_as_leader(LeaseId id,
                                  absl::AnyInvocable<void(absl::StatusOr<std::int64_t>)> done,
                                  Mailbox& mailbox) {
  const SharedDone<std::int64_t> shared(std::move(done));
  const bool taken = enqueue([id, shared, &mailbox](Core& core, Time now) {
    core.renew_lease(id, now, [shared, &mailbox](absl::StatusOr<std::int64_t> ttl) {
      shared.answer(mailbox, std::move(ttl));
    });
  });
  if (!taken) shared.answer(mailbox, errors::stopped());
}

void Member::time_to_live_as_leader(LeaseId id, bool keys,
                                    absl::AnyInvocable<void(absl::StatusOr<LeaseTimes>)> done,
                                    Mailbox& mailbox) {
  const SharedDone<LeaseTimes> shared(std::move(done));
  const bool taken = enqueue([id, keys, shared, &mailbox](Core& core, Time now) {
    shared.answer(mailbox, times_of(core, id, keys, now));
  });
  if (!taken) shared.answer(mailbox, errors::stopped());
}

void Member::lease_list(KeyCheck check,
                        absl::AnyInvocable<void(absl::StatusOr<std::vector<LeaseId>>)> done,
                        Mailbox& mailbox) {
  const SharedDone<std::vector<LeaseId>> shared(std::move(done));
  const bool taken = enqueue([check = std::move(check), shared, &mailbox](Core& core, Time) {
    const lease::Lessor& lessor = core.machine().lessor();
    std::vector<LeaseId> leases = lessor.list();
    if (check != nullptr) {
      for (const LeaseId lease : leases) {
        for (const Bytes& key : lessor.keys_of(lease)) {
          absl::Status status = check(key);
          if (!status.ok()) return shared.answer(mailbox, std::move(status));
        }
      }
    }
    shared.answer(mailbox, std::move(leases));
  });
  if (!taken) shared.answer(mailbox, errors::stopped());
}

void Member::lease_keys(LeaseId id,
                        absl::AnyInvocable<void(absl::StatusOr<std::vector<Bytes>>)> done,
                        Mailbox& mailbox) {
  const SharedDone<std::vector<Bytes>> shared(std::move(done));
  const bool taken = enqueue([id, shared, &mailbox](Core& core, Time) {
    shared.answer(mailbox, core.machine().lessor().keys_of(id));
  });
  if (!taken) shared.answer(mailbox, errors::stopped());
}

// --- maintenance --------------------------------------------------------------------------------

void Member::snapshot(absl::AnyInvocable<void(absl::StatusOr<BackendSnapshot>)> done,
                      Mailbox& mailbox) {
  const SharedDone<BackendSnapshot> shared(std::move(done));
  const bool taken = enqueue([this, shared, &mailbox](Core&, Time) {
    snapshot_requests_.push_back({std::move(*shared.done), &mailbox, std::nullopt});
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
    shared.answer(mailbox, hash_keys(views(), revision));
  });
  if (!submitted.ok()) shared.answer(mailbox, submitted);
}

void Member::applied_entries(Index after, std::size_t max_bytes, Time patience, EntriesDone done,
                             Mailbox& mailbox) {
  const SharedDone<std::vector<raft::Entry>> shared(std::move(done));
  const bool taken = enqueue([after, max_bytes, patience, shared, &mailbox](Core& core, Time now) {
    core.applied_entries(after, max_bytes, std::move(*shared.done), mailbox, now + patience);
  });
  if (!taken) shared.answer(mailbox, errors::stopped());
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

void Member::answer_snapshot(SnapshotRequest request, absl::StatusOr<BackendSnapshot> snapshot) {
  if (!request.message) {
    return post_answer(*request.mailbox, std::move(request.done), std::move(snapshot));
  }
  if (snapshot.ok()) {
    return peers_->send_snapshot({*std::move(request.message), *std::move(snapshot)});
  }
  observer_.background_error("taking the state for a peer", snapshot.status());
  report_snapshot(request.message->to, false);
}

void Member::move_leader(MemberId to, absl::AnyInvocable<void(absl::Status)> done,
                         Mailbox& mailbox) {
  auto shared = std::make_shared<absl::AnyInvocable<void(absl::Status)>>(std::move(done));
  const bool taken = enqueue([to, shared, &mailbox](Core& core, Time now) {
    core.move_leader(to, std::move(*shared), mailbox, now);
  });
  if (!taken) post_answer(mailbox, std::move(*shared), errors::stopped());
}

void Member::hand_over(Time patience) {
  struct Shared {
    std::mutex mutex;
    std::condition_variable ended;
    bool is_over = false;
    InPlaceMailbox mailbox;
  };
  auto shared = std::make_shared<Shared>();
  const auto end = [shared] {
    const std::lock_guard lock(shared->mutex);
    shared->is_over = true;
    shared->ended.notify_one();
  };
  const bool taken =
      enqueue([shared, end](Core& core, Time now) { core.hand_over(end, shared->mailbox, now); });
  if (!taken) return;
  std::unique_lock lock(shared->mutex);
  shared->ended.wait_for(lock, patience, [&] { return shared->is_over; });
}

// --- membership ---------------------------------------------------------------------------------

void Member::add_member(std::vector<std::string> peer_urls, bool is_learner, MembershipDone done,
                        Mailbox& mailbox) {
  const SharedDone<MembershipChange> shared(std::move(done));
  const bool taken = enqueue(
      [urls = std::move(peer_urls), is_learner, shared, &mailbox](Core& core, Time now) mutable {
        core.add_member(std::move(urls), is_learner, std::move(*shared.done), mailbox, now);
      });
  if (!taken) shared.answer(mailbox, errors::stopped());
}

void Member::remove_member(MemberId id, MembershipDone done, Mailbox& mailbox) {
  const SharedDone<MembershipChange> shared(std::move(done));
  const bool taken = enqueue([id, shared, &mailbox](Core& core, Time now) {
    core.remove_member(id, std::move(*shared.done), mailbox, now);
  });
  if (!taken) shared.answer(mailbox, errors::stopped());
}

void Member::update_member(MemberId id, std::vector<std::string> peer_urls, MembershipDone done,
                           Mailbox& mailbox) {
  const SharedDone<MembershipChange> shared(std::move(done));
  const bool taken =
      enqueue([id, urls = std::move(peer_urls), shared, &mailbox](Core& core, Time now) mutable {
        core.update_member(id, std::move(urls), std::move(*shared.done), mailbox, now);
      });
  if (!taken) shared.answer(mailbox, errors::stopped());
}

/// As the door checks it, for what a peer forwards.
absl::Status Member::check_administrator(const std::string& token) const {
  if (!auth().enabled()) return absl::OkStatus();
  if (token.empty()) return errors::user_empty();
  const auto owner = tokens_ == nullptr ? std::nullopt : tokens_->find(token);
  if (!owner) return errors::invalid_auth_token();
  return auth().get()->check_admin({owner->user, auth().get()->revision()});
}

void Member::promote_as_leader(MemberId id, std::string token, MembershipDone done,
                               Mailbox& mailbox) {
  const SharedDone<MembershipChange> shared(std::move(done));
  if (absl::Status status = check_administrator(token); !status.ok()) {
    return shared.answer(mailbox, std::move(status));
  }
  const bool taken = enqueue([id, shared, &mailbox](Core& core, Time now) {
    core.promote_member(id, std::move(*shared.done), mailbox, now);
  });
  if (!taken) shared.answer(mailbox, errors::stopped());
}

void Member::promote_member(MemberId id, std::string token, MembershipDone done, Mailbox& mailbox) {
  ask_leader<MembershipChange>(
      std::move(done), mailbox,
      [this, id, token = std::move(token)](Core& core, Time now, MemberId leader, auto heard) {
        if (!leader) {
          return core.promote_member(id, std::move(heard), in_place_, now);
        }
        peers_->promote(
            leader, id, token,
            [heard = std::move(heard)](absl::StatusOr<std::vector<MemberInfo>> members) mutable {
              if (!members.ok()) return heard(members.status());
              heard(MembershipChange{{}, *std::move(members)});
            });
      });
}

// --- the peer port ------------------------------------------------------------------------------

void Member::step(std::vector<raft::Message> messages) {
  bool wake = false;
  {
    const std::lock_guard lock(inbox_mutex_);
    if (stopping_ || messages_.size() + messages.size() > options_.max_messages) return;
    if (messages_.empty()) {
      messages_ = std::move(messages);
    } else {
      std::move(messages.begin(), messages.end(), std::back_inserter(messages_));
    }
    wake = thread_waits_;
  }
  if (wake) inbox_wake_.notify_one();
}

void Member::report_unreachable(MemberId peer) {
  enqueue([peer](Core& core, Time) { core.report_unreachable(peer); });
}

void Member::report_gone(MemberId peer) {
  enqueue([peer](Core& core, Time) { core.report_gone(peer); });
}

void Member::report_snapshot(MemberId peer, bool ok) {
  enqueue([peer, ok](Core& core, Time) { core.report_snapshot(peer, ok); });
}

void Member::step_snapshot(raft::Message message, std::string file,
                           absl::AnyInvocable<void(absl::Status)> done, Mailbox& mailbox) {
  auto shared = std::make_shared<absl::AnyInvocable<void(absl::Status)>>(std::move(done));
  const bool taken = enqueue([this, message = std::move(message), file = std::move(file), shared,
                              &mailbox](Core& core, Time) mutable {
    const absl::Status status = core.step_snapshot(std::move(message), std::move(file));
    if (!status.ok()) core_error_ = status;
    post_answer(mailbox, std::move(*shared), absl::OkStatus());
  });
  if (!taken) post_answer(mailbox, std::move(*shared), errors::stopped());
}

void Member::told_removed(MemberId /*peer*/) {
  enqueue([this](Core&, Time) { core_error_ = this_member_was_removed(); });
}

/// The engine's content gives way on the background thread, where commits are made too.
void Member::schedule_install(Time now) {
  std::optional<SnapshotInstall> install = core_->take_install(now);
  if (!install) return;
  background_->post([this, install = *std::move(install)] {
    absl::Status status = install_snapshot(disk_, install.file, install.snapshot, backend_);
    if (!status.ok()) tend_log(status);
    enqueue([this, status = std::move(status)](Core& core, Time now) {
      if (absl::Status installed = core.installed(status, now); !installed.ok()) {
        core_error_ = std::move(installed);
      }
    });
  });
}

void Member::remove_obsolete_files() {
  for (std::string& file : core_->take_obsolete_files()) {
    background_->post([this, file = std::move(file)] {
      if (const absl::Status status = disk_.remove(file); !status.ok()) {
        observer_.background_error("removing a received snapshot", status);
      }
    });
  }
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
