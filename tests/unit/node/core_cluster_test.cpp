// Several cores and a network that delivers at once, unless a test cuts it.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "datastore/base/errors.h"
#include "datastore/base/prng.h"
#include "datastore/codec/internal_request.h"
#include "datastore/node/bootstrap.h"
#include "datastore/node/core.h"
#include "datastore/node/hashing.h"
#include "datastore/node/install.h"
#include "datastore/platform/posix_disk.h"
#include "datastore/storage/bbolt_writer.h"
#include "tests/unit/mvcc/memory_backend.h"

namespace holdfast::node {
namespace {

class InlineMailbox final : public Mailbox {
 public:
  void post(absl::AnyInvocable<void()> work) override { work(); }
};

class TestClock final : public ports::Clock {
 public:
  std::chrono::nanoseconds monotonic() const override { return now; }
  std::int64_t unix_milliseconds() const override {
    return 1'800'000'000'000 + now.count() / 1'000'000;
  }
  Time now{std::chrono::seconds(1)};
};

class SeededRandom final : public ports::Random {
 public:
  explicit SeededRandom(std::uint64_t seed) : prng_(seed) {}
  std::uint64_t next() override { return prng_.next(); }

 private:
  Prng prng_;
};

Bytes put_command(std::uint64_t id, BytesView key, BytesView value) {
  const auto field = [](int number, BytesView bytes) {
    return Bytes(1, static_cast<char>(number << 3 | 2)) +
           Bytes(1, static_cast<char>(bytes.size())) + Bytes(bytes);
  };
  return codec::encode_internal(id, codec::CommandField::kPut, field(1, key) + field(2, value));
}

class CoreClusterTest;

/// One member: a core, its network and what is under way to it.
class TestPeer final : public Peers {
 public:
  TestPeer(CoreClusterTest& cluster, std::string name) : cluster_(cluster), name(std::move(name)) {}

  void set_members(std::shared_ptr<const ClusterInfo> info) override { members = std::move(info); }
  void send(std::vector<raft::Message> messages) override;
  void send_snapshot(OutgoingSnapshot) override { FAIL() << "core leaves that to its owner"; }
  std::optional<std::chrono::nanoseconds> active_since(MemberId peer) const override;
  void keep_alive(MemberId, LeaseId, Done<std::int64_t>) override {}
  void time_to_live(MemberId, LeaseId, bool, Done<LeaseTimes>) override {}
  void promote(MemberId, MemberId, std::string, Done<std::vector<MemberInfo>>) override {}
  void hash_kv(MemberId, Revision, Done<HashResult>) override {}
  void version(MemberId, Done<PeerVersion> done) override { done(PeerVersion{"3.7.1", "", ""}); }

  CoreClusterTest& cluster_;
  std::string name;
  MemberId id;
  testing::MemoryBackend backend;
  CoreObserver observer;
  std::optional<RequestIds> ids;
  std::unique_ptr<Core> core;
  std::vector<raft::Message> inbox;
  std::vector<CoreTask> tasks;
  std::shared_ptr<const ClusterInfo> members;
};

class CoreClusterTest : public ::testing::Test {
 protected:
  friend class TestPeer;
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "cores-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override {
    peers_.clear();
    std::filesystem::remove_all(directory_);
  }

  static std::string url_of(const std::string& name) { return "http://" + name + ":2380"; }

  BootstrapOptions bootstrap_options(const std::string& name) {
    BootstrapOptions options;
    options.wal_directory = directory_ + "/" + name;
    options.name = name;
    options.initial_cluster_token = "t";
    options.wal.segment_bytes = 1 << 16;
    return options;
  }

  void begin(const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      BootstrapOptions options = bootstrap_options(name);
      for (const std::string& other : names) {
        options.initial_cluster.push_back({other, {url_of(other)}});
      }
      add(name, options);
    }
  }

  TestPeer& add(const std::string& name, const BootstrapOptions& options) {
    auto peer = std::make_unique<TestPeer>(*this, name);
    absl::StatusOr<Bootstrapped> opened = bootstrap(disk_, peer->backend, random_, options);
    EXPECT_TRUE(opened.ok()) << opened.status();
    peer->id = opened->self;
    peer->ids.emplace(opened->self, clock_.unix_milliseconds());
    CoreOptions core;
    core.self = opened->self;
    core.cluster = opened->cluster;
    core.name = name;
    core.client_urls = {"http://" + name + ":2379"};
    core.server_version = "3.7.1";
    core.catch_up_entries = 1000;
    core.initial_election_tick_advance = advances_first_election_;
    for (const statemachine::Member& known : opened->join_members) {
      core.known_members.push_back({known.id, known.name, known.peer_urls, {}, known.is_learner});
    }
    TestPeer* raw = peer.get();
    peer->core = std::make_unique<Core>(
        core,
        Core::Parts{.backend = &peer->backend,
                    .wal = std::move(opened->wal),
                    .raft = std::move(opened->raft),
                    .machine = std::move(opened->machine),
                    .observer = &peer->observer,
                    .clock = &clock_,
                    .ids = &*peer->ids,
                    .peers = raw,
                    .post = [raw](CoreTask task) { raw->tasks.push_back(std::move(task)); }},
        clock_.now);
    peers_.push_back(std::move(peer));
    return *peers_.back();
  }

  /// Until nobody has anything to do.
  void settle() {
    for (bool busy = true; busy;) {
      busy = false;
      for (auto& peer : peers_) {
        if (stopped_.contains(peer->name)) continue;
        ASSERT_TRUE(peer->core->step(std::exchange(peer->inbox, {})).ok());
        for (CoreTask& task : std::exchange(peer->tasks, {})) task(*peer->core, clock_.now);
        ASSERT_TRUE(peer->core->turn(clock_.now).ok());
        peer->core->flush_answers();
      }
      for (auto& peer : peers_) {
        if (!stopped_.contains(peer->name)) busy |= !peer->inbox.empty() || !peer->tasks.empty();
      }
    }
  }

  void run_for(Time time) {
    for (const Time end = clock_.now + time; clock_.now < end;) {
      clock_.now += std::chrono::milliseconds(100);
      for (auto& peer : peers_) {
        if (!stopped_.contains(peer->name)) peer->core->tick(clock_.now);
      }
      settle();
    }
  }

  TestPeer* leader() {
    for (auto& peer : peers_) {
      if (!stopped_.contains(peer->name) && peer->core->raft().role() == raft::Role::kLeader) {
        return peer.get();
      }
    }
    return nullptr;
  }
  TestPeer* follower() {
    for (auto& peer : peers_) {
      if (!stopped_.contains(peer->name) && peer->core->raft().role() != raft::Role::kLeader) {
        return peer.get();
      }
    }
    return nullptr;
  }
  TestPeer* by_id(MemberId id) {
    for (auto& peer : peers_) {
      if (peer->id == id) return peer.get();
    }
    return nullptr;
  }

  /// Null while not answered.
  std::shared_ptr<std::optional<absl::Status>> put(TestPeer& at, BytesView key) {
    auto answer = std::make_shared<std::optional<absl::Status>>();
    std::vector<Proposal> proposals(1);
    proposals[0].id = at.ids->next();
    proposals[0].entry = put_command(proposals[0].id, key, "v");
    proposals[0].done = [answer](Applied applied) { *answer = applied.outcome.status; };
    at.core->propose(std::move(proposals), mailbox_, clock_.now);
    return answer;
  }

  std::shared_ptr<std::optional<absl::Status>> read(TestPeer& at) {
    auto answer = std::make_shared<std::optional<absl::Status>>();
    at.core->read_index([answer](absl::Status status) { *answer = status; }, mailbox_, clock_.now);
    return answer;
  }

  MembershipDone note(std::shared_ptr<std::optional<absl::Status>> answer,
                      MemberId* added = nullptr) {
    return [answer, added](absl::StatusOr<MembershipChange> change) {
      *answer = change.status();
      if (change.ok() && added != nullptr) *added = change->added.id;
    };
  }

  /// Carries the states that a leader owes to their takers, as Member and a network would.
  void carry_states() {
    for (auto& peer : peers_) {
      for (SnapshotWanted& wanted : peer->core->take_wanted_snapshots()) {
        TestPeer* to = by_id(wanted.message.to);
        const bool reached = to != nullptr && !stopped_.contains(to->name);
        if (reached) install_at(*to, write_state(*peer, wanted.message));
        peer->core->report_snapshot(wanted.message.to, reached);
      }
    }
  }

  /// The file of the leader's state as of now, of which `message` then speaks.
  std::pair<raft::Message, std::string> write_state(TestPeer& from, raft::Message message) {
    from.core->describe_state(message);
    if (auto batch = from.core->take_drain(clock_.now, /*all=*/true)) {
      const absl::Status committed = from.backend.commit(batch->writes());
      from.core->drained(*std::move(batch), committed);
    }
    const auto read = from.backend.begin_read();
    auto writer = storage::BboltWriter::plan(**read, {});
    EXPECT_TRUE(writer.ok());
    std::string file = directory_ + "/state-of-" + from.name;
    std::ofstream out(file, std::ios::binary);
    EXPECT_TRUE(writer
                    ->write([&](BytesView chunk) {
                      out.write(chunk.data(), static_cast<std::streamsize>(chunk.size()));
                      return absl::OkStatus();
                    })
                    .ok());
    return {std::move(message), std::move(file)};
  }

  void install_at(TestPeer& to, std::pair<raft::Message, std::string> state) {
    ASSERT_TRUE(to.core->step_snapshot(std::move(state.first), std::move(state.second)).ok());
    ASSERT_TRUE(to.core->turn(clock_.now).ok());
    finish_install_at(to);
  }

  void finish_install_at(TestPeer& to) {
    const std::optional<SnapshotInstall> install = to.core->take_install(clock_.now);
    if (!install) return;
    EXPECT_TRUE(to.core->is_installing());
    if (no_room_ > 0) {
      --no_room_;
      const absl::Status full = absl::ResourceExhaustedError("the disk is full");
      ASSERT_TRUE(to.core->installed(full, clock_.now).ok());
      EXPECT_FALSE(to.core->take_install(clock_.now).has_value()) << "not at once";
      return;
    }
    const absl::Status installed =
        install_snapshot(disk_, install->file, install->snapshot, to.backend);
    ASSERT_TRUE(to.core->installed(installed, clock_.now).ok()) << installed;
    EXPECT_FALSE(to.core->is_installing());
  }

  /// The leader's log no longer begins where `away`'s ends.
  void fall_behind(TestPeer& away) {
    stopped_.insert(away.name);
    for (int i = 0; i < 2500; ++i) {
      put(*leader(), "key" + std::to_string(i));
      if (i % 50 == 0) settle();
    }
    run_for(std::chrono::seconds(1));
    ASSERT_GT(leader()->core->raft().log().first_index(), away.core->raft().log().last_index());
    stopped_.clear();
  }

  bool advances_first_election_ = true;
  int no_room_ = 0;  // attempts to install a state that find the disk full
  std::string directory_;
  platform::PosixDisk disk_{{.unsafe_no_fsync = true}};
  SeededRandom random_{7};
  TestClock clock_;
  InlineMailbox mailbox_;
  std::vector<std::unique_ptr<TestPeer>> peers_;
  std::set<std::string> stopped_;
};

void TestPeer::send(std::vector<raft::Message> messages) {
  for (raft::Message& message : messages) {
    TestPeer* to = cluster_.by_id(message.to);
    if (to == nullptr || cluster_.stopped_.contains(to->name)) continue;
    to->inbox.push_back(std::move(message));
  }
}

std::optional<std::chrono::nanoseconds> TestPeer::active_since(MemberId peer) const {
  TestPeer* other = cluster_.by_id(peer);
  if (other == nullptr || cluster_.stopped_.contains(other->name)) return std::nullopt;
  return Time(0);
}

TEST_F(CoreClusterTest, ElectsPublishesAndAgreesOnAVersion) {
  begin({"a", "b", "c"});
  run_for(std::chrono::seconds(6));
  ASSERT_NE(leader(), nullptr);
  for (const auto& peer : peers_) {
    const auto info = peer->core->cluster_info();
    ASSERT_EQ(info->members.size(), 3U);
    for (const MemberInfo& member : info->members) EXPECT_FALSE(member.name.empty());
    EXPECT_EQ(info->cluster_version, "3.7.0");
  }
}

TEST_F(CoreClusterTest, AnyMemberTakesWritesAndLinearizableReads) {
  begin({"a", "b", "c"});
  run_for(std::chrono::seconds(3));
  const auto written = put(*follower(), "k");
  settle();
  ASSERT_TRUE(written->has_value());
  EXPECT_TRUE((*written)->ok());
  for (const auto& peer : peers_) {
    const auto answer = read(*peer);
    settle();
    ASSERT_TRUE(answer->has_value()) << peer->name;
    EXPECT_TRUE((*answer)->ok());
    EXPECT_EQ(peer->core->status().revision, Revision(2));
  }
}

TEST_F(CoreClusterTest, AProposalWaitsForALeaderAndReachesIt) {
  begin({"a", "b", "c"});
  run_for(std::chrono::seconds(3));
  TestPeer* old_leader = leader();
  stopped_.insert(old_leader->name);
  run_for(std::chrono::milliseconds(100));
  run_for(std::chrono::seconds(3));
  ASSERT_NE(leader(), nullptr);
  ASSERT_NE(leader(), old_leader);
  const auto written = put(*follower(), "k");
  settle();
  EXPECT_TRUE(written->has_value() && (*written)->ok());
}

TEST_F(CoreClusterTest, TheFirstElectionWaitsForNoWholeTimeoutAmongConnectedMembers) {
  begin({"a", "b", "c"});
  run_for(std::chrono::milliseconds(900));
  EXPECT_NE(leader(), nullptr);
}

TEST_F(CoreClusterTest, TheFirstElectionWaitsItsTimeWhenTold) {
  advances_first_election_ = false;
  begin({"a", "b", "c"});
  run_for(std::chrono::milliseconds(900));
  EXPECT_EQ(leader(), nullptr);
}

TEST_F(CoreClusterTest, ALeaderKnownToBeGoneIsReplacedAtOnce) {
  begin({"a", "b", "c"});
  run_for(std::chrono::seconds(3));
  TestPeer* gone = leader();
  stopped_.insert(gone->name);
  for (const auto& peer : peers_) {
    if (peer.get() != gone) peer->core->report_gone(gone->id);
  }
  run_for(std::chrono::milliseconds(600));
  ASSERT_NE(leader(), nullptr);
  EXPECT_NE(leader(), gone);
}

/// What SIGTERM begins with. No tick passes: writes pause for as many messages as it takes, at
/// whatever moment of the leader's checks it comes.
TEST_F(CoreClusterTest, ALeaderThatStopsHandsOverWithinAFewMessages) {
  for (int ticks = 0; ticks < 12; ++ticks) {
    SCOPED_TRACE(ticks);
    peers_.clear();
    stopped_.clear();
    begin({"a" + std::to_string(ticks), "b" + std::to_string(ticks), "c" + std::to_string(ticks)});
    run_for(std::chrono::seconds(3));
    TestPeer* old_leader = leader();
    ASSERT_NE(old_leader, nullptr);
    for (int i = 0; i < ticks; ++i) {
      clock_.now += std::chrono::milliseconds(100);
      old_leader->core->tick(clock_.now);  // the others' answers are still to come
    }
    bool handed_over = false;
    old_leader->core->hand_over([&] { handed_over = true; }, mailbox_, clock_.now);
    const auto written = put(*old_leader, "k");
    settle();
    EXPECT_TRUE(handed_over);
    ASSERT_NE(leader(), nullptr);
    EXPECT_NE(leader(), old_leader);
    ASSERT_TRUE(written->has_value());
    EXPECT_TRUE((*written)->ok()) << **written;
  }
}

/// A burst of expiries is a burst of log entries: what clients ask for meanwhile must not wait for
/// all of it.
TEST_F(CoreClusterTest, LeasesThatExpireTogetherAreRevokedAFewAtATime) {
  constexpr std::size_t kLeases = 1000;
  begin({"a"});
  run_for(std::chrono::seconds(1));
  TestPeer& member = *peers_.front();
  std::vector<Proposal> grants(kLeases);
  for (std::size_t i = 0; i < kLeases; ++i) {
    grants[i].id = member.ids->next();
    grants[i].entry = codec::encode_internal(
        grants[i].id, codec::CommandField::kLeaseGrant,
        codec::encode_lease_grant(
            {.ttl_seconds = 2, .id = LeaseId(static_cast<std::int64_t>(i) + 1)}));
    grants[i].done = [](const Applied&) {};
  }
  member.core->propose(std::move(grants), mailbox_, clock_.now);
  settle();
  const lease::Lessor& lessor = member.core->machine().lessor();
  ASSERT_EQ(lessor.size(), kLeases);

  clock_.now += std::chrono::seconds(5);
  member.core->tick(clock_.now);
  settle();
  std::size_t steps = 1;
  for (std::size_t left = kLeases; lessor.size() > 0; ++steps) {
    EXPECT_LE(left - lessor.size(), 64U);
    EXPECT_LT(lessor.size(), left);
    left = lessor.size();
    ASSERT_TRUE(member.core->next_background_step().has_value()) << "nobody would go on";
    clock_.now = *member.core->next_background_step();
    settle();
  }
  EXPECT_EQ(steps, 16U);
  EXPECT_FALSE(member.core->next_background_step().has_value());
}

TEST_F(CoreClusterTest, HandingOverWithoutAnybodyToLeadEndsAtOnce) {
  begin({"a"});
  run_for(std::chrono::seconds(1));
  bool ended = false;
  peers_.front()->core->hand_over([&] { ended = true; }, mailbox_, clock_.now);
  EXPECT_TRUE(ended);
}

TEST_F(CoreClusterTest, AFollowerThatStopsMovesNobody) {
  begin({"a", "b", "c"});
  run_for(std::chrono::seconds(3));
  TestPeer* old_leader = leader();
  bool ended = false;
  follower()->core->hand_over([&] { ended = true; }, mailbox_, clock_.now);
  settle();
  EXPECT_TRUE(ended);
  EXPECT_EQ(leader(), old_leader);
}

TEST_F(CoreClusterTest, WithoutAQuorumWritesAndReadsEndInTime) {
  begin({"a", "b", "c"});
  run_for(std::chrono::seconds(3));
  TestPeer* alone = follower();
  for (const auto& peer : peers_) {
    if (peer.get() != alone) stopped_.insert(peer->name);
  }
  run_for(std::chrono::seconds(3));  // until it knows of no leader
  const auto written = put(*alone, "k");
  const auto answered = read(*alone);
  run_for(std::chrono::seconds(6));
  EXPECT_FALSE(written->has_value());
  run_for(std::chrono::seconds(2));
  ASSERT_TRUE(written->has_value());
  EXPECT_EQ(**written, errors::timeout());
  ASSERT_TRUE(answered->has_value());
  EXPECT_EQ(**answered, errors::timeout());
}

TEST_F(CoreClusterTest, WhatWasLostWithALeaderIsSaidToBeLostOnceThereIsAnother) {
  begin({"a", "b", "c"});
  run_for(std::chrono::seconds(3));
  stopped_.insert(leader()->name);
  const auto lost = put(*follower(), "k");  // to a leader that is gone, as nobody knows yet
  settle();
  run_for(std::chrono::seconds(4));
  ASSERT_NE(leader(), nullptr);
  ASSERT_TRUE(lost->has_value()) << "it waits for the whole request timeout";
  EXPECT_EQ(**lost, errors::timeout_due_to_leader_fail());
  const auto next = put(*follower(), "k");
  settle();
  EXPECT_TRUE(next->has_value() && (*next)->ok());
}

TEST_F(CoreClusterTest, ALeaderThatNobodyFollowsAnymoreRenewsNoLease) {
  begin({"a", "b", "c"});
  run_for(std::chrono::seconds(3));
  TestPeer* leads = leader();
  const LeaseId lease(7);
  std::vector<Proposal> grant(1);
  grant[0].id = leads->ids->next();
  grant[0].entry = codec::encode_internal(grant[0].id, codec::CommandField::kLeaseGrant,
                                          codec::encode_lease_grant({60, lease}));
  grant[0].done = [](Applied applied) { EXPECT_TRUE(applied.outcome.status.ok()); };
  leads->core->propose(std::move(grant), mailbox_, clock_.now);
  settle();

  std::vector<absl::StatusOr<std::int64_t>> answers;
  const auto renew = [&] {
    leads->core->renew_lease(lease, clock_.now,
                             [&](absl::StatusOr<std::int64_t> ttl) { answers.push_back(ttl); });
    settle();
  };
  renew();
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].value_or(0), 60);

  for (const auto& peer : peers_) {
    if (peer.get() != leads) stopped_.insert(peer->name);
  }
  renew();
  EXPECT_EQ(answers.size(), 1u) << "it still takes itself for the leader";
  run_for(std::chrono::seconds(10));
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_FALSE(answers[1].ok());
}

TEST_F(CoreClusterTest, LeadershipMovesOnDemandAndLosesNoProposal) {
  begin({"a", "b", "c"});
  run_for(std::chrono::seconds(3));
  TestPeer* from = leader();
  TestPeer* to = follower();
  std::optional<absl::Status> moved;
  from->core->move_leader(
      to->id, [&](absl::Status status) { moved = status; }, mailbox_, clock_.now);
  const auto written = put(*from, "k");  // in the middle of it
  settle();
  run_for(std::chrono::milliseconds(200));
  EXPECT_EQ(leader(), to);
  ASSERT_TRUE(moved.has_value());
  EXPECT_TRUE(moved->ok());
  EXPECT_TRUE(written->has_value() && (*written)->ok());
}

TEST_F(CoreClusterTest, ALearnerJoinsIsPromotedAndRemoved) {
  begin({"a", "b", "c"});
  run_for(std::chrono::seconds(8));  // connected for long enough
  put(*leader(), "k");
  auto added = std::make_shared<std::optional<absl::Status>>();
  MemberId learner;
  leader()->core->add_member({url_of("d")}, /*is_learner=*/true, note(added, &learner), mailbox_,
                             clock_.now);
  settle();
  ASSERT_TRUE(added->has_value());
  ASSERT_TRUE((*added)->ok()) << **added;

  BootstrapOptions options = bootstrap_options("d");
  options.join.emplace();
  options.join->self = learner;
  const auto known = leader()->core->cluster_info();
  options.join->cluster = known->cluster;
  for (const MemberInfo& member : known->members) {
    options.join->members.push_back({.id = member.id,
                                     .peer_urls = member.peer_urls,
                                     .is_learner = member.is_learner,
                                     .name = member.name});
  }
  TestPeer& newcomer = add("d", options);
  run_for(std::chrono::seconds(1));
  EXPECT_EQ(newcomer.core->status().revision, Revision(2));
  EXPECT_TRUE(newcomer.core->status().is_learner);

  auto promoted = std::make_shared<std::optional<absl::Status>>();
  leader()->core->promote_member(learner, note(promoted), mailbox_, clock_.now);
  run_for(std::chrono::milliseconds(200));
  ASSERT_TRUE(promoted->has_value());
  EXPECT_TRUE((*promoted)->ok()) << **promoted;
  EXPECT_EQ(newcomer.core->raft().conf().voters.size(), 4U);

  auto removed = std::make_shared<std::optional<absl::Status>>();
  leader()->core->remove_member(learner, note(removed), mailbox_, clock_.now);
  run_for(std::chrono::milliseconds(300));
  ASSERT_TRUE(removed->has_value());
  EXPECT_TRUE((*removed)->ok()) << **removed;
  EXPECT_TRUE(newcomer.core->removed_at().has_value());
  EXPECT_EQ(leader()->core->raft().conf().voters.size(), 3U);
}

TEST_F(CoreClusterTest, ReconfigurationIsRefusedWhileMembersAreUnreachable) {
  begin({"a", "b", "c"});
  run_for(std::chrono::seconds(8));
  stopped_.insert(follower()->name);
  auto added = std::make_shared<std::optional<absl::Status>>();
  leader()->core->add_member({url_of("d")}, /*is_learner=*/false, note(added), mailbox_,
                             clock_.now);
  settle();
  ASSERT_TRUE(added->has_value());
  EXPECT_EQ(**added, errors::unhealthy());
}

// --- a state that travels whole -----------------------------------------------------------------

TEST_F(CoreClusterTest, AFollowerTooFarBehindTakesOverTheLeadersStateAndGoesOn) {
  begin({"a", "b", "c"});
  run_for(std::chrono::seconds(6));
  TestPeer& away = *follower();
  std::vector<Revision> told;
  away.core->subscribe(
      1, [&](Revision revision) { told.push_back(revision); }, [](const auto&) {}, mailbox_);
  ASSERT_EQ(told.size(), 1U);
  fall_behind(away);
  const Revision revision = leader()->core->machine().store().revision();
  for (int i = 0; i < 50 && away.core->machine().store().revision() < revision; ++i) {
    run_for(std::chrono::milliseconds(100));
    carry_states();
  }
  EXPECT_EQ(away.core->machine().store().revision(), revision);
  EXPECT_EQ(told, (std::vector<Revision>{told.front(), revision}));
  EXPECT_EQ(away.core->take_obsolete_files().size(), 1U);

  const auto answer = put(*leader(), "after");
  run_for(std::chrono::seconds(1));
  EXPECT_EQ(**answer, absl::OkStatus());
  const auto ours = hash_keys(away.core->machine().store().views(), 0);
  const auto leaders = hash_keys(leader()->core->machine().store().views(), 0);
  ASSERT_TRUE(ours.ok() && leaders.ok());
  EXPECT_EQ(ours->hash, leaders->hash);
  EXPECT_EQ(ours->revision, leaders->revision);
}

/// The disk has no room for the leader's state: the member stays, takes nothing on, and goes on by
/// itself once there is room.
TEST_F(CoreClusterTest, AStateThatDoesNotFitIsInstalledOnceItDoes) {
  begin({"a", "b", "c"});
  run_for(std::chrono::seconds(6));
  TestPeer& away = *follower();
  fall_behind(away);
  no_room_ = 3;
  for (int i = 0; i < 10 && !away.core->is_installing(); ++i) {
    run_for(std::chrono::milliseconds(100));
    carry_states();
  }
  ASSERT_TRUE(away.core->is_installing());
  EXPECT_TRUE(away.core->status().disk_full);
  const Revision before = away.core->machine().store().revision();
  const auto written = put(*leader(), "meanwhile");
  settle();
  EXPECT_TRUE(written->has_value() && (*written)->ok()) << "the others need nobody";
  EXPECT_EQ(away.core->machine().store().revision(), before);

  for (int i = 0; i < 200 && away.core->is_installing(); ++i) {
    run_for(std::chrono::milliseconds(100));
    finish_install_at(away);
  }
  EXPECT_FALSE(away.core->is_installing());
  EXPECT_FALSE(away.core->status().disk_full);
  EXPECT_EQ(no_room_, 0);
  for (int i = 0; i < 50; ++i) {
    run_for(std::chrono::milliseconds(100));
    carry_states();
  }
  EXPECT_EQ(away.core->machine().store().revision(), leader()->core->machine().store().revision());
}

}  // namespace
}  // namespace holdfast::node
