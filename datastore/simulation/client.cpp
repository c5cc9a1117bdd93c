#include "datastore/simulation/client.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "datastore/base/errors.h"
#include "datastore/mvcc/key_value.h"
#include "datastore/simulation/machine_peers.h"
#include "datastore/simulation/requests.h"

namespace holdfast::simulation {

namespace {

constexpr Time kTravelAtLeast = std::chrono::microseconds(50);
constexpr Time kTravelAtMost = std::chrono::milliseconds(2);
constexpr Time kRetryPause = std::chrono::milliseconds(30);
constexpr std::uint64_t kAnswersLostPerMille = 5;
constexpr std::size_t kMaxLeasesPerClient = 4;
constexpr BytesView kFirstKey = "k";
constexpr BytesView kPastLastKey = "l";

}  // namespace

Client::Client(Context& context, const std::vector<Machine*>& machines, Workload& workload,
               std::uint64_t number)
    : context_(context),
      machines_(machines),
      workload_(workload),
      number_(number),
      dice_(context.seed, 1000 + number) {
}

void Client::start() {
  think();
}

void Client::think() {
  context_.scheduler.after(dice_.between(Time(0), workload_.think_at_most), [this] { begin(); });
}

void Client::begin() {
  if (workload_.remaining == 0 || context_.judge.failed()) return;
  Machine* machine = machines_[dice_.below(machines_.size())];
  if (!machine->is_up()) {
    context_.scheduler.after(kRetryPause, [this] { begin(); });
    return;
  }
  --workload_.remaining;
  ++workload_.begun;
  current_ = Operation{++tokens_, machine, context_.scheduler.now(), context_.history.begin()};
  last_command_.reset();
  context_.scheduler.after(workload_.answer_timeout, [this, token = tokens_] {
    if (current_ && current_->token == token) finish(false);
  });
  if (repeat_) {
    auto [field, body] = *std::exchange(repeat_, std::nullopt);
    return command(field, std::move(body));
  }
  perform(draw_verb());
}

Client::Verb Client::draw_verb() {
  static constexpr std::pair<Verb, std::uint64_t> kShares[] = {
      {Verb::kPut, 320},
      {Verb::kPutWithLease, 60},
      {Verb::kDelete, 60},
      {Verb::kDeleteRange, 10},
      {Verb::kCompareAndPut, 110},
      {Verb::kMove, 30},
      {Verb::kGet, 150},
      {Verb::kList, 50},
      {Verb::kSerializableGet, 70},
      {Verb::kSerializableList, 30},
      {Verb::kPastList, 20},
      {Verb::kGrant, 25},
      {Verb::kKeepAlive, 45},
      {Verb::kRevoke, 8},
      {Verb::kCompact, 12},
  };
  std::uint64_t draw = dice_.below(1000);
  for (const auto& [verb, share] : kShares) {
    if (draw < share) return verb;
    draw -= share;
  }
  return Verb::kPut;
}

void Client::perform(Verb verb) {
  using codec::CommandField;
  switch (verb) {
    case Verb::kPut:
      return command(CommandField::kPut, encode_put_request(some_key(), fresh_value(), 0));
    case Verb::kPutWithLease: {
      const std::int64_t lease = leases_.empty() ? 0 : leases_[dice_.below(leases_.size())].value;
      return command(CommandField::kPut, encode_put_request(some_key(), fresh_value(), lease));
    }
    case Verb::kDelete:
      return command(CommandField::kDeleteRange, encode_delete_request(some_key(), ""));
    case Verb::kDeleteRange: {
      const Bytes key = some_key();
      return command(CommandField::kDeleteRange, encode_delete_request(key, key + "~"));
    }
    case Verb::kCompareAndPut: {
      const Bytes key = some_key();
      return command(CommandField::kTxn, encode_compare_and_put(key, seen_mod_revisions_[key],
                                                                fresh_value(), some_key()));
    }
    case Verb::kMove: {
      const Bytes from = some_key();
      const Bytes to = some_key();
      if (from == to) return command(CommandField::kDeleteRange, encode_delete_request(from, ""));
      return command(CommandField::kTxn, encode_move(from, to, fresh_value()));
    }
    case Verb::kGet:
      return range(some_key(), "", 0, true);
    case Verb::kList:
      return range(Bytes(kFirstKey), Bytes(kPastLastKey), 0, true);
    case Verb::kSerializableGet:
      return range(some_key(), "", 0, false);
    case Verb::kSerializableList:
      return range(Bytes(kFirstKey), Bytes(kPastLastKey), 0, false);
    case Verb::kPastList: {
      const std::int64_t newest = context_.history.begin();
      return range(Bytes(kFirstKey), Bytes(kPastLastKey),
                   std::max<std::int64_t>(1, newest - static_cast<std::int64_t>(dice_.below(100))),
                   dice_.coin());
    }
    case Verb::kGrant:
      return grant();
    case Verb::kKeepAlive:
      return keep_alive();
    case Verb::kRevoke:
      return revoke();
    case Verb::kCompact: {
      const std::int64_t newest = context_.history.begin();
      const std::int64_t at = newest - static_cast<std::int64_t>(dice_.below(60));
      return command(CommandField::kCompaction, codec::encode_compaction({.revision = at}));
    }
  }
}

Bytes Client::some_key() {
  const std::uint64_t key = dice_.below(workload_.keys);
  return absl::StrCat("k", key / 10, key % 10);
}

Bytes Client::fresh_value() {
  Bytes value = absl::StrCat("c", number_, ".", ++values_);
  if (dice_.per_mille(20)) value.append(dice_.below(3000), 'x');
  return value;
}

// --- what travels -------------------------------------------------------------------------------

void Client::send(node::CoreTask task) {
  Machine& machine = *current_->machine;
  context_.scheduler.after(
      dice_.between(kTravelAtLeast, kTravelAtMost),
      [&machine, incarnation = machine.incarnation(), task = std::move(task)]() mutable {
        if (machine.is_up() && machine.incarnation() == incarnation) {
          machine.enqueue(std::move(task));
        }
      });
}

void Client::reply(std::uint64_t token, absl::AnyInvocable<void()> then) {
  if (dice_.per_mille(kAnswersLostPerMille)) {
    context_.faults.add(Fault::kConnectionLost);
    return;
  }
  context_.scheduler.after(dice_.between(kTravelAtLeast, kTravelAtMost),
                           [this, token, then = std::move(then)]() mutable {
                             if (current_ && current_->token == token) then();
                           });
}

void Client::connection_lost(const Machine& machine) {
  if (!current_ || current_->machine != &machine) return;
  context_.scheduler.after(dice_.between(kTravelAtLeast, kTravelAtMost),
                           [this, token = current_->token] {
                             if (current_ && current_->token == token) finish(false);
                           });
}

void Client::finish(bool acknowledged) {
  if (acknowledged) {
    ++workload_.acknowledged;
  } else {
    ++workload_.unknown;
    if (last_command_ && dice_.coin()) repeat_ = std::move(last_command_);
  }
  current_.reset();
  think();
}

// --- operations ---------------------------------------------------------------------------------

void Client::command(codec::CommandField field, Bytes body,
                     absl::AnyInvocable<void(const node::Applied&)> then) {
  last_command_ = {field, body};
  Machine& machine = *current_->machine;
  const std::uint64_t request = machine.next_request_id();
  if (field == codec::CommandField::kLeaseRevoke) context_.leases.revocation_asked(request);
  node::Proposal proposal;
  proposal.id = request;
  proposal.entry = codec::encode_internal(request, field, body);
  proposal.done = [this, token = current_->token, floor = current_->floor, request,
                   then = std::move(then)](node::Applied applied) mutable {
    reply(token, [this, floor, request, applied = std::move(applied),
                  then = std::move(then)]() mutable {
      context_.scheduler.digest().add(static_cast<std::uint64_t>(applied.outcome.revision.value));
      if (absl::IsUnavailable(applied.outcome.status)) return finish(false);
      context_.history.command_answered(request, floor, applied);
      if (then && applied.outcome.status.ok()) then(applied);
      finish(true);
    });
  };
  send([&machine, proposal = std::move(proposal)](node::Core&, node::Time) mutable {
    machine.propose(std::move(proposal));
  });
}

void Client::read(Machine& machine, History::RangeAnswer answer,
                  absl::AnyInvocable<void(absl::StatusOr<History::RangeAnswer>)> done) {
  mvcc::Reader reader(machine.core().machine().store().views());
  if (absl::Status status = reader.refresh(); !status.ok()) return done(status);
  const auto result =
      reader.range({.range = {answer.key, answer.range_end}, .revision = answer.at_revision});
  if (!result.ok()) return done(result.status());
  answer.header_revision = result->revision.value;
  answer.kvs.assign(result->kvs.begin(), result->kvs.end());
  done(std::move(answer));
}

void Client::range(Bytes key, Bytes range_end, std::int64_t at_revision, bool linearizable) {
  Machine& machine = *current_->machine;
  auto done = [this, token = current_->token,
               floor = current_->floor](absl::StatusOr<History::RangeAnswer> answer) {
    reply(token, [this, floor, answer = std::move(answer)] {
      if (!answer.ok()) {
        context_.judge.demand(
            absl::IsOutOfRange(answer.status()) || absl::IsUnavailable(answer.status()),
            [&] { return absl::StrCat("a read failed: ", answer.status().ToString()); });
        return finish(absl::IsOutOfRange(answer.status()));
      }
      context_.scheduler.digest().add(static_cast<std::uint64_t>(answer->header_revision));
      context_.history.range_answered(floor, *answer);
      for (const Bytes& kv : answer->kvs) {
        const auto parsed = mvcc::parse_key_value(kv);
        if (parsed) seen_mod_revisions_[Bytes(parsed->key)] = parsed->mod_revision;
      }
      finish(true);
    });
  };
  History::RangeAnswer question{
      std::move(key), std::move(range_end), at_revision, linearizable, 0, {}};
  send([&machine, question = std::move(question), done = std::move(done)](node::Core& core,
                                                                          node::Time now) mutable {
    const bool at_once = !question.linearizable || (core.machine().store().views().get()->flags &
                                                    node::Node::kViewIsLinearizable) != 0;
    if (at_once) return read(machine, std::move(question), std::move(done));
    core.read_index(
        [&machine, question = std::move(question),
         done = std::move(done)](absl::Status ready) mutable {
          if (!ready.ok()) return done(ready);
          read(machine, std::move(question), std::move(done));
        },
        machine.mailbox(), now);
  });
}

void Client::grant() {
  if (leases_.size() >= kMaxLeasesPerClient) leases_.erase(leases_.begin());
  const LeaseId lease(static_cast<std::int64_t>(number_ * 1'000'000 + ++values_));
  const auto ttl = static_cast<std::int64_t>(dice_.between(2, 6));
  command(codec::CommandField::kLeaseGrant,
          codec::encode_lease_grant({.ttl_seconds = ttl, .id = lease}),
          [this, lease, asked = current_->asked](const node::Applied& applied) {
            const auto& granted = std::get<statemachine::LeaseGrantOutcome>(applied.outcome.body);
            context_.leases.acknowledged(lease, asked, granted.ttl_seconds);
            leases_.push_back(lease);
          });
}

void Client::keep_alive() {
  if (leases_.empty()) return grant();
  const LeaseId lease = leases_[dice_.below(leases_.size())];
  Machine& machine = *current_->machine;
  auto answered = [this, lease, token = current_->token,
                   asked = current_->asked](absl::StatusOr<std::int64_t> ttl) {
    reply(token, [this, lease, asked, ttl] {
      if (ttl.ok()) context_.leases.acknowledged(lease, asked, *ttl);
      if (ttl.status() == errors::lease_not_found()) std::erase(leases_, lease);
      finish(ttl.ok());
    });
  };
  send([&machine, lease, answered = std::move(answered)](node::Core& core, node::Time now) mutable {
    const MemberId leader = core.raft().leader();
    if (leader && leader != machine.self()) {
      return machine.peers().keep_alive(leader, lease, std::move(answered));
    }
    core.renew_lease(lease, now, std::move(answered));
  });
}

void Client::revoke() {
  if (leases_.empty()) return grant();
  const LeaseId lease = leases_[dice_.below(leases_.size())];
  std::erase(leases_, lease);
  command(codec::CommandField::kLeaseRevoke, codec::encode_lease_revoke(lease));
}

}  // namespace holdfast::simulation
