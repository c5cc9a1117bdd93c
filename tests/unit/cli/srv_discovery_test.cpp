#include "datastore/cli/srv_discovery.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <thread>

namespace holdfast::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string why(const absl::Status& status) {
  return std::string(status.message());
}

// --- the wire -----------------------------------------------------------------------------------

/// A name as DNS writes it: each label behind its length.
std::string dns_name(const std::string& name) {
  std::string out;
  std::size_t begin = 0;
  while (begin < name.size()) {
    const std::size_t end = std::min(name.find('.', begin), name.size());
    out += static_cast<char>(end - begin);
    out += name.substr(begin, end - begin);
    begin = end + 1;
  }
  return out + '\0';
}

std::string be16(std::uint16_t number) {
  return {static_cast<char>(number >> 8), static_cast<char>(number & 0xff)};
}

/// Answers every query by UDP with the SRV records of the name asked for.
class TinyDns {
 public:
  explicit TinyDns(std::map<std::string, std::vector<SrvRecord>> zone)
      : zone_(std::move(zone)), socket_(socket(AF_INET, SOCK_DGRAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(bind(socket_, generic, sizeof address), 0);
    socklen_t size = sizeof address;
    EXPECT_EQ(getsockname(socket_, generic, &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~TinyDns() {
    stop_ = true;
    thread_.join();
    close(socket_);
  }
  DnsOptions options() const {
    return {
        .server_address = "127.0.0.1", .server_port = port_, .timeout = std::chrono::seconds(1)};
  }
  /// Answers that end in the middle of a record.
  std::atomic<bool> cuts_answers{false};

 private:
  void serve() {
    while (!stop_) {
      pollfd ready{socket_, POLLIN, 0};
      if (poll(&ready, 1, 20) <= 0) continue;
      char buffer[512];
      sockaddr_in from{};
      socklen_t size = sizeof from;
      auto* const peer = reinterpret_cast<sockaddr*>(&from);
      const ssize_t bytes = recvfrom(socket_, buffer, sizeof buffer, 0, peer, &size);
      if (bytes <= 12) continue;
      const std::string reply = answer(std::string(buffer, static_cast<std::size_t>(bytes)));
      sendto(socket_, reply.data(), reply.size(), 0, peer, size);
    }
  }

  std::string answer(const std::string& query) const {
    const std::size_t question_end = query.find('\0', 12) + 5;  // name, type, class
    const std::string question = query.substr(12, question_end - 12);
    for (const auto& [name, records] : zone_) {
      if (dns_name(name) + be16(33) + be16(1) != question) continue;
      std::string reply = query.substr(0, 2) + be16(0x8580) + be16(1) +
                          be16(static_cast<std::uint16_t>(records.size())) + be16(0) + be16(0) +
                          question;
      for (const SrvRecord& record : records) {
        const std::string data = be16(record.priority) + be16(record.weight) + be16(record.port) +
                                 dns_name(record.target);
        reply += be16(0xc00c) + be16(33) + be16(1) + be16(0) + be16(60) +
                 be16(static_cast<std::uint16_t>(data.size())) + data;
      }
      if (cuts_answers) reply.resize(reply.size() - 3);
      return reply;
    }
    return query.substr(0, 2) + be16(0x8583) + be16(1) + be16(0) + be16(0) + be16(0) + question;
  }

  const std::map<std::string, std::vector<SrvRecord>> zone_;
  const int socket_;
  std::uint16_t port_ = 0;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

TEST(LookupSrv, ReadsTheRecordsInOrder) {
  TinyDns dns({{"_etcd-server._tcp.example.com",
                {{10, 0, 2380, "c.example.com"},
                 {0, 5, 2380, "b.example.com"},
                 {0, 5, 2379, "b.example.com"}}}});
  const auto records = lookup_srv("_etcd-server._tcp.example.com", dns.options());
  ASSERT_TRUE(records.ok()) << records.status();
  EXPECT_THAT(*records, ElementsAre(SrvRecord{0, 5, 2379, "b.example.com"},
                                    SrvRecord{0, 5, 2380, "b.example.com"},
                                    SrvRecord{10, 0, 2380, "c.example.com"}));
}

TEST(LookupSrv, TellsNoSuchNameFromNoAnswer) {
  TinyDns dns({{"_empty._tcp.example.com", std::vector<SrvRecord>()}});
  EXPECT_TRUE(absl::IsNotFound(lookup_srv("_none._tcp.example.com", dns.options()).status()));
  EXPECT_TRUE(absl::IsNotFound(lookup_srv("_empty._tcp.example.com", dns.options()).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(lookup_srv("a", {.server_address = "nowhere"}).status()));
}

TEST(LookupSrv, AnAnswerCutShortIsNone) {
  TinyDns dns({{"_x._tcp.example.com", {{0, 0, 1, "b.example.com"}}}});
  dns.cuts_answers = true;
  EXPECT_FALSE(lookup_srv("_x._tcp.example.com", dns.options()).ok());
}

// --- the rules ----------------------------------------------------------------------------------

class SrvDiscoveryTest : public ::testing::Test {
 protected:
  SrvDiscoveryTest() : log_(telemetry::Logger::none()) {
    options_.name = "me";
    options_.discovery.srv = "example.com";
    options_.initial_advertise_peer_urls = {{"http", "b.example.com", "2380"}};
    addresses_ = {{"a.example.com", "10.0.0.1"}, {"b.example.com", "10.0.0.2"}};
  }
  absl::StatusOr<std::vector<config::ClusterMember>> discover() {
    config::AddressLookup lookup;
    lookup.resolve = [this](const std::string& host) -> absl::StatusOr<std::string> {
      const auto found = addresses_.find(host);
      if (found == addresses_.end()) return absl::UnavailableError("no such host " + host);
      return found->second;
    };
    const LookupSrv srv =
        [this](const std::string& name) -> absl::StatusOr<std::vector<SrvRecord>> {
      const auto found = zone_.find(name);
      if (found == zone_.end()) return absl::NotFoundError("lookup " + name + ": Unknown host");
      return found->second;
    };
    return discover_by_srv(options_, srv, lookup, *log_);
  }
  std::string text() {
    const auto members = discover();
    return members.ok() ? config::initial_cluster_text(*members) : why(members.status());
  }

  config::Options options_;
  std::map<std::string, std::string> addresses_;
  std::map<std::string, std::vector<SrvRecord>> zone_;
  std::unique_ptr<telemetry::Logger> log_;
};

TEST_F(SrvDiscoveryTest, TheMemberAtAnAdvertisedAddressIsThisOne) {
  zone_["_etcd-server._tcp.example.com"] = {
      {0, 0, 2380, "a.example.com"}, {0, 0, 2380, "b.example.com"}, {0, 0, 2381, "b.example.com"}};
  EXPECT_EQ(text(),
            "0=http://a.example.com:2380,1=http://b.example.com:2381,me=http://b.example.com:2380");
  options_.initial_advertise_peer_urls = {{"http", "10.0.0.2", "2380"}};
  EXPECT_THAT(text(), HasSubstr("me=http://b.example.com:2380"));
}

TEST_F(SrvDiscoveryTest, TheServiceWithTlsIsOfHttps) {
  options_.initial_advertise_peer_urls = {{"https", "b.example.com", "2380"}};
  options_.discovery.srv_name = "east";
  zone_["_etcd-server-ssl-east._tcp.example.com"] = {{0, 0, 2380, "a.example.com"},
                                                     {0, 0, 2380, "b.example.com"}};
  EXPECT_EQ(text(), "0=https://a.example.com:2380,me=https://b.example.com:2380");
}

TEST_F(SrvDiscoveryTest, AnotherSchemeAtAnOwnAddressIsAMistake) {
  zone_["_etcd-server-ssl._tcp.example.com"] = {{0, 0, 2380, "b.example.com"}};
  EXPECT_THAT(text(), HasSubstr("bootstrap at https://b.example.com:2380 from DNS for "
                                "etcd-server-ssl has scheme mismatch with expected peer "
                                "http://b.example.com:2380"));
}

TEST_F(SrvDiscoveryTest, WhoIsNotAmongThemIsSaid) {
  zone_["_etcd-server._tcp.example.com"] = {{0, 0, 2380, "a.example.com"}};
  EXPECT_THAT(text(), HasSubstr("cannot find local etcd member \"me\" in SRV records"));
}

TEST_F(SrvDiscoveryTest, NoRecordsAreSaidOfBothServices) {
  EXPECT_THAT(text(), HasSubstr("error querying DNS SRV records for _etcd-server-ssl lookup "
                                "_etcd-server-ssl._tcp.example.com"));
  EXPECT_THAT(text(), HasSubstr("error querying DNS SRV records for _etcd-server lookup"));
}

TEST_F(SrvDiscoveryTest, ATargetWithoutAnAddressIsPassedOver) {
  zone_["_etcd-server._tcp.example.com"] = {{0, 0, 2380, "gone.example.com"},
                                            {0, 0, 2380, "b.example.com"}};
  EXPECT_EQ(text(), "me=http://b.example.com:2380");
}

TEST_F(SrvDiscoveryTest, AnOwnNameWithoutAnAddressStopsIt) {
  addresses_.erase("b.example.com");
  EXPECT_EQ(text(), "no such host b.example.com");
}

}  // namespace
}  // namespace holdfast::cli
