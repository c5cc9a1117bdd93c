#include "datastore/node/member.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <thread>

#include "datastore/base/errors.h"
#include "datastore/codec/internal_request.h"
#include "datastore/mvcc/key_value.h"
#include "datastore/platform/os_random.h"
#include "datastore/platform/posix_disk.h"
#include "datastore/platform/system_clock.h"
#include "tests/unit/mvcc/memory_backend.h"

namespace holdfast::node {
namespace {

using statemachine::Outcome;

/// Runs answers at once, on whichever thread posts.
class InlineMailbox final : public Mailbox {
 public:
  void post(absl::AnyInvocable<void()> work) override { work(); }
};

/// tag, length, bytes of a length-delimited field below 16.
Bytes field(int number, BytesView bytes) {
  return Bytes(1, static_cast<char>(number << 3 | 2)) + Bytes(1, static_cast<char>(bytes.size())) +
         Bytes(bytes);
}

/// How many stored pairs the last put's answer was made with.
class AnswerObserver final : public MemberObserver {
 public:
  void command_applied(const statemachine::Command& command, const Outcome& outcome,
                       Time) override {
    if (!std::holds_alternative<statemachine::PutRequest>(command.body)) return;
    const auto& put = std::get<statemachine::PutOutcome>(outcome.body);
    shown_ = put.prev_kv.has_value();
    cut_ = outcome.answer_cut;
  }
  std::atomic<bool> shown_{false};
  std::atomic<bool> cut_{false};
};

class MemberTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "node-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    start();
  }
  void TearDown() override {
    member_.reset();
    std::filesystem::remove_all(directory_);
  }

  absl::StatusOr<Bootstrapped> open() {
    BootstrapOptions options;
    options.wal_directory = directory_ + "/wal";
    options.name = "m";
    options.initial_cluster = {{"m", {"http://127.0.0.1:2380"}}};
    options.initial_cluster_token = "t";
    options.wal.segment_bytes = 1 << 16;
    return bootstrap(disk_, backend_, random_, options);
  }

  void start() {
    absl::StatusOr<Bootstrapped> opened = open();
    ASSERT_TRUE(opened.ok()) << opened.status();
    MemberOptions options;
    options.core.name = "m";
    options.core.client_urls = {"http://127.0.0.1:2379"};
    options.core.server_version = "3.7.1";
    options.core.catch_up_entries = catch_up_entries_;
    options.core.max_log_bytes = max_log_bytes_;
    member_ = Member::start(std::move(options), *std::move(opened),
                            {.backend = &backend_,
                             .disk = &disk_,
                             .clock = &clock_,
                             .observer = &observer_,
                             .on_fatal = [this](const absl::Status& why) { on_fatal_(why); }});
    // A first answer means that it leads.
    ASSERT_TRUE(wait_until_writable());
  }

  bool wait_until_writable() {
    const Time deadline = clock_.monotonic() + std::chrono::seconds(30);
    while (clock_.monotonic() < deadline) {
      std::promise<absl::Status> ready;
      member_->read_index([&](absl::Status status) { ready.set_value(status); }, mailbox_);
      if (ready.get_future().get().ok()) return true;
    }
    return false;
  }

  Outcome propose(codec::CommandField what, BytesView request,
                  std::size_t max_answer_bytes = statemachine::StateMachine::kWholeAnswer) {
    std::promise<Outcome> done;
    Proposal proposal;
    proposal.id = member_->next_request_id();
    proposal.entry = codec::encode_internal(proposal.id, what, request);
    proposal.max_answer_bytes = max_answer_bytes;
    proposal.done = [&](Applied applied) { done.set_value(std::move(applied.outcome)); };
    std::vector<Proposal> batch;
    batch.push_back(std::move(proposal));
    member_->propose(std::move(batch), mailbox_);
    return done.get_future().get();
  }
  Outcome put(BytesView key, BytesView value) {
    return propose(codec::CommandField::kPut, field(1, key) + field(2, value));
  }
  std::string read(BytesView key) {
    mvcc::Reader reader(member_->views());
    EXPECT_TRUE(reader.refresh().ok());
    const auto kv = reader.get(key);
    EXPECT_TRUE(kv.ok()) << kv.status();
    if (!kv->has_value()) return "(none)";
    return Bytes(mvcc::parse_key_value(**kv)->value);
  }

  std::uint64_t catch_up_entries_ = 10;
  std::uint64_t max_log_bytes_ = std::uint64_t{256} << 20;
  std::string directory_;
  platform::PosixDisk disk_;
  platform::OsRandom random_;
  platform::SystemClock clock_;
  testing::MemoryBackend backend_;
  AnswerObserver observer_;
  InlineMailbox mailbox_;
  absl::AnyInvocable<void(const absl::Status&)> on_fatal_ = [](const absl::Status& why) {
    FAIL() << why;
  };
  std::unique_ptr<Member> member_;
};

TEST_F(MemberTest, AnswersOnlyWhatReadersCanSee) {
  for (int i = 0; i < 100; ++i) {
    const Outcome outcome = put("k", std::to_string(i));
    ASSERT_TRUE(outcome.status.ok()) << outcome.status;
    EXPECT_EQ(read("k"), std::to_string(i));
  }
  EXPECT_TRUE(member_->views().get()->flags & Node::kViewIsLinearizable);
}

TEST_F(MemberTest, BeginsLikeEtcd) {
  const auto cluster = member_->cluster();
  ASSERT_EQ(cluster->members.size(), 1U);
  put("a", "1");  // after it, the leader's own first commands are applied
  EXPECT_EQ(member_->cluster()->members[0].name, "m");
  EXPECT_EQ(member_->cluster()->cluster_version, "3.7.0");
  EXPECT_EQ(member_->status().term, Term(2)) << "term 1 is the bootstrap's, as in etcd";
}

TEST_F(MemberTest, KeepsEverythingAcrossRestarts) {
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 200; ++i) {
      ASSERT_TRUE(put("k" + std::to_string(i), std::to_string(round)).status.ok());
    }
    const Revision before = member_->status().revision;
    member_.reset();
    start();
    EXPECT_EQ(member_->views().get()->revision, before);
    EXPECT_EQ(read("k199"), std::to_string(round));
  }
}

TEST_F(MemberTest, ReplaysFromTheLogWhatTheEngineLacks) {
  backend_.fail_commits(absl::ResourceExhaustedError("full"));
  ASSERT_TRUE(put("k", "only in the log").status.ok());
  member_.reset();
  backend_.fail_commits(absl::OkStatus());
  start();
  EXPECT_EQ(read("k"), "only in the log");
}

TEST_F(MemberTest, AnAnswerBeyondItsBoundIsNotMadeThoughTheRequestIsCarriedOut) {
  ASSERT_TRUE(put("k", "before").status.ok());
  const Bytes request = field(1, "k") + field(2, "after") + Bytes("\x20\x01");  // prev_kv
  EXPECT_TRUE(propose(codec::CommandField::kPut, request, 1000).status.ok());
  EXPECT_TRUE(observer_.shown_);
  const absl::Status status = propose(codec::CommandField::kPut, request, 10).status;
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("was carried out"));
  EXPECT_EQ(read("k"), "after");
  EXPECT_EQ(member_->status().revision, Revision(4));
}

TEST_F(MemberTest, NothingIsReadForAnAnswerThatNobodyWaitsFor) {
  backend_.fail_commits(absl::ResourceExhaustedError("full"));
  const Bytes request = field(1, "k") + field(2, "v") + Bytes("\x20\x01");  // prev_kv
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(propose(codec::CommandField::kPut, request).status.ok());
  }
  EXPECT_TRUE(observer_.shown_);
  EXPECT_FALSE(observer_.cut_);
  member_.reset();
  backend_.fail_commits(absl::OkStatus());
  start();  // replays them
  EXPECT_FALSE(observer_.shown_);
  EXPECT_TRUE(observer_.cut_);
  EXPECT_EQ(read("k"), "v");
}

TEST_F(MemberTest, SaysThatItsDiskIsFullWhileTheEngineFindsNoRoom) {
  const auto becomes = [this](bool full) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (member_->status().disk_full != full) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return true;
  };
  ASSERT_TRUE(put("k", "before").status.ok());
  backend_.fail_commits(absl::ResourceExhaustedError("full"));
  ASSERT_TRUE(put("k", "meanwhile").status.ok()) << "the log has room";
  EXPECT_TRUE(becomes(true));
  EXPECT_EQ(read("k"), "meanwhile");
  backend_.fail_commits(absl::OkStatus());
  EXPECT_TRUE(becomes(false));
}

TEST_F(MemberTest, ALargeLogGivesUpWhatTheEngineHas) {
  member_.reset();
  catch_up_entries_ = 1'000'000;
  max_log_bytes_ = std::uint64_t{4} << 16;
  start();
  const Bytes value(100, 'v');
  for (int i = 0; i < 5000; ++i) {
    ASSERT_TRUE(put("k" + std::to_string(i % 50), value).status.ok());
  }
  const auto bytes_on_disk = [this] {
    std::uintmax_t bytes = 0;
    for (const auto& file : std::filesystem::directory_iterator(directory_ + "/wal")) {
      std::error_code gone;  // it was given up since it was listed
      const std::uintmax_t size = file.file_size(gone);
      if (!gone) bytes += size;
    }
    return bytes;
  };
  // Trimming follows the engine's commits, which follow writes.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (bytes_on_disk() > max_log_bytes_ + (1 << 16)) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << bytes_on_disk() << " bytes";
    ASSERT_TRUE(put("last", value).status.ok());
  }
  member_.reset();
  start();
  EXPECT_EQ(read("k49"), value);
}

TEST_F(MemberTest, AMemberThatFailedByItselfCanBeDestroyed) {
  std::promise<absl::Status> failed;
  on_fatal_ = [&](const absl::Status& why) { failed.set_value(why); };
  member_->told_removed(MemberId(1));
  EXPECT_THAT(std::string(failed.get_future().get().message()),
              ::testing::HasSubstr("permanently removed"));
  EXPECT_FALSE(put("k", "v").status.ok()) << "its thread has ended, or is about to";
  member_.reset();
}

TEST_F(MemberTest, RefusesALogThatEndsBeforeTheState) {
  ASSERT_TRUE(put("k", "v").status.ok());
  member_.reset();
  std::filesystem::remove_all(directory_ + "/wal");
  const absl::Status status = open().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
}

TEST_F(MemberTest, CompactionFinishesBesideWrites) {
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(put("k", std::to_string(i)).status.ok());
  const Revision at = member_->status().revision;
  Bytes request = "\x08";
  for (std::uint64_t v = static_cast<std::uint64_t>(at.value); true; v >>= 7) {
    request.push_back(static_cast<char>(v >= 128 ? (v & 127) | 128 : v));
    if (v < 128) break;
  }
  ASSERT_TRUE(propose(codec::CommandField::kCompaction, request).status.ok());
  std::promise<absl::Status> done;
  member_->await_compaction(at, [&](absl::Status s) { done.set_value(s); }, mailbox_);
  EXPECT_TRUE(done.get_future().get().ok());
  EXPECT_EQ(read("k"), "299");
  EXPECT_EQ(member_->views().get()->compact_revision, at);
}

TEST_F(MemberTest, SnapshotHoldsEverythingAnsweredBeforeIt) {
  ASSERT_TRUE(put("k", "v").status.ok());
  std::promise<absl::StatusOr<BackendSnapshot>> done;
  member_->snapshot([&](absl::StatusOr<BackendSnapshot> s) { done.set_value(std::move(s)); },
                    mailbox_);
  const absl::StatusOr<BackendSnapshot> snapshot = done.get_future().get();
  ASSERT_TRUE(snapshot.ok()) << snapshot.status();
  const auto cursor = snapshot->read->cursor(ports::Bucket::kKey);
  cursor->seek({});
  EXPECT_TRUE(cursor->valid());
}

TEST_F(MemberTest, StoppedMemberAnswersEverything) {
  std::promise<absl::Status> last;
  member_->stop();
  EXPECT_EQ(put("k", "v").status, errors::stopped());
  member_->read_index([&](absl::Status s) { last.set_value(s); }, mailbox_);
  EXPECT_EQ(last.get_future().get(), errors::stopped());
}

}  // namespace
}  // namespace holdfast::node
