#include "datastore/cli/join.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <thread>

#include "absl/strings/str_cat.h"
#include "datastore/base/errors.h"
#include "datastore/cli/first_start.h"
#include "datastore/node/identity.h"

namespace holdfast::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string why(const absl::Status& status) {
  return std::string(status.message());
}

config::AddressLookup names(std::map<std::string, std::string> known) {
  config::AddressLookup lookup;
  lookup.resolve = [known](const std::string& host) -> absl::StatusOr<std::string> {
    const auto found = known.find(host);
    if (found == known.end()) return absl::UnavailableError("no such host " + host);
    return found->second;
  };
  lookup.patience = std::chrono::nanoseconds(0);
  return lookup;
}

codec::Member remote_member(std::uint64_t id, std::vector<std::string> urls) {
  return {.id = MemberId(id), .peer_urls = std::move(urls)};
}

// --- who is who ---------------------------------------------------------------------------------

class MatchMembersTest : public ::testing::Test {
 protected:
  absl::StatusOr<MemberId> match(const std::string& initial_cluster,
                                 std::vector<codec::Member> members) {
    config::AddressMatcher matcher(names({{"c.example", "10.0.0.3"}}));
    return match_members(*config::parse_initial_cluster(initial_cluster), "c",
                         {ClusterId(0xfe), std::move(members)}, matcher);
  }
};

TEST_F(MatchMembersTest, FindsItselfByItsUrls) {
  const auto self =
      match("a=http://10.0.0.1:1,b=http://10.0.0.2:1,c=http://10.0.0.3:1",
            {remote_member(7, {"http://10.0.0.1:1"}), remote_member(8, {"http://10.0.0.3:1"}),
             remote_member(9, {"http://10.0.0.2:1"})});
  ASSERT_TRUE(self.ok()) << self.status();
  EXPECT_EQ(*self, MemberId(8));
}

TEST_F(MatchMembersTest, FindsItselfByTheAddressOfItsName) {
  const auto self = match("a=http://nobody-resolves-this:1,c=http://c.example:1",
                          {remote_member(7, {"http://nobody-resolves-this:1"}),
                           remote_member(8, {"http://10.0.0.3:1"})});
  ASSERT_TRUE(self.ok()) << self.status();
  EXPECT_EQ(*self, MemberId(8));
}

TEST_F(MatchMembersTest, TheNumberOfMembersMustBeEqual) {
  EXPECT_THAT(why(match("c=http://10.0.0.3:1", {remote_member(7, {"http://10.0.0.1:1"}),
                                                remote_member(8, {"http://10.0.0.3:1"})})
                      .status()),
              HasSubstr("error validating peerURLs {ClusterID:fe Members:[{ID:7 "
                        "PeerURLs:[http://10.0.0.1:1]} {ID:8 PeerURLs:[http://10.0.0.3:1]}]}: "
                        "member count is unequal"));
}

TEST_F(MatchMembersTest, AMemberThatNobodyNamesIsSaid) {
  EXPECT_THAT(why(match("a=http://10.0.0.9:1,c=http://10.0.0.3:1",
                        {remote_member(0xa7, {"http://10.0.0.1:1", "http://10.0.0.1:2"}),
                         remote_member(8, {"http://10.0.0.3:1"})})
                      .status()),
              HasSubstr("PeerURLs: no match found for existing member (a7, [http://10.0.0.1:1 "
                        "http://10.0.0.1:2]), last resolver error (len("));
}

// --- against peers ------------------------------------------------------------------------------

class FirstStartTest : public ::testing::Test {
 protected:
  FirstStartTest() : log_(telemetry::Logger::none()) {
    port_ = server_.bind_to_any_port("127.0.0.1");
    for (const char* path : {"/members", "/version", "/downgrade/enabled"}) {
      server_.Get(path, [this, path](const httplib::Request&, httplib::Response& response) {
        response.set_header("X-Etcd-Cluster-ID", "fe");
        response.set_content(answers_[path], "application/json");
      });
    }
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) std::this_thread::yield();
    peer_ = "http://127.0.0.1:" + std::to_string(port_);
    options_.name = "b";
    options_.initial_cluster = "a=" + peer_ + ",b=http://127.0.0.1:1";
    options_.initial_advertise_peer_urls = {{"http", "127.0.0.1", "1"}};
    options_.initial_cluster_state = "existing";
    answers_["/members"] = R"([{"id":7,"peerURLs":[")" + peer_ +
                           R"("],"name":"a"},{"id":8,"peerURLs":["http://127.0.0.1:1"],)" +
                           R"("isLearner":true,"name":""}])";
    answers_["/version"] = R"({"etcdserver":"3.7.1","etcdcluster":"3.6.0"})";
    answers_["/downgrade/enabled"] = "false";
  }
  ~FirstStartTest() override {
    server_.stop();
    thread_.join();
  }

  absl::Status find() {
    out_ = {};
    return find_cluster(options_, *log_, out_, {.addresses = names({})});
  }

  httplib::Server server_;
  int port_ = 0;
  std::thread thread_;
  std::map<std::string, std::string> answers_;
  std::string peer_;
  config::Options options_;
  std::unique_ptr<telemetry::Logger> log_;
  node::BootstrapOptions out_;
};

TEST_F(FirstStartTest, AJoinerTakesItsIdentityFromTheCluster) {
  ASSERT_TRUE(find().ok()) << find();
  ASSERT_TRUE(out_.join.has_value());
  EXPECT_EQ(out_.join->self, MemberId(8));
  EXPECT_EQ(out_.join->cluster, ClusterId(0xfe));
  ASSERT_EQ(out_.join->members.size(), 2u);
  EXPECT_EQ(out_.join->members[0].name, "a");
  EXPECT_TRUE(out_.join->members[1].is_learner);
}

TEST_F(FirstStartTest, AJoinerKeepsOutOfAClusterOfAnotherVersion) {
  answers_["/version"] = R"({"etcdserver":"3.8.0","etcdcluster":"3.8.0"})";
  EXPECT_THAT(why(find()), HasSubstr("incompatible with current running cluster: its version is "
                                     "3.8.0, and this release joins clusters of versions 3.0 to "
                                     "3.7"));
  answers_["/version"] = R"({"etcdserver":"2.3.0","etcdcluster":"2.3.0"})";
  EXPECT_THAT(why(find()), HasSubstr("incompatible"));
  answers_["/version"] = R"({"etcdserver":"3.7.1","etcdcluster":"not_decided"})";
  EXPECT_THAT(why(find()), HasSubstr("no member told its cluster version"));
}

TEST_F(FirstStartTest, ADowngradingClusterTakesMembersOfTheVersionItGoesTo) {
  answers_["/downgrade/enabled"] = "true";
  for (const char* agreed : {"3.7.0", "3.8.0"}) {
    answers_["/version"] = absl::StrCat(R"({"etcdserver":"3.8.0","etcdcluster":")", agreed, "\"}");
    EXPECT_TRUE(find().ok()) << find();
  }
  for (const char* agreed : {"3.6.0", "3.9.0"}) {
    answers_["/version"] = absl::StrCat(R"({"etcdserver":"3.9.0","etcdcluster":")", agreed, "\"}");
    EXPECT_THAT(why(find()), HasSubstr("joins clusters of versions 3.7 to 3.8"));
  }
}

TEST_F(FirstStartTest, MoreLearnersThanConfiguredAreRefused) {
  options_.max_learners = 0;
  EXPECT_EQ(find(), errors::too_many_learners());
}

TEST_F(FirstStartTest, NobodyToAskIsSaid) {
  options_.initial_cluster = "b=http://127.0.0.1:1";
  EXPECT_THAT(why(find()), HasSubstr("cannot fetch cluster info from peer urls: could not retrieve "
                                     "cluster information from the given URLs"));
}

TEST_F(FirstStartTest, ANewClusterBeginsWhenItsMembersHaveNotRun) {
  options_.initial_cluster_state = "new";
  ASSERT_TRUE(find().ok()) << find();
  EXPECT_FALSE(out_.join.has_value());
  ASSERT_EQ(out_.initial_cluster.size(), 2u);
  EXPECT_EQ(out_.initial_cluster[1].name, "b");
  EXPECT_EQ(out_.initial_cluster_token, "etcd-cluster");
  EXPECT_EQ(out_.name, "b");
}

TEST_F(FirstStartTest, AClusterDoesNotBeginTwice) {
  options_.initial_cluster_state = "new";
  const std::uint64_t self =
      node::static_member_id({"http://127.0.0.1:1"}, options_.initial_cluster_token).value;
  const auto listed = [&](const std::string& client_urls) {
    answers_["/members"] = R"([{"id":)" + std::to_string(self) +
                           R"(,"peerURLs":["http://127.0.0.1:1"],"name":"b")" + client_urls + "}]";
  };
  listed("");
  EXPECT_TRUE(find().ok()) << find();
  listed(R"(,"clientURLs":["http://127.0.0.1:2"])");
  EXPECT_THAT(why(find()),
              HasSubstr("member " + node::to_hex(self) + " has already been bootstrapped"));
}

/// Answers as a discovery service would that needs one member.
class OneMemberRegistry final : public Registry {
 public:
  absl::StatusOr<std::vector<Entry>> read(const std::string& key) override {
    return std::vector<Entry>{{key, "1", 1}};
  }
  absl::StatusOr<std::vector<Entry>> read_prefix(const std::string&) override { return entries_; }
  absl::Status put(const std::string& key, const std::string& value) override {
    entries_ = {{key, value, 2}};
    return absl::OkStatus();
  }

 private:
  std::vector<Entry> entries_;
};

TEST_F(FirstStartTest, TheDiscoveryTokenIsTheClusters) {
  options_.initial_cluster.clear();
  options_.initial_cluster_state = "new";
  options_.discovery.token = "tok";
  options_.discovery.endpoints = {"http://127.0.0.1:1"};
  FirstStartPorts ports;
  ports.registry =
      [](const config::DiscoveryOptions&) -> absl::StatusOr<std::unique_ptr<Registry>> {
    return std::make_unique<OneMemberRegistry>();
  };
  const absl::Status status = find_cluster(options_, *log_, out_, ports);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(out_.initial_cluster_token, "tok");
  ASSERT_EQ(out_.initial_cluster.size(), 1u);
  EXPECT_THAT(out_.initial_cluster[0].peer_urls, ElementsAre("http://127.0.0.1:1"));
  options_.initial_cluster_state = "existing";
  EXPECT_THAT(why(find_cluster(options_, *log_, out_, ports)),
              HasSubstr("discovery URL should not be set when joining existing"));
}

TEST_F(FirstStartTest, DnsNamesTheMembers) {
  options_.initial_cluster.clear();
  options_.initial_cluster_state = "new";
  options_.discovery.srv = "example.com";
  FirstStartPorts ports{.addresses = names({})};
  ports.srv = [](const std::string& name) -> absl::StatusOr<std::vector<SrvRecord>> {
    if (name != "_etcd-server._tcp.example.com") return absl::NotFoundError(name);
    return std::vector<SrvRecord>{{0, 0, 1, "127.0.0.1"}, {0, 0, 2, "127.0.0.1"}};
  };
  const absl::Status status = find_cluster(options_, *log_, out_, ports);
  ASSERT_TRUE(status.ok()) << status;
  ASSERT_EQ(out_.initial_cluster.size(), 2u);
  EXPECT_EQ(out_.initial_cluster[1].name, "b");
}

TEST_F(FirstStartTest, NothingIsAskedBeforeTheSettingsFitTogether) {
  options_.name = "x";
  EXPECT_THAT(why(find()), HasSubstr("couldn't find local name \"x\""));
  EXPECT_TRUE(out_.initial_cluster.empty());
}

}  // namespace
}  // namespace holdfast::cli
