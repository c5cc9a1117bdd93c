#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "datastore/net/http1_client.h"
#include "datastore/net/text.h"
#include "datastore/net/tls_transport.h"
#include "tests/unit/crypto/test_certificates.h"
#include "tests/unit/net/client_loop.h"
#include "tests/unit/net/test_server.h"

namespace holdfast::net {
namespace {

using testing::HasSubstr;

/// A server with a certificate for localhost, and a client that trusts its CA.
class Http1ClientTls : public testing::Test {
 protected:
  Http1ClientTls() {
    settings_.endpoint = "peer";
    settings_.cert_file = files_.path("server.crt");
    settings_.key_file = files_.path("server.key");
    settings_.trusted_ca_file = files_.path("ca.crt");
    files_.write("server", ca_.issue({.alternative_names = {"DNS:localhost"}}));
    files_.write("ca.crt", ca_.pem());
    auto opened = crypto::TlsContext::open(settings_, std::make_shared<crypto::TlsObserver>());
    EXPECT_TRUE(opened.ok()) << opened.status();
    tls_ = *opened;
    ServerOptions options;
    options.connection.max_http_body_bytes = kLargeBytes;
    server_.emplace(options, Serves::kHttpOnly, true, make_tls_server_factory(tls_));
  }
  std::string url(const std::string& host) const {
    return concat("https://", host, ":", server_->port());
  }

  static constexpr std::size_t kLargeBytes = 16UL * 1024 * 1024;
  crypto::TestFiles files_;
  crypto::TestCa ca_;
  crypto::TlsSettings settings_;
  std::shared_ptr<crypto::TlsContext> tls_;
  std::optional<TestServer> server_;
};

TEST_F(Http1ClientTls, FetchesOverOneConnection) {
  ClientLoop client(url("localhost"), {}, make_tls_client_factory(tls_));
  for (int i = 0; i < 3; ++i) {
    const auto answer = client.fetch({.target = "/big"});
    ASSERT_TRUE(answer.ok()) << answer.status();
    EXPECT_EQ(answer->body, std::string(1024 * 1024, 'b'));
  }
  EXPECT_EQ(server_->server().connection_count(), 1U);
}

TEST_F(Http1ClientTls, CarriesMuchBothWays) {
  ClientLoop client(url("localhost"), {}, make_tls_client_factory(tls_));
  const auto answer =
      client.fetch({.method = "POST", .target = "/echo", .body = Bytes(kLargeBytes, 'x')});
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_TRUE(answer->body == Bytes(kLargeBytes, 'x'));
}

TEST_F(Http1ClientTls, ServerOfAnotherNameIsNotSpokenTo) {
  ClientLoop client(url("127.0.0.1"), {}, make_tls_client_factory(tls_));
  const auto answer = client.fetch({.target = "/"});
  EXPECT_EQ(answer.status().code(), absl::StatusCode::kUnavailable);
  const std::string why(from_absl(answer.status().message()));
  EXPECT_THAT(why, HasSubstr(url("127.0.0.1")));
  EXPECT_THAT(why, HasSubstr("TLS handshake failed"));
}

TEST_F(Http1ClientTls, PlainServerIsUnavailable) {
  TestServer plain;
  ClientLoop client(concat("https://127.0.0.1:", plain.port()), {}, make_tls_client_factory(tls_));
  EXPECT_EQ(client.fetch({}).status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(Http1ClientTls, SilentServerMeetsTheDialLimit) {
  ScriptedServer silent(1, [](int fd, const std::string&) { wait_for_close(fd); });
  ClientLoop client(concat("https://127.0.0.1:", silent.port()), {}, make_tls_client_factory(tls_));
  const auto answer = client.fetch({}, {.dial = std::chrono::milliseconds(50)});
  EXPECT_EQ(answer.status().code(), absl::StatusCode::kDeadlineExceeded) << answer.status();
}

}  // namespace
}  // namespace holdfast::net
