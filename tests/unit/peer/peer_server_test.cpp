#include "datastore/peer/peer_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "datastore/codec/raft_messages.h"
#include "tests/unit/net/test_client.h"
#include "tests/unit/peer/test_cluster.h"

namespace holdfast::peer {
namespace {

using raft::MessageType;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

/// b's door as a real etcd's member a would knock at it, byte by byte. Nobody dials b's peers: a is
/// not there.
class PeerServerTest : public ::testing::Test {
 protected:
  PeerServerTest() { b_.start(cluster_with(b_)); }

  static node::ClusterInfo cluster_with(const TestPeer& b) {
    node::ClusterInfo cluster;
    cluster.cluster = kCluster;
    cluster.members = {{.id = MemberId(0xa),
                        .name = "a",
                        .peer_urls = {"http://127.0.0.1:1"},
                        .client_urls = {"http://127.0.0.1:2"}},
                       {.id = MemberId(0xb), .peer_urls = {b.url()}, .is_learner = true}};
    cluster.removed = {MemberId(0xdead)};
    return cluster;
  }

  static TransportOptions impatient() {
    TransportOptions options;
    options.read_timeout = options.write_timeout = std::chrono::milliseconds(1000);
    options.max_stream_messages = 10;
    options.stream_high_water_bytes = 64 << 10;
    return options;
  }

  struct Headers {
    std::string version = "3.7.1";
    std::string least = "3.0.0";
    std::string cluster = "c0ffee";
    std::string to = "b";
  };
  static std::string request(const std::string& line, const Headers& headers, BytesView body = {}) {
    std::string out = line +
                      " HTTP/1.1\r\nHost: b\r\nX-Server-From: a\r\nX-Raft-To: " + headers.to +
                      "\r\nX-Etcd-Cluster-ID: " + headers.cluster + "\r\n";
    if (!headers.version.empty()) out += "X-Server-Version: " + headers.version + "\r\n";
    if (!headers.least.empty()) out += "X-Min-Cluster-Version: " + headers.least + "\r\n";
    out += "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n";
    return out.append(body);
  }
  /// Asks and returns the answer as it comes.
  std::string ask(const std::string& line, const Headers& headers, BytesView body = {}) {
    net::RawClient client(b_.port());
    EXPECT_TRUE(client.send(request(line, headers, body)));
    return client.receive();
  }
  std::string ask(const std::string& line, BytesView body = {}) {
    return ask(line, Headers{}, body);
  }

  TestPeer b_{MemberId(0xb)};
};

TEST_F(PeerServerTest, StreamsAreCheckedInEtcdsOrder) {
  struct Case {
    const char* line;
    Headers headers;
    const char* status;
    const char* body;
  };
  const std::vector<Case> cases = {
      {"POST /raft/stream/msgapp/a", {}, "405", "Method Not Allowed"},
      {"POST /raft/stream/msgapp/a", {.cluster = "1"}, "405", "Method Not Allowed"},
      {"GET /raft/stream/msgapp/a", {.version = "2.3.8"}, "412", "incompatible version"},
      {"GET /raft/stream/msgapp/a", {.version = ""}, "412", "incompatible version"},
      {"GET /raft/stream/msgapp/a", {.least = "3.8.0"}, "412", "incompatible version"},
      {"GET /raft/stream/msgapp/a", {.cluster = "1"}, "412", "cluster ID mismatch"},
      {"GET /raft/stream/dead", {.cluster = "1"}, "412", "cluster ID mismatch"},
      {"GET /raft/stream/snapshots/dead", {}, "404", "invalid path"},
      {"GET /raft/stream/msgapp/nobody", {}, "404", "invalid from"},
      {"GET /raft/stream/msgapp/", {}, "404", "invalid from"},
      {"GET /raft/stream/msgapp/dead", {.to = "1"}, "410", "removed member"},
      {"GET /raft/stream/msgapp/c", {.to = "1"}, "404", "error sender not found"},
      {"GET /raft/stream/msgapp/b", {}, "404", "error sender not found"},
      {"GET /raft/stream/msgapp/a", {.to = "1"}, "412", "to field mismatch"},
      {"GET /raft/stream/msgapp/a", {.version = "3.9.0"}, "200", ""},
      {"GET /raft/stream/message/a", {.version = "3.6.14", .least = "3.7.0"}, "200", ""},
  };
  for (const Case& c : cases) {
    const std::string answer = ask(c.line, c.headers);
    EXPECT_THAT(answer, StartsWith(absl::StrCat("HTTP/1.1 ", c.status))) << c.line;
    EXPECT_THAT(answer, AllOf(HasSubstr("x-server-version: 3.7.1\r\n"),
                              HasSubstr("x-etcd-cluster-id: c0ffee\r\n")));
    if (*c.body != '\0') {
      EXPECT_THAT(answer, EndsWith(absl::StrCat("\r\n\r\n", c.body, "\n")));
    } else {
      EXPECT_THAT(answer, HasSubstr("transfer-encoding: chunked\r\n"));
    }
  }
}

TEST_F(PeerServerTest, MessagesArePosted) {
  const Bytes good = codec::encode(message_to(MemberId(0xb), MemberId(0xa), MessageType::kVote, 3));
  EXPECT_THAT(ask("POST /raft", good), StartsWith("HTTP/1.1 204"));
  ASSERT_TRUE(b_.member().until([](const auto& m) { return m.messages.size() == 1; }));

  EXPECT_THAT(ask("GET /raft"), AllOf(StartsWith("HTTP/1.1 405"), HasSubstr("allow: POST")));
  EXPECT_THAT(ask("POST /raft", {.cluster = "1"}, good), StartsWith("HTTP/1.1 412"));
  EXPECT_THAT(ask("POST /raft", "\xff\xff"),
              AllOf(StartsWith("HTTP/1.1 400"), EndsWith("error unmarshalling raft message\n")));
  const auto post = [&](std::uint64_t to, std::uint64_t from, MessageType type) {
    return ask("POST /raft", codec::encode(message_to(MemberId(to), MemberId(from), type, 1)));
  };
  EXPECT_THAT(post(0xb, 0xdead, MessageType::kVote), StartsWith("HTTP/1.1 403"));
  // A healthy member must never be told to go: not for a wrong address.
  EXPECT_THAT(post(0xc, 0xa, MessageType::kVote), StartsWith("HTTP/1.1 500"));
  // A type that never travels is passed over, as a snapshot without its database is.
  EXPECT_THAT(ask("POST /raft", BytesView("\x08\x00\x10\x0b\x18\x0a", 6)),
              StartsWith("HTTP/1.1 204"));
  EXPECT_THAT(post(0xb, 0xa, MessageType::kSnap), StartsWith("HTTP/1.1 204"));
  EXPECT_EQ(b_.member().messages.size(), 1U);
}

TEST_F(PeerServerTest, ShowsItsMembers) {
  EXPECT_THAT(ask("GET /members"),
              AllOf(StartsWith("HTTP/1.1 200"), HasSubstr("x-etcd-cluster-id: c0ffee\r\n"),
                    EndsWith(absl::StrCat(
                        "[{\"id\":10,\"peerURLs\":[\"http://127.0.0.1:1\"],\"name\":\"a\","
                        "\"clientURLs\":[\"http://127.0.0.1:2\"]},{\"id\":11,\"peerURLs\":[\"",
                        b_.url(), "\"],\"isLearner\":true}]\n"))));
  EXPECT_THAT(ask("POST /members"), AllOf(StartsWith("HTTP/1.1 405"), HasSubstr("allow: GET")));
  EXPECT_THAT(ask("GET /version"),
              EndsWith("{\"etcdserver\":\"3.7.1\",\"etcdcluster\":\"not_decided\",\"storage\":"
                       "\"unknown\"}"));
  EXPECT_THAT(ask("GET /nothing"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(ask("GET /raft/probing"), HasSubstr("{\"OK\":true,\"Now\":\"20"));
}

TEST_F(PeerServerTest, ShowsItsHash) {
  b_.member().hash_answer = node::HashResult{.hash = 4'000'000'000U, .revision = Revision(9)};
  EXPECT_THAT(ask("GET /members/hashkv", "{\"revision\":5}"),
              EndsWith("{\"header\":{\"revision\":9},\"hash\":4000000000}"));
  b_.member().hash_answer = node::HashResult{};
  EXPECT_THAT(ask("GET /members/hashkv", "{}"), EndsWith("{\"header\":{}}"));
  EXPECT_THAT(ask("GET /members/hashkv", {.cluster = "1"}, "{}"), StartsWith("HTTP/1.1 412"));
  EXPECT_THAT(ask("GET /members/hashkv", "revision"), StartsWith("HTTP/1.1 400"));
  b_.member().hash_answer = errors::future_revision();
  EXPECT_THAT(ask("GET /members/hashkv", "{}"),
              AllOf(StartsWith("HTTP/1.1 400"),
                    HasSubstr("mvcc: required revision is a future revision\n")));
}

TEST_F(PeerServerTest, SaysWhetherADowngradeIsOn) {
  EXPECT_THAT(ask("GET /downgrade/enabled"), EndsWith("\r\n\r\nfalse"));
  b_.member().read_index_answer = errors::no_leader();
  EXPECT_THAT(ask("GET /downgrade/enabled"), StartsWith("HTTP/1.1 500"));
}

TEST_F(PeerServerTest, PromotionsAreToldApartByTheirWords) {
  EXPECT_THAT(ask("POST /members/promote/12"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(ask("POST /members/promote/0xc"), StartsWith("HTTP/1.1 404"));
  b_.member().promote_answer = errors::learner_not_ready();
  EXPECT_THAT(ask("POST /members/promote/12"),
              AllOf(StartsWith("HTTP/1.1 412"),
                    EndsWith("etcdserver: can only promote a learner member which is in sync with "
                             "leader\n")));
  b_.member().promote_answer = errors::member_not_learner();
  EXPECT_THAT(ask("POST /members/promote/12"),
              AllOf(StartsWith("HTTP/1.1 412"),
                    EndsWith("membership: can only promote a learner member\n")));
  b_.member().promote_answer = errors::not_leader();
  EXPECT_THAT(ask("POST /members/promote/12"), StartsWith("HTTP/1.1 500"));
}

TEST_F(PeerServerTest, LeasesWaitUntilWhatIsCommittedIsApplied) {
  b_.member().keep_alive_answer = 60;
  const Bytes lease("\x08\x07", 2);
  EXPECT_THAT(ask("POST /leases", lease),
              AllOf(StartsWith("HTTP/1.1 200"), EndsWith(Bytes("\r\n\r\n\x10\x07\x18\x3c"))));
  b_.member().status_answer.committed = Index(9);
  b_.member().status_answer.applied = Index(8);
  EXPECT_THAT(ask("POST /leases", lease), StartsWith("HTTP/1.1 408"));
  EXPECT_THAT(ask("POST /leases/internal", "\x0a\x02\x08\x07"), StartsWith("HTTP/1.1 408"));
  b_.member().status_answer.applied = Index(9);
  EXPECT_THAT(ask("POST /leases/internal", "\x0a\x02\x08\x07"),
              AllOf(StartsWith("HTTP/1.1 404"), EndsWith("lease not found\n")));
  b_.member().keep_alive_answer = errors::not_leader();
  EXPECT_THAT(ask("POST /leases", lease), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(ask("POST /leases", "\xff"), StartsWith("HTTP/1.1 400"));
}

TEST_F(PeerServerTest, AStreamGivesSignsOfLife) {
  net::RawClient client(b_.port());
  ASSERT_TRUE(client.send(request("GET /raft/stream/msgapp/a", {})));
  EXPECT_THAT(client.receive_until(Bytes("1\r\n\0\r\n1\r\n\0\r\n", 12)),
              StartsWith("HTTP/1.1 200"));
}

TEST_F(PeerServerTest, ANewerStreamTakesTheOldOnesPlace) {
  net::RawClient first(b_.port());
  ASSERT_TRUE(first.send(request("GET /raft/stream/message/a", {})));
  EXPECT_THAT(first.receive(), StartsWith("HTTP/1.1 200"));
  net::RawClient second(b_.port());
  ASSERT_TRUE(second.send(request("GET /raft/stream/message/a", {})));
  EXPECT_THAT(second.receive(), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(first.receive_until("0\r\n\r\n"), EndsWith("0\r\n\r\n"));
  std::vector<raft::Message> messages;
  messages.push_back(message_to(MemberId(0xa), MemberId(0xb), MessageType::kVote, 0x55));
  const Bytes bytes = codec::encode(messages[0]);
  b_.transport().send(std::move(messages));
  EXPECT_THAT(second.receive_until(bytes), HasSubstr(bytes));
}

TEST_F(PeerServerTest, WhatAStreamDoesNotTakeIsBoundedAndReported) {
  TestPeer b(MemberId(0xb), impatient());
  b.start(cluster_with(b));
  net::RawClient client(b.port());
  ASSERT_TRUE(client.send(request("GET /raft/stream/msgapp/a", {})));
  ASSERT_THAT(client.receive(), StartsWith("HTTP/1.1 200"));
  // Nobody reads: the kernel's buffers fill, then ours, then messages are dropped; at last the
  // connection is cut.
  const Bytes data(64 << 10, 'x');
  for (int i = 0; i < 1000; ++i) {
    raft::Message message = message_to(MemberId(0xa), MemberId(0xb), MessageType::kApp, 1);
    message.entries.push_back({.term = Term(1), .index = Index(2), .data = data});
    std::vector<raft::Message> messages;
    messages.push_back(std::move(message));
    b.transport().send(std::move(messages));
  }
  EXPECT_TRUE(b.recorder().until("dropped a msgapp"));
  EXPECT_TRUE(b.member().until([](const auto& m) { return m.unreachable.contains(0xa); }));
  EXPECT_TRUE(b.recorder().until("lost msgapp a"));
  EXPECT_FALSE(b.transport().active_since(MemberId(0xa)).has_value());
}

TEST_F(PeerServerTest, ACallThatIsSilentIsCut) {
  TestPeer b(MemberId(0xb), impatient());
  b.start(cluster_with(b));
  net::RawClient client(b.port());
  ASSERT_TRUE(client.send("GET /raft/stream/msg"));
  EXPECT_THAT(client.receive_until_closed(), Not(HasSubstr("200")));
}

}  // namespace
}  // namespace holdfast::peer
