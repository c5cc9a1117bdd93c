#include "datastore/node/install.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "datastore/node/bootstrap.h"
#include "datastore/platform/os_random.h"
#include "datastore/platform/posix_disk.h"
#include "datastore/storage/bbolt_writer.h"
#include "datastore/storage/layout.h"
#include "tests/unit/mvcc/memory_backend.h"

/// A member is stopped between receiving its leader's state and having installed it.
namespace holdfast::node {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr MemberId kLeader{1};
constexpr MemberId kSelf{2};

class InstallTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "install-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    std::filesystem::create_directories(directory_ + "/snap");
    make_leader_state();
    const auto joined = start();
    ASSERT_TRUE(joined.ok()) << joined.status();
    ASSERT_TRUE(joined->is_new);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  /// Two members and one key, at entry 3 of term 1.
  void make_leader_state() {
    auto opened = statemachine::StateMachine::open(leader_, {});
    ASSERT_TRUE(opened.ok());
    statemachine::StateMachine& machine = **opened;
    for (const MemberId id : {kLeader, kSelf}) {
      const Bytes context = statemachine::member_json(
          {.id = id, .peer_urls = {"http://m" + std::to_string(id.value)}});
      const auto added =
          machine.apply_conf_change(machine.applied_index().next(), Term(1),
                                    {statemachine::ConfChangeType::kAddNode, id, context});
      ASSERT_TRUE(added.ok());
    }
    statemachine::Command put;
    put.body = statemachine::PutRequest{.key = "key", .value = "of the leader"};
    ASSERT_TRUE(machine.apply(Index(3), Term(1), put).ok());
    machine.end_batch();
    mvcc::DrainBatch batch = machine.store().take_drain(SIZE_MAX);
    ASSERT_TRUE(leader_.commit(batch.writes()).ok());
    machine.store().drained(std::move(batch));
    state_ = {{{kLeader, kSelf}, {}}, Index(3), Term(1)};
  }

  std::string file_of_state() const {
    return directory_ + "/snap/" + storage::snapshot_file_name(state_.index);
  }
  void receive(const std::string& path) {
    const auto read = leader_.begin_read();
    auto writer = storage::BboltWriter::plan(**read, {});
    ASSERT_TRUE(writer.ok());
    std::ofstream out(path, std::ios::binary);
    ASSERT_TRUE(writer
                    ->write([&](BytesView chunk) {
                      out.write(chunk.data(), static_cast<std::streamsize>(chunk.size()));
                      return absl::OkStatus();
                    })
                    .ok());
  }
  /// What core appends before it installs.
  void mark_in_log(wal::Wal& log) const {
    wal::Batch batch;
    batch.snapshot = wal::SnapshotMarker{state_, /*replaces_log=*/true};
    batch.hard_state = raft::HardState{Term(1), MemberId(), state_.index};
    ASSERT_TRUE(log.append(batch).ok());
  }

  absl::StatusOr<Bootstrapped> start() {
    BootstrapOptions options;
    options.wal_directory = directory_ + "/wal";
    options.snapshot_directory = directory_ + "/snap";
    options.wal.segment_bytes = 1 << 16;
    options.join = JoinedCluster{.self = kSelf, .cluster = ClusterId(9)};
    return bootstrap(disk_, backend_, random_, options);
  }

  std::string directory_;
  platform::PosixDisk disk_;
  platform::OsRandom random_;
  testing::MemoryBackend leader_;
  testing::MemoryBackend backend_;
  raft::SnapshotMetadata state_;
};

TEST_F(InstallTest, AStateThatTheLogNamesIsInstalledAtTheNextStart) {
  mark_in_log(*start()->wal);
  receive(file_of_state());
  const auto member = start();
  ASSERT_TRUE(member.ok()) << member.status();
  EXPECT_TRUE(member->finished_install);
  EXPECT_EQ(member->machine->applied_index(), state_.index);
  EXPECT_EQ(member->machine->applied_term(), state_.term);
  EXPECT_EQ(member->machine->cluster()->members.size(), 2U);
  EXPECT_EQ(member->machine->store().revision(), Revision(2));
  EXPECT_THAT(member->raft->conf().voters, ElementsAre(kLeader, kSelf));
  EXPECT_EQ(member->raft->committed(), state_.index);
  EXPECT_THAT(member->removed_snapshots, ElementsAre("0000000000000003.snap.db"));
  EXPECT_FALSE(std::filesystem::exists(file_of_state()));
}

TEST_F(InstallTest, OnceInstalledItIsNotDoneAgain) {
  mark_in_log(*start()->wal);
  receive(file_of_state());
  ASSERT_TRUE(start().ok());
  const auto member = start();
  ASSERT_TRUE(member.ok()) << member.status();
  EXPECT_FALSE(member->finished_install);
  EXPECT_EQ(member->machine->applied_index(), state_.index);
}

TEST_F(InstallTest, WithoutItsFileTheMemberDoesNotStartAndSaysWhatToDo) {
  mark_in_log(*start()->wal);
  const absl::Status refused = start().status();
  EXPECT_TRUE(absl::IsDataLoss(refused));
  EXPECT_THAT(std::string(refused.message()), HasSubstr(file_of_state()));
  EXPECT_THAT(std::string(refused.message()), HasSubstr("add it anew"));
}

TEST_F(InstallTest, ADamagedFileIsRefusedAndKept) {
  mark_in_log(*start()->wal);
  receive(file_of_state());
  std::filesystem::resize_file(file_of_state(), 5000);
  EXPECT_TRUE(absl::IsDataLoss(start().status()));
  EXPECT_TRUE(std::filesystem::exists(file_of_state()));
}

TEST_F(InstallTest, WhatTheLogDoesNotNameIsRemoved) {
  receive(file_of_state());
  receive(file_of_state() + ".tmp");
  std::ofstream(directory_ + "/snap/other") << "not ours";
  const auto member = start();
  ASSERT_TRUE(member.ok()) << member.status();
  EXPECT_FALSE(member->finished_install);
  EXPECT_FALSE(member->machine->applied_index());
  EXPECT_THAT(member->removed_snapshots,
              ElementsAre("0000000000000003.snap.db", "0000000000000003.snap.db.tmp"));
  EXPECT_TRUE(std::filesystem::exists(directory_ + "/snap/other"));
  EXPECT_THAT(start()->removed_snapshots, IsEmpty());
}

TEST_F(InstallTest, AFileOfAnotherMomentIsRefused) {
  receive(file_of_state());
  raft::SnapshotMetadata later = state_;
  later.index = Index(4);
  const absl::Status refused = install_snapshot(disk_, file_of_state(), later, backend_);
  EXPECT_TRUE(absl::IsDataLoss(refused));
  EXPECT_THAT(std::string(refused.message()), HasSubstr("of entry 3 and term 1"));
}

}  // namespace
}  // namespace holdfast::node
