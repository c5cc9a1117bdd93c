#include "datastore/node/bootstrap.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "datastore/codec/internal_request.h"
#include "datastore/codec/raft_messages.h"
#include "datastore/mvcc/key_value.h"
#include "datastore/node/identity.h"
#include "datastore/platform/os_random.h"
#include "datastore/platform/posix_disk.h"
#include "tests/unit/mvcc/memory_backend.h"

namespace holdfast::node {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// --- a new cluster ------------------------------------------------------------------------------

/// m1 to m<n> at ports 23501 and up; m2 has a second URL, named last.
BootstrapOptions members(int count, const std::string& token) {
  BootstrapOptions options;
  options.name = "m1";
  options.initial_cluster_token = token;
  for (int i = 1; i <= count; ++i) {
    options.initial_cluster.push_back(
        {"m" + std::to_string(i), {"http://127.0.0.1:" + std::to_string(23500 + i)}});
  }
  options.initial_cluster[1].peer_urls.push_back("http://127.0.0.1:23599");
  return options;
}

std::vector<std::string> contexts(const FirstEntries& first) {
  std::vector<std::string> out;
  for (const raft::Entry& entry : first.entries) {
    raft::ConfChange change;
    EXPECT_TRUE(codec::decode(entry.data, &change).ok());
    out.push_back(change.context);
  }
  return out;
}

// The two clusters below were started with etcd 3.7.1 and these very flags: the ids are those of
// its log and GET /members, the contexts those of its write-ahead log.

TEST(FirstEntries, OfThreeMembersAreThoseOfEtcd) {
  const auto first = first_entries(members(3, "boot-a"));
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(to_hex(first->self.value), "8fd5e7e3d54b7954");
  EXPECT_EQ(to_hex(first->cluster.value), "143f508572866e9e");
  EXPECT_THAT(
      contexts(*first),
      ElementsAre(R"({"id":4203470148703765784,"peerURLs":["http://127.0.0.1:23502",)"
                  R"("http://127.0.0.1:23599"],"name":"m2"})",
                  R"({"id":4515947960624622095,"peerURLs":["http://127.0.0.1:23503"],"name":"m3"})",
                  R"({"id":10364445083185150292,"peerURLs":["http://127.0.0.1:23501"],)"
                  R"("name":"m1"})"));
  for (std::size_t i = 0; i < first->entries.size(); ++i) {
    EXPECT_EQ(first->entries[i].term, Term(1));
    EXPECT_EQ(first->entries[i].index, Index(i + 1));
  }
}

TEST(FirstEntries, OfFiveMembersAreThoseOfEtcd) {
  const auto first = first_entries(members(5, "boot-b"));
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(to_hex(first->self.value), "661561922b8242bc");
  EXPECT_EQ(to_hex(first->cluster.value), "cf48637d26893b9a");
  std::vector<std::uint64_t> ids;
  for (const auto& member : first->members) ids.push_back(member.id.value);
  EXPECT_THAT(ids, ElementsAre(4082920148068882745, 4658080126331746106, 5113785086357684622,
                               7355892846802649788, 16642476528411110810U));
}

TEST(FirstEntries, AreTheSameOnEveryMember) {
  BootstrapOptions options = members(3, "t");
  const auto first = first_entries(options);
  options.name = "m3";
  std::swap(options.initial_cluster[0], options.initial_cluster[2]);
  std::swap(options.initial_cluster[1].peer_urls[0], options.initial_cluster[1].peer_urls[1]);
  const auto third = first_entries(options);
  ASSERT_TRUE(first.ok() && third.ok());
  EXPECT_EQ(first->entries, third->entries);
  EXPECT_EQ(first->cluster, third->cluster);
  EXPECT_NE(first->self, third->self);
}

TEST(FirstEntries, RefuseAClusterThatDoesNotFitTogether) {
  BootstrapOptions options = members(3, "t");
  options.name = "m4";
  EXPECT_THAT(std::string(first_entries(options).status().message()),
              HasSubstr("couldn't find local name \"m4\""));
  options = members(3, "t");
  options.initial_cluster[2].peer_urls = options.initial_cluster[0].peer_urls;
  EXPECT_THAT(std::string(first_entries(options).status().message()),
              HasSubstr("two members of the initial cluster have the same peer URLs"));
}

// --- on disk ------------------------------------------------------------------------------------

class BootstrapTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "bootstrap-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    options_ = members(3, "t");
    options_.wal_directory = directory_ + "/wal";
    options_.wal.segment_bytes = 1 << 16;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  absl::StatusOr<Bootstrapped> open() { return bootstrap(disk_, *backend_, random_, options_); }

  static raft::Entry put(std::uint64_t index, Term term, const std::string& key) {
    const Bytes request = Bytes("\x0a\x01", 2) + key + Bytes("\x12\x01v", 3);
    return {term, Index(index), raft::EntryType::kNormal,
            codec::encode_internal(index, codec::CommandField::kPut, request)};
  }

  /// What an owner of raft does, until it has nothing more to hand out.
  static void run(Bootstrapped& member) {
    while (member.raft->has_output()) {
      const raft::Output output = member.raft->take_output();
      wal::Batch batch;
      batch.hard_state = output.hard_state;
      batch.entries = output.entries;
      if (batch.hard_state || !batch.entries.empty()) {
        ASSERT_TRUE(member.wal->append(batch).ok());
      }
      const std::vector<raft::Entry> committed(output.committed.begin(), output.committed.end());
      if (!output.entries.empty()) member.raft->persisted(output.entries.back().index);
      for (const raft::Entry& entry : committed) apply(member, entry);
      if (!committed.empty()) member.raft->applied(committed.back().index);
      member.machine->end_batch();
    }
  }

  static void apply(Bootstrapped& member, const raft::Entry& entry) {
    if (entry.type == raft::EntryType::kConfChange) {
      raft::ConfChange change;
      ASSERT_TRUE(codec::decode(entry.data, &change).ok());
      const auto outcome = member.machine->apply_conf_change(
          entry.index, entry.term,
          {static_cast<statemachine::ConfChangeType>(change.type), change.node, change.context});
      ASSERT_TRUE(outcome.ok()) << outcome.status();
      ASSERT_TRUE(outcome->status.ok()) << outcome->status;
      member.raft->apply_conf_change(change);
    } else if (entry.data.empty()) {
      member.machine->apply_nothing(entry.index, entry.term);
    } else {
      statemachine::Command command;
      ASSERT_TRUE(codec::decode_internal(entry.data, &command).ok());
      ASSERT_TRUE(member.machine->apply(entry.index, entry.term, command).ok());
    }
  }

  /// Puts what is applied into the engine, as a drain does.
  void drain(Bootstrapped& member) {
    mvcc::DrainBatch batch = member.machine->store().take_drain(~std::size_t{0});
    ASSERT_TRUE(backend_->commit(batch.writes()).ok());
    member.machine->store().drained(std::move(batch));
  }

  static bool leads_soon(Bootstrapped& member) {
    for (int tick = 0; tick < 100; ++tick) {
      member.raft->tick();
      run(member);
      if (member.raft->role() == raft::Role::kLeader) return true;
    }
    return false;
  }

  /// A follower's directory of a cluster of three: "a", "b" and "c" put and committed at 4 to 6,
  /// applied and drained up to `drained`, and two more at 7 and 8 that nobody knows to be
  /// committed.
  void make_survivor(std::uint64_t drained) {
    absl::StatusOr<Bootstrapped> member = open();
    ASSERT_TRUE(member.ok()) << member.status();
    run(*member);
    std::vector<raft::Entry> entries;
    for (const char* key : {"a", "b", "c", "x", "y"}) {
      entries.push_back(put(4 + entries.size(), Term(2), key));
    }
    const raft::HardState state{Term(3), MemberId(), Index(6)};
    wal::Batch batch;
    batch.hard_state = state;
    batch.entries = entries;
    ASSERT_TRUE(member->wal->append(batch).ok());
    for (const raft::Entry& entry : entries) {
      if (entry.index <= Index(drained)) apply(*member, entry);
    }
    member->machine->end_batch();
    if (drained > 0) drain(*member);
  }

  std::vector<std::string> keys(Bootstrapped& member) {
    drain(member);
    std::vector<std::string> out;
    const testing::MemoryBackend::Buckets buckets = backend_->contents();
    for (const auto& [revision, value] : buckets[static_cast<std::size_t>(ports::Bucket::kKey)]) {
      out.emplace_back(mvcc::parse_key_value(value)->key);
    }
    return out;
  }

  std::string directory_;
  BootstrapOptions options_;
  platform::PosixDisk disk_;
  platform::OsRandom random_;
  std::unique_ptr<testing::MemoryBackend> backend_ = std::make_unique<testing::MemoryBackend>();
};

TEST_F(BootstrapTest, ANewMemberOfThreeDoesNotLeadAlone) {
  absl::StatusOr<Bootstrapped> member = open();
  ASSERT_TRUE(member.ok()) << member.status();
  EXPECT_TRUE(member->is_new);
  EXPECT_TRUE(member->join_members.empty());
  run(*member);
  EXPECT_EQ(member->raft->conf().voters.size(), 3u);
  EXPECT_EQ(member->machine->cluster()->members.size(), 3u);
  EXPECT_FALSE(leads_soon(*member));
}

TEST_F(BootstrapTest, RaftGetsItsOptionsAndItsOwnDice) {
  options_.raft.election_ticks = 50;
  options_.raft.heartbeat_ticks = 5;
  absl::StatusOr<Bootstrapped> member = open();
  ASSERT_TRUE(member.ok()) << member.status();
  run(*member);
  for (int tick = 0; tick < 49; ++tick) {
    member->raft->tick();
    EXPECT_EQ(member->raft->role(), raft::Role::kFollower) << tick;
  }
}

TEST_F(BootstrapTest, AJoinerBeginsWithItsIdentityAndNothingElse) {
  JoinedCluster join;
  join.self = MemberId(3);
  join.cluster = ClusterId(77);
  join.members = {{.id = MemberId(1)}, {.id = MemberId(3), .is_learner = true}};
  options_.join = join;
  {
    absl::StatusOr<Bootstrapped> member = open();
    ASSERT_TRUE(member.ok()) << member.status();
    EXPECT_TRUE(member->is_new);
    EXPECT_EQ(member->join_members, join.members);
    EXPECT_FALSE(member->raft->log().last_index());
    EXPECT_TRUE(member->raft->conf().voters.empty());
    EXPECT_FALSE(leads_soon(*member));
  }
  // It remembers who it is, whatever its flags say later.
  options_.join.reset();
  absl::StatusOr<Bootstrapped> again = open();
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_FALSE(again->is_new);
  EXPECT_EQ(again->self, MemberId(3));
  EXPECT_EQ(again->cluster, ClusterId(77));
}

TEST_F(BootstrapTest, ASurvivorForcedGoesOnAloneWithAllThatWasCommitted) {
  for (const std::uint64_t drained : {0, 5, 6}) {
    std::filesystem::remove_all(options_.wal_directory);
    backend_ = std::make_unique<testing::MemoryBackend>();
    options_.force_new_cluster = false;
    make_survivor(drained);
    options_.force_new_cluster = true;
    absl::StatusOr<Bootstrapped> member = open();
    ASSERT_TRUE(member.ok()) << member.status();
    ASSERT_TRUE(member->forced.has_value());
    EXPECT_EQ(member->forced->dropped_entries, 2u);
    EXPECT_EQ(member->forced->removed.size(), 2u);
    EXPECT_EQ(member->cluster, first_entries(options_)->cluster);
    EXPECT_TRUE(leads_soon(*member));
    const auto cluster = member->machine->cluster();
    ASSERT_EQ(cluster->members.size(), 1u);
    EXPECT_EQ(cluster->members.begin()->first, member->self);
    EXPECT_THAT(cluster->removed, ::testing::ElementsAreArray(member->forced->removed));
    EXPECT_THAT(keys(*member), ElementsAre("a", "b", "c"));
  }
}

TEST_F(BootstrapTest, AForcedClusterStaysForcedAfterARestartWithAndWithoutTheFlag) {
  make_survivor(5);
  options_.force_new_cluster = true;
  {
    ASSERT_TRUE(open().ok());
  }
  for (const bool again : {true, false}) {
    options_.force_new_cluster = again;
    absl::StatusOr<Bootstrapped> member = open();
    ASSERT_TRUE(member.ok()) << member.status();
    EXPECT_TRUE(leads_soon(*member));
    EXPECT_EQ(member->machine->cluster()->members.size(), 1u);
    EXPECT_THAT(keys(*member), ElementsAre("a", "b", "c"));
  }
}

TEST_F(BootstrapTest, ForcingANewMemberForcesNothing) {
  options_.force_new_cluster = true;
  absl::StatusOr<Bootstrapped> member = open();
  ASSERT_TRUE(member.ok()) << member.status();
  EXPECT_FALSE(member->forced.has_value());
}

}  // namespace
}  // namespace holdfast::node
