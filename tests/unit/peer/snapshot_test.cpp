#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>
#include <utility>

#include "absl/strings/str_format.h"
#include "datastore/codec/raft_messages.h"
#include "datastore/storage/bbolt_reader.h"
#include "tests/unit/net/test_client.h"
#include "tests/unit/peer/test_cluster.h"

namespace holdfast::peer {
namespace {

using raft::MessageType;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

constexpr std::size_t kMiB = std::size_t{1} << 20;

/// A store of `count` keys that all have the same value: large for the peer, small here.
class LargeRead final : public ports::BackendRead {
 public:
  LargeRead(std::size_t count, std::size_t value_bytes) : value_(value_bytes, 'v') {
    for (std::size_t i = 0; i < count; ++i) keys_.push_back(absl::StrFormat("%016d_", i));
  }

  absl::StatusOr<BytesView> get(ports::Bucket, BytesView) override {
    return absl::NotFoundError("none");
  }
  std::unique_ptr<ports::BackendCursor> cursor(ports::Bucket bucket) override {
    return std::make_unique<Cursor>(*this, bucket == ports::Bucket::kKey ? keys_.size() : 0);
  }

 private:
  class Cursor final : public ports::BackendCursor {
   public:
    Cursor(const LargeRead& read, std::size_t count) : read_(read), count_(count) {}
    void seek(BytesView key) override {
      const auto first = std::lower_bound(read_.keys_.begin(), read_.keys_.end(), key);
      at_ = static_cast<std::size_t>(first - read_.keys_.begin());
    }
    bool valid() const override { return at_ < count_; }
    void next() override { ++at_; }
    BytesView key() const override { return read_.keys_[at_]; }
    BytesView value() const override { return read_.value_; }
    absl::Status status() const override { return absl::OkStatus(); }

   private:
    const LargeRead& read_;
    const std::size_t count_;
    std::size_t at_ = 0;
  };

  std::vector<Bytes> keys_;
  const Bytes value_;
};

raft::Message snapshot_message(MemberId to, MemberId from, std::uint64_t index) {
  raft::Message message = message_to(to, from, MessageType::kSnap, 0);
  message.snapshot.index = Index(index);
  message.snapshot.term = Term(2);
  message.snapshot.conf.voters = {from, to};
  message.snapshot_data = "{}";
  return message;
}

node::OutgoingSnapshot outgoing(MemberId to, MemberId from, std::uint64_t index, std::size_t mib) {
  node::OutgoingSnapshot out;
  out.message = snapshot_message(to, from, index);
  out.state.read = std::make_unique<LargeRead>(mib, kMiB);
  out.state.applied = Index(index);
  out.state.term = Term(2);
  return out;
}

/// A sanitizer keeps what was freed, and has much of its own.
#ifdef HOLDFAST_SANITIZED
constexpr bool kMemoryIsOurs = false;
#else
constexpr bool kMemoryIsOurs = true;
#endif

std::size_t peak_memory_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::size_t>(usage.ru_maxrss) * 1024;
}

std::vector<std::string> files_in(const std::string& directory) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    names.push_back(entry.path().filename().string());
  }
  return names;
}

/// A worker may still be writing to what it is about to remove.
bool becomes_empty(const std::string& directory) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!files_in(directory).empty()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

class SnapshotTest : public ::testing::Test {
 protected:
  void start_both() {
    cluster_ = cluster_of({&a_, &b_});
    a_.start(cluster_);
    b_.start(cluster_);
  }

  /// The head of a POST /raft/snapshot to b, as etcd sends it.
  static std::string head(ClusterId cluster = kCluster) {
    return absl::StrCat(
        "POST /raft/snapshot HTTP/1.1\r\nHost: b\r\nX-Server-From: a\r\nX-Server-Version: 3.7.1\r\n"
        "X-Min-Cluster-Version: 3.0.0\r\nX-Etcd-Cluster-ID: ",
        absl::Hex(cluster.value), "\r\nTransfer-Encoding: chunked\r\n\r\n");
  }
  static std::string chunk(BytesView bytes) {
    return absl::StrCat(absl::Hex(bytes.size()), "\r\n", Bytes(bytes), "\r\n");
  }
  static Bytes envelope(const raft::Message& message) {
    const Bytes encoded = codec::encode(message);
    Bytes out(8, '\0');
    store_be64(out.data(), encoded.size());
    return out + encoded;
  }

  TestPeer a_{MemberId(0xa)};
  TestPeer b_{MemberId(0xb)};
  node::ClusterInfo cluster_;
};

TEST_F(SnapshotTest, ALargeStateTravelsInLittleMemory) {
  start_both();
  const std::size_t before = peak_memory_bytes();
  constexpr std::size_t kSize = 200;
  a_.transport().send_snapshot(outgoing(b_.id(), a_.id(), 0x1234, kSize));
  ASSERT_TRUE(a_.member().until([](const auto& m) { return !m.snapshots_sent.empty(); }));
  EXPECT_THAT(a_.member().snapshots_sent, ElementsAre(std::pair(std::uint64_t{0xb}, true)));
  if (kMemoryIsOurs) {
    EXPECT_LT(peak_memory_bytes() - before, 60 * kMiB);
  }

  ASSERT_TRUE(b_.member().until([](const auto& m) { return !m.snapshots.empty(); }));
  const FakeMember::Snapshot& received = b_.member().snapshots[0];
  EXPECT_EQ(codec::encode(received.message),
            codec::encode(snapshot_message(b_.id(), a_.id(), 0x1234)));
  EXPECT_EQ(received.file, b_.snapshot_directory() + "/0000000000001234.snap.db");
  EXPECT_THAT(files_in(b_.snapshot_directory()), ElementsAre("0000000000001234.snap.db"));

  const auto database = storage::BboltReader::open(received.file, {});
  ASSERT_TRUE(database.ok()) << database.status();
  auto keys = (*database)->bucket("key");
  ASSERT_TRUE(keys.ok()) << keys.status();
  std::size_t count = 0;
  for (keys->seek(""); keys->valid(); keys->next()) ++count;
  EXPECT_TRUE(keys->status().ok()) << keys->status();
  EXPECT_EQ(count, kSize);
  EXPECT_TRUE(a_.recorder().until("sent 4660 ok"));
  EXPECT_TRUE(b_.recorder().until("received 4660 ok"));
}

TEST_F(SnapshotTest, OneAtATimeToEachPeer) {
  start_both();
  a_.transport().send_snapshot(outgoing(b_.id(), a_.id(), 1, 20));
  a_.transport().send_snapshot(outgoing(b_.id(), a_.id(), 2, 1));
  ASSERT_TRUE(a_.member().until([](const auto& m) { return m.snapshots_sent.size() == 2; }));
  EXPECT_THAT(a_.member().snapshots_sent, ElementsAre(std::pair(std::uint64_t{0xb}, false),
                                                      std::pair(std::uint64_t{0xb}, true)));
}

TEST_F(SnapshotTest, AFailureIsReportedOnce) {
  start_both();
  b_.stop();
  a_.transport().send_snapshot(outgoing(b_.id(), a_.id(), 1, 1));
  ASSERT_TRUE(a_.member().until([](const auto& m) { return !m.snapshots_sent.empty(); }));
  a_.transport().send_snapshot(outgoing(MemberId(0xdead), a_.id(), 1, 1));
  ASSERT_TRUE(a_.member().until([](const auto& m) { return m.snapshots_sent.size() == 2; }));
  EXPECT_THAT(a_.member().snapshots_sent, ElementsAre(std::pair(std::uint64_t{0xb}, false),
                                                      std::pair(std::uint64_t{0xdead}, false)));
}

TEST_F(SnapshotTest, ARemovedPeersTransferEnds) {
  start_both();
  a_.transport().send_snapshot(outgoing(b_.id(), a_.id(), 1, 500));
  a_.set_members(cluster_of({&a_}));
  ASSERT_TRUE(a_.member().until([](const auto& m) { return !m.snapshots_sent.empty(); }));
  EXPECT_FALSE(a_.member().snapshots_sent[0].second);
}

TEST_F(SnapshotTest, RefusesWhatIsNoSnapshot) {
  start_both();
  struct Case {
    const char* name;
    std::string request;
    const char* answer;
  };
  raft::Message strangers = snapshot_message(MemberId(0xdead), a_.id(), 1);
  Bytes endless(8, '\0');
  store_be64(endless.data(), ~std::uint64_t{0});
  const std::vector<Case> cases = {
      {"another cluster", head(ClusterId(5)), "HTTP/1.1 412"},
      {"not a snapshot",
       head() + chunk(envelope(message_to(b_.id(), a_.id(), MessageType::kVote, 1))),
       "HTTP/1.1 400"},
      {"to somebody else", head() + chunk(envelope(strangers)), "HTTP/1.1 500"},
      {"an envelope without end", head() + chunk(endless), "HTTP/1.1 400"},
      {"an envelope cut short", head() + chunk("abc") + "0\r\n\r\n", "HTTP/1.1 400"},
      {"no database", head() + chunk(envelope(snapshot_message(b_.id(), a_.id(), 1))) + "0\r\n\r\n",
       "HTTP/1.1 500"},
  };
  for (const Case& c : cases) {
    net::RawClient client(b_.port());
    ASSERT_TRUE(client.send(c.request));
    EXPECT_THAT(client.receive(), StartsWith(c.answer)) << c.name;
  }
  EXPECT_TRUE(b_.member().snapshots.empty());
  EXPECT_THAT(files_in(b_.snapshot_directory()), IsEmpty());
}

TEST_F(SnapshotTest, ATransferThatStallsIsCutAndLeavesNothing) {
  TransportOptions options;
  options.snapshot_stall_timeout = std::chrono::milliseconds(200);
  TestPeer impatient(b_.id(), options);
  impatient.start(cluster_of({&a_, &impatient}));
  net::RawClient client(impatient.port());
  ASSERT_TRUE(client.send(head() + chunk(envelope(snapshot_message(b_.id(), a_.id(), 9))) +
                          chunk(Bytes(3 * kMiB, 'x'))));
  EXPECT_THAT(client.receive_until_closed(), IsEmpty());
  EXPECT_TRUE(impatient.recorder().until("received 9 failed"));
  EXPECT_TRUE(becomes_empty(impatient.snapshot_directory()));
}

TEST_F(SnapshotTest, ATransferThatBreaksOffLeavesNothing) {
  start_both();
  {
    net::RawClient client(b_.port());
    ASSERT_TRUE(client.send(head() + chunk(envelope(snapshot_message(b_.id(), a_.id(), 9))) +
                            chunk(Bytes(3 * kMiB, 'x'))));
  }
  EXPECT_TRUE(b_.recorder().until("received 9 failed"));
  EXPECT_TRUE(becomes_empty(b_.snapshot_directory()));
}

TEST_F(SnapshotTest, TakesNoMoreThanItsShareAtOnce) {
  start_both();
  const std::string begun = head() + chunk(envelope(snapshot_message(b_.id(), a_.id(), 9)));
  net::RawClient first(b_.port());
  net::RawClient second(b_.port());
  ASSERT_TRUE(first.send(begun));
  ASSERT_TRUE(second.send(begun));
  ASSERT_TRUE(b_.recorder().until("receiving 9", 2));
  net::RawClient third(b_.port());
  ASSERT_TRUE(third.send(begun));
  EXPECT_THAT(third.receive(), HasSubstr("503"));
}

TEST_F(SnapshotTest, AStartRemovesWhatACrashLeft) {
  cluster_ = cluster_of({&a_, &b_});
  const std::string left = b_.snapshot_directory() + "/0000000000000009.snap.db.0.tmp";
  const std::string whole = b_.snapshot_directory() + "/0000000000000008.snap.db";
  std::ofstream(left) << "half";
  std::ofstream(whole) << "whole";
  b_.restart(cluster_);
  EXPECT_THAT(files_in(b_.snapshot_directory()), ElementsAre("0000000000000008.snap.db"));
}

}  // namespace
}  // namespace holdfast::peer
