#include "datastore/peer/remote_cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <netinet/in.h>
#include <unistd.h>

#include <thread>

namespace holdfast::peer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// A member's peer port, as far as a joiner asks it.
class FakePeer {
 public:
  FakePeer() {
    port_ = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) std::this_thread::yield();
  }
  ~FakePeer() {
    server_.stop();
    thread_.join();
  }
  void serve(const std::string& path, const std::string& body, const std::string& cluster = "") {
    server_.Get(path, [=](const httplib::Request&, httplib::Response& response) {
      if (!cluster.empty()) response.set_header("X-Etcd-Cluster-ID", cluster);
      response.set_content(body, "application/json");
    });
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

 private:
  httplib::Server server_;
  int port_ = 0;
  std::thread thread_;
};

/// A port that is taken, and on which nobody listens.
class DeadPeer {
 public:
  DeadPeer() : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(bind(socket_, generic, size), 0);
    EXPECT_EQ(getsockname(socket_, generic, &size), 0);
    port_ = ntohs(address.sin_port);
  }
  ~DeadPeer() { close(socket_); }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

 private:
  const int socket_;
  int port_ = 0;
};

class RemoteClusterTest : public ::testing::Test {
 protected:
  RemoteCluster remote() {
    RemoteCluster::Options options;
    options.on_failure = [this](const std::string& url, const absl::Status&) {
      failed_.push_back(url);
    };
    return RemoteCluster(options);
  }
  FakePeer peer_;
  DeadPeer dead_;
  std::vector<std::string> failed_;
};

constexpr char kMembers[] =
    R"([{"id":18446744073709551615,"peerURLs":["http://a:1"],"name":"a","clientURLs":["http://a:2"]},)"
    R"({"id":7,"peerURLs":["http://b:1"],"isLearner":true,"name":""}])";

TEST_F(RemoteClusterTest, TheFirstUsableAnswerCounts) {
  FakePeer confused;
  confused.serve("/members", "not JSON", "1");
  FakePeer nameless;
  nameless.serve("/members", kMembers);  // without a cluster's id
  peer_.serve("/members", kMembers, "cdf818194e3a8c32");
  const std::string dead = dead_.url();
  const auto members =
      remote().members({dead, confused.url(), nameless.url(), peer_.url(), "http://never-asked:1"});
  ASSERT_TRUE(members.ok()) << members.status();
  EXPECT_EQ(members->cluster, ClusterId(0xcdf818194e3a8c32));
  EXPECT_THAT(members->members,
              ElementsAre(codec::Member{.id = MemberId(~0ULL),
                                        .peer_urls = {"http://a:1"},
                                        .name = "a",
                                        .client_urls = {"http://a:2"}},
                          codec::Member{
                              .id = MemberId(7), .peer_urls = {"http://b:1"}, .is_learner = true}));
  EXPECT_THAT(failed_, ElementsAre(dead + "/members", confused.url() + "/members",
                                   nameless.url() + "/members"));
}

TEST_F(RemoteClusterTest, NobodyThatAnswersIsSaid) {
  EXPECT_THAT(std::string(remote().members({dead_.url()}).status().message()),
              HasSubstr("could not retrieve cluster information from the given URLs"));
  EXPECT_FALSE(remote().members({}).ok());
  EXPECT_FALSE(remote().members({"ftp://a:1", "http://a", "http://a:70000"}).ok());
}

TEST_F(RemoteClusterTest, AClusterWithoutMembersIsNone) {
  peer_.serve("/members", "[]", "1");
  EXPECT_THAT(std::string(remote().members({peer_.url()}).status().message()),
              HasSubstr("failed to get raft cluster member(s) from the given URLs"));
}

TEST_F(RemoteClusterTest, AnAnswerWithoutEndIsCutOff) {
  peer_.serve("/members", std::string(RemoteCluster::kMaxAnswerBytes + 1, ' '), "1");
  EXPECT_FALSE(remote().members({peer_.url()}).ok());
}

TEST_F(RemoteClusterTest, TellsVersionAndDowngrade) {
  peer_.serve("/version", R"({"etcdserver":"3.7.1","etcdcluster":"3.7.0","storage":"3.7.0"})");
  peer_.serve("/downgrade/enabled", "true");
  const auto version = remote().version({dead_.url(), peer_.url()});
  ASSERT_TRUE(version.ok()) << version.status();
  EXPECT_EQ(version->server, "3.7.1");
  EXPECT_EQ(version->cluster, "3.7.0");
  const auto enabled = remote().downgrade_enabled({peer_.url()});
  ASSERT_TRUE(enabled.ok()) << enabled.status();
  EXPECT_TRUE(*enabled);
}

TEST_F(RemoteClusterTest, WhatItCannotReadIsAnError) {
  peer_.serve("/version", "3.7.1");
  peer_.serve("/downgrade/enabled", "etcdserver: request timed out");
  EXPECT_FALSE(remote().version({peer_.url()}).ok());
  EXPECT_FALSE(remote().downgrade_enabled({peer_.url()}).ok());
}

}  // namespace
}  // namespace holdfast::peer
