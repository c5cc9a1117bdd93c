#include "tests/unit/raft/safety.h"

#include <algorithm>
#include <map>
#include <set>
#include <stdexcept>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "datastore/base/prng.h"
#include "datastore/raft/configuration.h"
#include "tests/unit/raft/test_member.h"

namespace holdfast::raft {

namespace {

constexpr std::uint64_t kMembers = 5;
constexpr std::size_t kMaxInFlight = 400;
constexpr int kHealTicks = 400;

struct Violation : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Raft's promises (thesis figure 3.2), over all members and all time.
class Promises {
 public:
  void leads(MemberId member, const Raft& raft) {
    const auto [it, is_new] = leaders_.emplace(raft.term(), member);
    demand(it->second == member, "two leaders in term ", raft.term().value);
    if (!is_new) return;
    for (const auto& [index, entry] : committed_) {
      if (index <= raft.log().snapshot_index() || entry.believed_in >= raft.term()) continue;
      demand(raft.log().matches(index, entry.term), "the leader of term ", raft.term().value,
             " lacks the committed entry ", index.value);
    }
  }

  /// Log matching: by induction over the previous entry's term.
  void holds(const std::vector<Entry>& entries, Term previous) {
    for (const Entry& entry : entries) {
      const auto [it, is_new] =
          written_.emplace(std::pair(entry.index, entry.term), std::pair(entry.data, previous));
      demand(it->second == std::pair(entry.data, previous), "two logs differ at or before ",
             entry.index.value, " of term ", entry.term.value);
      previous = entry.term;
    }
  }

  void commits(const Raft& raft, Index* checked) {
    for (Index i = checked->next(); i <= raft.committed(); i = i.next()) {
      if (i <= raft.log().snapshot_index()) continue;
      const Term term = raft.log().term_at(i);
      const auto [it, is_new] = committed_.emplace(i, Committed{term, raft.term()});
      demand(it->second.term == term, "the committed entry ", i.value, " changed its term from ",
             it->second.term.value, " to ", term.value);
    }
    *checked = std::max(*checked, raft.committed());
  }

  void applies(const Entry& entry) {
    const auto it = committed_.find(entry.index);
    demand(it != committed_.end() && it->second.term == entry.term, "entry ", entry.index.value,
           " was applied and not committed");
  }

  void restores(const SnapshotMetadata& snapshot) {
    const auto it = committed_.find(snapshot.index);
    demand(it != committed_.end() && it->second.term == snapshot.term, "the snapshot at ",
           snapshot.index.value, " holds what is not committed");
  }

  Index last_committed() const { return committed_.empty() ? Index() : committed_.rbegin()->first; }
  std::uint64_t elections() const { return leaders_.size(); }

  template <class... Parts>
  static void demand(bool kept, const Parts&... parts) {
    if (!kept) throw Violation(absl::StrCat(parts...));
  }

 private:
  struct Committed {
    Term term;
    Term believed_in;  // the term of the member that first knew
  };
  std::map<Term, MemberId> leaders_;
  std::map<std::pair<Index, Term>, std::pair<Bytes, Term>> written_;
  std::map<Index, Committed> committed_ = {{kBootIndex, {kBootTerm, kBootTerm}}};
};

class Run {
 public:
  explicit Run(std::uint64_t seed) : dice_(seed) {
    ConfState conf;
    const std::uint64_t voters = 3 + 2 * dice_.below(2);
    for (std::uint64_t id = 1; id <= voters; ++id) conf.voters.push_back(MemberId(id));
    drop_in_hundred_ = dice_.below(20);
    trouble_ = 2 + dice_.below(30);
    ticks_ = 60 + dice_.below(300);
    const bool pre_vote = !dice_.chance(1, 4);
    const bool check_quorum = !dice_.chance(1, 4);
    keep_entries_ = 1 + dice_.below(8);
    changes_members_ = dice_.chance(2, 3);
    for (std::uint64_t id = 1; id <= kMembers; ++id) {
      const Options options{.id = MemberId(id),
                            .max_committed_bytes_per_output = 64,
                            .election_ticks = 5,
                            .seed = dice_.next(),
                            .pre_vote = pre_vote,
                            .check_quorum = check_quorum,
                            .max_append_bytes = 32,
                            .max_inflight_appends = 4,
                            .max_inflight_bytes = 128};
      members_.push_back(
          std::make_unique<TestMember>(options, is_voter(conf, MemberId(id)) ? conf : ConfState()));
      watch(*members_.back());
      clock_divisors_.push_back(dice_.chance(1, 6) ? 6 : 1);
    }
    checked_.resize(kMembers, kBootIndex);
  }

  void step() {
    TestMember& member = *members_[dice_.below(kMembers)];
    if (!member.is_up() && dice_.chance(1, 15)) return restart(member);
    const std::uint64_t event = dice_.below(1000);
    if (event < trouble_) return trouble(member);
    if (event < trouble_ + ticks_) return tick(member);
    if (event < 700) return deliver_any();
    if (event < 830) return sync(member);
    if (event < 920) return propose(member);
    if (event < 950) return read(member);
    if (event < 970) return change_members(member);
    if (event < 980) return call(member, [&](Raft& raft) { transfer(raft); });
    checkpoint(member);
  }

  /// Everything works again: within a bound all members of the configuration agree on a new entry.
  void heal() {
    blocked_.clear();
    drop_in_hundred_ = 0;
    for (auto& member : members_) restart(*member);
    for (int tick = 0; tick < kHealTicks; ++tick) {
      for (auto& member : members_) call(*member, [](Raft& raft) { raft.tick(); });
      settle();
      if (tick > kHealTicks / 2 && agreed()) return;
      if (tick > 30) propose_to_leader();
    }
    throw Violation("no progress after everything healed");
  }

  SafetyRun result() {
    counts_.elections = promises_.elections();
    counts_.committed = promises_.last_committed().value;
    return counts_;
  }

 private:
  MemberId id_of(const TestMember& member) const {
    for (std::size_t i = 0; i < members_.size(); ++i) {
      if (members_[i].get() == &member) return MemberId(i + 1);
    }
    return MemberId();
  }
  TestMember& member(MemberId id) { return *members_[id.value - 1]; }

  void watch(TestMember& member) {
    member.on_applied = [this, &member](const Entry& entry) {
      check(member);
      promises_.applies(entry);
    };
    member.on_restored = [this](const SnapshotMetadata& snapshot) {
      ++counts_.snapshots;
      promises_.restores(snapshot);
    };
    member.on_durable = [this](const std::vector<Entry>& entries, Term previous) {
      promises_.holds(entries, previous);
    };
  }

  void check(TestMember& member) {
    promises_.commits(member.raft(), &checked_[id_of(member).value - 1]);
    if (member.raft().role() == Role::kLeader) promises_.leads(id_of(member), member.raft());
  }

  template <class Action>
  void call(TestMember& member, Action action) {
    if (!member.is_up()) return;
    action(member.raft());
    check(member);
    collect(member);
  }

  void collect(TestMember& member) {
    TestMember::Taken taken = member.take();
    check(member);
    post(std::move(taken.messages));
    for (const ReadState& read : taken.reads) {
      const auto asked = asked_.find(read.request);
      Promises::demand(asked != asked_.end(), "a read that nobody asked was answered");
      Promises::demand(read.index >= asked->second, "a read saw the state as of ", read.index.value,
                       " when ", asked->second.value, " was committed");
      ++counts_.reads;
    }
  }

  void post(std::vector<Message> messages) {
    for (Message& message : messages) {
      if (network_.size() < kMaxInFlight) {
        network_.push_back(std::move(message));
      } else {
        lose(message);
      }
    }
  }

  void lose(const Message& message) {
    ++counts_.dropped;
    TestMember& sender = member(message.from);
    if (!sender.is_up()) return;
    if (message.type == MessageType::kSnap) sender.raft().report_snapshot(message.to, false);
    if (dice_.chance(1, 2)) sender.raft().report_unreachable(message.to);
  }

  void deliver_any() {
    if (network_.empty()) return;
    // Mostly in order, sometimes not.
    const std::size_t at = dice_.chance(2, 3) ? 0 : dice_.below(network_.size());
    Message message = network_[at];
    if (dice_.chance(1, 25)) {
      ++counts_.duplicated;
    } else {
      network_.erase(network_.begin() + static_cast<std::ptrdiff_t>(at));
    }
    deliver(std::move(message));
  }

  void deliver(Message message) {
    TestMember& to = member(message.to);
    if (!to.is_up() || blocked_.contains({message.from, message.to}) ||
        dice_.below(100) < drop_in_hundred_) {
      lose(message);
      return;
    }
    const bool is_snapshot = message.type == MessageType::kSnap;
    const MemberId from = message.from;
    const MemberId id = message.to;
    call(to, [&](Raft& raft) {
      const absl::Status status = raft.step(std::move(message));
      Promises::demand(status.ok(), "a correct message was refused: ", status.message());
    });
    if (is_snapshot && member(from).is_up()) member(from).raft().report_snapshot(id, true);
  }

  void sync(TestMember& member) {
    if (!member.is_up() || !member.has_pending_write()) return;
    post(member.sync_one());
    check(member);
    collect(member);
  }

  void trouble(TestMember& member) {
    switch (dice_.below(4)) {
      case 0:
        return crash(member);
      case 1:
        // The leader's fall is what makes logs differ.
        for (auto& other : members_) {
          if (other->is_up() && other->raft().role() == Role::kLeader) crash(*other);
        }
        return;
      case 2:
        return partition();
      default:
        return blocked_.clear();
    }
  }

  void tick(TestMember& member) {
    // Some clocks lose time.
    if (dice_.chance(1, clock_divisors_[id_of(member).value - 1])) {
      call(member, [](Raft& raft) { raft.tick(); });
    }
  }

  void propose(TestMember& member) {
    call(member, [&](Raft& raft) {
      raft.propose(absl::StrCat("value ", ++proposals_)).status().IgnoreError();
    });
  }

  void propose_to_leader() {
    for (auto& member : members_) {
      if (member->raft().role() == Role::kLeader) propose(*member);
    }
  }

  /// Asks a member and whoever believes to lead: a deposed leader must not answer.
  void read(TestMember& member) {
    for (auto& other : members_) {
      if (other.get() == &member || (other->is_up() && other->raft().role() == Role::kLeader)) {
        read_at(*other);
      }
    }
  }

  void read_at(TestMember& member) {
    call(member, [&](Raft& raft) {
      const std::uint64_t request = asked_.size() + 1;
      asked_[request] = promises_.last_committed();
      raft.read_index(request).IgnoreError();
    });
  }

  void change_members(TestMember& member) {
    if (!changes_members_) return;
    constexpr ConfChangeType kTypes[] = {ConfChangeType::kAddVoter, ConfChangeType::kAddVoter,
                                         ConfChangeType::kRemove, ConfChangeType::kAddLearner};
    // One draw a line: the order of arguments is the compiler's, and a seed's course must not be.
    const MemberId changed(1 + dice_.below(kMembers));
    const Bytes change = encode_change(kTypes[dice_.below(4)], changed);
    call(member, [&](Raft& raft) {
      if (raft.propose_conf_change(change).ok()) ++counts_.conf_changes;
    });
  }

  void transfer(Raft& raft) {
    if (raft.transfer_leadership(MemberId(1 + dice_.below(kMembers))).ok()) ++counts_.transfers;
  }

  void checkpoint(TestMember& member) {
    if (!member.is_up()) return;
    member.checkpoint(keep_entries_);
    collect(member);
  }

  void crash(TestMember& member) {
    if (!member.is_up()) return;
    ++counts_.crashes;
    member.crash(dice_.below(member.pending_writes() + 1));
    if (dice_.chance(1, 2)) restart(member);
  }

  void restart(TestMember& member) {
    if (member.is_up()) return;
    member.restart();
    checked_[id_of(member).value - 1] = member.disk().applied;
    collect(member);
  }

  /// Cuts some links in one direction or both.
  void partition() {
    ++counts_.partitions;
    blocked_.clear();
    const bool is_one_way = dice_.chance(1, 4);
    std::uint64_t side = dice_.next();
    for (std::uint64_t a = 1; a <= kMembers; ++a) {
      for (std::uint64_t b = 1; b <= kMembers; ++b) {
        const bool a_left = ((side >> a) & 1) != 0;
        const bool b_left = ((side >> b) & 1) != 0;
        if (a_left != b_left && (a_left || !is_one_way)) {
          blocked_.insert({MemberId(a), MemberId(b)});
        }
      }
    }
  }

  void settle() {
    for (int events = 0; events < 20000; ++events) {
      bool busy = false;
      for (auto& member : members_) {
        if (!member->has_pending_write()) continue;
        sync(*member);
        busy = true;
      }
      if (!network_.empty()) {
        Message message = std::move(network_.front());
        network_.erase(network_.begin());
        deliver(std::move(message));
        busy = true;
      }
      if (!busy) return;
    }
    throw Violation("messages never end");
  }

  bool agreed() {
    const TestMember* leader = nullptr;
    for (const auto& member : members_) {
      if (member->raft().role() != Role::kLeader) continue;
      if (leader == nullptr || member->raft().term() > leader->raft().term()) leader = member.get();
    }
    if (leader == nullptr) return false;
    const Raft& raft = leader->raft();
    if (raft.committed() != raft.log().last_index() || raft.log().last_term() != raft.term()) {
      return false;
    }
    for (const auto* ids : {&raft.conf().voters, &raft.conf().learners}) {
      for (const MemberId id : *ids) {
        if (member(id).raft().applied() != raft.applied()) return false;
        if (member(id).raft().conf() != raft.conf()) return false;
      }
    }
    return raft.applied() == raft.committed();
  }

  Prng dice_;
  Promises promises_;
  std::vector<std::unique_ptr<TestMember>> members_;
  std::vector<Index> checked_;
  std::vector<Message> network_;
  std::set<std::pair<MemberId, MemberId>> blocked_;
  std::map<std::uint64_t, Index> asked_;
  std::uint64_t drop_in_hundred_ = 0;
  std::uint64_t keep_entries_ = 0;
  std::uint64_t trouble_ = 0;  // of a thousand events
  std::uint64_t ticks_ = 0;    // of a thousand events
  std::vector<std::uint64_t> clock_divisors_;
  std::uint64_t proposals_ = 0;
  bool changes_members_ = false;
  SafetyRun counts_;
};

}  // namespace

SafetyRun run_seed(std::uint64_t seed, int steps) {
  Run run(seed);
  std::string violation;
  int step = 0;
  try {
    for (; step < steps; ++step) run.step();
    run.heal();
  } catch (const Violation& found) {
    violation = absl::StrCat("seed ", seed, " step ", step, ": ", found.what());
  }
  SafetyRun result = run.result();
  result.violation = violation;
  return result;
}

}  // namespace holdfast::raft
