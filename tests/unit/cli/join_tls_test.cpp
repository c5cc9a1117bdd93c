#include <gtest/gtest.h>
#include <httplib.h>

#include <thread>

#include "datastore/cli/join.h"
#include "tests/unit/crypto/test_certificates.h"

namespace holdfast::cli {
namespace {

/// A member of a cluster with TLS, which demands a certificate of whoever asks.
class TlsPeer {
 public:
  TlsPeer(const std::string& certificate, const std::string& key, const std::string& client_ca)
      : server_(certificate.c_str(), key.c_str(), client_ca.c_str()) {
    server_.Get("/members", [](const httplib::Request&, httplib::Response& response) {
      response.set_header("X-Etcd-Cluster-ID", "fe");
      response.set_content(R"([{"id":7,"peerURLs":["https://a:1"],"name":"a"}])",
                           "application/json");
    });
    port_ = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) std::this_thread::yield();
  }
  ~TlsPeer() {
    server_.stop();
    thread_.join();
  }
  std::string url() const { return "https://127.0.0.1:" + std::to_string(port_); }

 private:
  httplib::SSLServer server_;
  int port_ = 0;
  std::thread thread_;
};

class JoinTlsTest : public ::testing::Test {
 protected:
  JoinTlsTest() : log_(telemetry::Logger::none()) {
    files_.write("server", ca_.issue({.alternative_names = {"DNS:peers.example"}}));
    files_.write("local", ca_.issue({.alternative_names = {"IP:127.0.0.1"}}));
    files_.write("client", ca_.issue({}));
    files_.write("ca.crt", ca_.pem());
    options_.peer_tls.trusted_ca_file = files_.path("ca.crt");
    options_.peer_tls.cert_file = files_.path("client.crt");
    options_.peer_tls.key_file = files_.path("client.key");
  }
  /// Whether a peer with that certificate is believed and answers.
  bool answers(const std::string& name) {
    TlsPeer peer(files_.path(name + ".crt"), files_.path(name + ".key"), files_.path("ca.crt"));
    peer::RemoteCluster::Options reach = remote_options(options_, *log_);
    if (!server_name_.empty()) reach.server_name = server_name_;
    return peer::RemoteCluster(reach).members({peer.url()}).ok();
  }

  const crypto::TestCa ca_;
  const crypto::TestFiles files_;
  std::unique_ptr<telemetry::Logger> log_;
  config::Options options_;
  std::string server_name_;
};

TEST_F(JoinTlsTest, TheCertificateMustBeForTheUrlsHost) {
  EXPECT_TRUE(answers("local"));
  EXPECT_FALSE(answers("server"));
}

TEST_F(JoinTlsTest, TheCertificateMustBeForTheServerNameIfThereIsOne) {
  server_name_ = "peers.example";
  EXPECT_TRUE(answers("server"));
  EXPECT_FALSE(answers("local"));
}

TEST_F(JoinTlsTest, CertificatesThatMembersMadeThemselvesAreTaken) {
  options_.peer_tls.auto_tls = true;
  EXPECT_TRUE(answers("server"));
}

TEST_F(JoinTlsTest, AServerOfAnotherCaIsNotBelieved) {
  options_.peer_tls.trusted_ca_file = files_.write("other.crt", crypto::TestCa("another CA").pem());
  EXPECT_FALSE(answers("local"));
}

TEST_F(JoinTlsTest, TheCertificateForClientsIsShownWhereThereIsOne) {
  const crypto::TestCa another("another CA");
  files_.write("stranger", another.issue({}));
  options_.peer_tls.client_cert_file = files_.path("stranger.crt");
  options_.peer_tls.client_key_file = files_.path("stranger.key");
  EXPECT_FALSE(answers("local"));
  options_.peer_tls.client_cert_file = options_.peer_tls.client_key_file = "";
  EXPECT_TRUE(answers("local"));
  options_.peer_tls.cert_file = options_.peer_tls.key_file = "";
  EXPECT_FALSE(answers("local"));
}

TEST_F(JoinTlsTest, FilesThatAreNotThereAreAnError) {
  options_.peer_tls.cert_file = files_.path("missing.crt");
  EXPECT_FALSE(answers("local"));
}

}  // namespace
}  // namespace holdfast::cli
