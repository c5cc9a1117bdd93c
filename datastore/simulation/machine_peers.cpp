#include "datastore/simulation/machine_peers.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "datastore/base/errors.h"
#include "datastore/codec/raft_messages.h"
#include "datastore/node/hashing.h"
#include "datastore/storage/bbolt_writer.h"

namespace holdfast::simulation {

namespace {

constexpr Time kSnapshotTakesAtLeast = std::chrono::milliseconds(1);
constexpr Time kSnapshotTakesAtMost = std::chrono::milliseconds(400);

}  // namespace

void MachinePeers::set_members(std::shared_ptr<const node::ClusterInfo> cluster) {
  cluster_ = std::move(cluster);
}

bool MachinePeers::is_removed(MemberId member) const {
  return std::binary_search(cluster_->removed.begin(), cluster_->removed.end(), member);
}

void MachinePeers::send(std::vector<raft::Message> messages) {
  for (const raft::Message& message : messages) {
    // A forwarded proposal travels over one connection: it arrives once or not at all.
    const bool may_repeat = message.type != raft::MessageType::kProp;
    network_.send(self_, message.to, codec::encode(message), machine_.disk().busy(), may_repeat);
    if (!network_.connected_since(self_, message.to)) machine_.tell_unreachable(message.to);
  }
}

void MachinePeers::send_snapshot(node::OutgoingSnapshot snapshot) {
  const MemberId to = snapshot.message.to;
  auto writer = storage::BboltWriter::plan(*snapshot.state.read, {});
  Bytes file;
  if (writer.ok()) {
    const absl::Status written = writer->write([&file](BytesView piece) {
      file.append(piece);
      return absl::OkStatus();
    });
    context_.judge.demand(written.ok(), [&] { return written.ToString(); });
  }
  context_.judge.demand(writer.ok(), [&] { return writer.status().ToString(); });
  context_.note(machine_.name(), " sends its state at ", snapshot.message.snapshot.index.value,
                " to ", to.value);
  Machine& machine = machine_;
  const std::uint64_t incarnation = machine.incarnation();
  const auto report = [&machine, incarnation, to](bool ok) {
    if (!machine.is_up() || machine.incarnation() != incarnation) return;
    machine.enqueue([to, ok](node::Core& core, node::Time) { core.report_snapshot(to, ok); });
  };
  network_.call(
      self_, to, machine_.dice().between(kSnapshotTakesAtLeast, kSnapshotTakesAtMost),
      [&machine, to, report, bytes = codec::encode(snapshot.message),
       file = std::move(file)]() mutable {
        const bool taken = machine.neighbour(to)->receive_snapshot(bytes, std::move(file));
        report(taken);
      },
      [&context = context_, report] {
        context.faults.add(Fault::kSnapshotLost);
        report(false);
      });
}

std::optional<std::chrono::nanoseconds> MachinePeers::active_since(MemberId peer) const {
  const std::optional<Time> since = network_.connected_since(self_, peer);
  if (!since) return std::nullopt;
  return machine_.clock().monotonic() - (context_.scheduler.now() - *since);
}

// What is under way outlives the process, and so this object: it may only know the machines.
template <class Value>
void MachinePeers::call(MemberId peer, Done<Value> done,
                        std::function<void(Machine&, node::Core&, node::Time, Done<Value>)> ask) {
  auto shared = std::make_shared<Done<Value>>(std::move(done));
  Machine& self = machine_;
  Network& network = network_;
  const std::uint64_t incarnation = self.incarnation();
  // The answer belongs to this process: with its end nobody waits for it.
  const auto answer = [&self, incarnation, shared](absl::StatusOr<Value> value) {
    if (self.is_up() && self.incarnation() == incarnation) (*shared)(std::move(value));
  };
  const auto fail = [answer] { answer(absl::UnavailableError("the peer can't be reached")); };
  network.call(
      self_, peer, Time(0),
      [&self, &network, peer, ask = std::move(ask), answer, fail] {
        Machine& there = *self.neighbour(peer);
        there.enqueue([&self, &network, &there, ask, answer, fail](node::Core& core,
                                                                   node::Time now) {
          ask(there, core, now,
              [&self, &network, &there, answer, fail](absl::StatusOr<Value> value) {
                network.call(
                    there.self(), self.self(), Time(0), [answer, value] { answer(value); }, fail);
              });
        });
      },
      fail);
}

void MachinePeers::keep_alive(MemberId leader, LeaseId lease, Done<std::int64_t> done) {
  call<std::int64_t>(
      leader, std::move(done),
      [lease](Machine&, node::Core& core, node::Time now, Done<std::int64_t> answer) {
        core.renew_lease(lease, now, std::move(answer));
      });
}

void MachinePeers::time_to_live(MemberId leader, LeaseId lease, bool keys,
                                Done<node::LeaseTimes> done) {
  call<node::LeaseTimes>(
      leader, std::move(done),
      [lease, keys](Machine&, node::Core& core, node::Time now, Done<node::LeaseTimes> answer) {
        const lease::Lessor& lessor = core.machine().lessor();
        if (!lessor.is_primary()) return answer(errors::not_leader());
        const auto times = lessor.time_to_live(lease, now);
        if (!times.ok()) return answer(times.status());
        answer(node::LeaseTimes{lease, times->ttl_seconds, times->granted_ttl_seconds,
                                keys ? lessor.keys_of(lease) : std::vector<Bytes>()});
      });
}

/// Here whoever wants a promotion asks the leader itself.
void MachinePeers::promote(MemberId, MemberId, std::string,
                           Done<std::vector<node::MemberInfo>> done) {
  done(absl::UnavailableError("not simulated"));
}

void MachinePeers::hash_kv(MemberId peer, Revision revision, Done<node::HashResult> done) {
  call<node::HashResult>(
      peer, std::move(done),
      [revision](Machine&, node::Core& core, node::Time, Done<node::HashResult> answer) {
        answer(node::hash_keys(core.machine().store().views(), revision.value));
      });
}

void MachinePeers::version(MemberId peer, Done<node::PeerVersion> done) {
  call<node::PeerVersion>(
      peer, std::move(done),
      [](Machine&, node::Core& core, node::Time, Done<node::PeerVersion> answer) {
        const std::string version = core.machine().cluster()->version.value_or("not_decided");
        answer(node::PeerVersion{"3.7.1", version, "3.7.0"});
      });
}

}  // namespace holdfast::simulation
