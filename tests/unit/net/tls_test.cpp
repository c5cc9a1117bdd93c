#include "datastore/net/tls_transport.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <condition_variable>
#include <future>
#include <mutex>
#include <thread>

#include "datastore/net/name_check.h"
#include "datastore/net/text.h"
#include "tests/unit/crypto/test_certificates.h"
#include "tests/unit/net/test_client.h"
#include "tests/unit/net/test_server.h"

namespace holdfast::net {
namespace {

using crypto::TestCa;
using crypto::TestCertificate;
using crypto::TestFiles;
using crypto::TestIdentity;
using crypto::TlsContext;
using crypto::TlsFailure;
using crypto::TlsRole;
using crypto::TlsSettings;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

/// "server expired CN=late: the certificate …" for each failure, "dropped …" for each drop.
class TlsRecorder final : public crypto::TlsObserver {
 public:
  void handshake_failed(const TlsSettings&, TlsRole role, std::string_view, std::string_view,
                        const TlsFailure& failure) override {
    record(role == TlsRole::kServer ? "server" : "client", failure);
  }
  void connection_dropped(const TlsSettings&, std::string_view,
                          const TlsFailure& failure) override {
    record("dropped", failure);
  }
  /// The first line, once there is one; empty after ten seconds.
  std::string first() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(10), [this] { return !lines_.empty(); });
    return lines_.empty() ? std::string() : lines_.front();
  }
  std::size_t count() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return lines_.size();
  }

 private:
  void record(std::string_view what, const TlsFailure& failure) {
    const std::lock_guard<std::mutex> lock(mutex_);
    lines_.push_back(concat(what, " ", crypto::tls_reason_name(failure.reason), " ",
                            failure.certificate.subject, ": ", failure.text));
    changed_.notify_all();
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> lines_;
};

/// A server with certificates of its own making, and clients with others.
class TlsTest : public testing::Test {
 protected:
  TlsTest() {
    settings.endpoint = "client";
    settings.cert_file = files.path("server.crt");
    settings.key_file = files.path("server.key");
    files.write("server", ca.issue({.common_name = "server"}));
    files.write("ca.crt", ca.pem());
  }
  void demand_certificates() { settings.trusted_ca_file = files.path("ca.crt"); }

  std::shared_ptr<TlsContext> open(const TlsSettings& wanted) {
    absl::StatusOr<std::shared_ptr<TlsContext>> opened = TlsContext::open(wanted, told);
    EXPECT_TRUE(opened.ok()) << opened.status();
    return *opened;
  }
  void serve(const ServerOptions& options = {}) {
    tls = open(settings);
    server = std::make_unique<TestServer>(options, Serves::kGrpcAndHttp, true,
                                          make_tls_server_factory(tls));
  }
  /// What a client trusts, offers and shows.
  crypto::SslContextPtr client(const std::string& alpn, const TestIdentity* shown = nullptr) {
    crypto::SslContextPtr context(SSL_CTX_new(TLS_client_method()));
    if (!alpn.empty()) {
      SSL_CTX_set_alpn_protos(context.get(), reinterpret_cast<const unsigned char*>(alpn.data()),
                              static_cast<unsigned int>(alpn.size()));
    }
    if (shown != nullptr) {
      const auto chain = crypto::parse_certificates(shown->certificate_pem, "shown");
      const auto key = crypto::parse_private_key(shown->key_pem, "shown");
      SSL_CTX_use_certificate(context.get(), chain->front().get());
      SSL_CTX_use_PrivateKey(context.get(), key->get());
    }
    return context;
  }
  crypto::SslContextPtr client(const TestIdentity& shown) { return client("", &shown); }

  static std::string get(RawClient& client, const std::string& path = "/x") {
    client.send(concat("GET ", path, " HTTP/1.1\r\nhost: h\r\n\r\n"));
    return client.receive_until("\r\n\r\n");
  }

  TestFiles files;
  TestCa ca;
  TlsSettings settings;
  std::shared_ptr<TlsRecorder> told = std::make_shared<TlsRecorder>();
  std::shared_ptr<TlsContext> tls;
  std::unique_ptr<TestServer> server;
};

const std::string kH2 = "\x02h2";
const std::string kHttp1 = "\x08http/1.1";

TEST_F(TlsTest, AlpnDecidesBetweenHttp1AndHttp2) {
  serve();
  const auto http1 = client(kHttp1);
  RawClient first(server->port(), http1.get());
  EXPECT_EQ(first.protocol(), "http/1.1");
  EXPECT_THAT(get(first), StartsWith("HTTP/1.1 200"));

  const auto either = client(kHttp1 + kH2);  // the server's preference counts
  H2Client second(server->port(), 65'535, either.get());
  EXPECT_EQ(second.socket().protocol(), "h2");
  EXPECT_THAT(second.unary("/t.T/Echo", "hello").messages(), testing::ElementsAre("hello"));
}

TEST_F(TlsTest, WithoutAlpnTheFirstBytesDecide) {
  serve();
  const auto none = client("");
  RawClient first(server->port(), none.get());
  EXPECT_THAT(get(first), StartsWith("HTTP/1.1 200"));
  H2Client second(server->port(), 65'535, none.get());
  EXPECT_THAT(second.unary("/t.T/Echo", "hello").messages(), testing::ElementsAre("hello"));
}

TEST_F(TlsTest, AProtocolThatIsNotSpokenIsRefused) {
  serve();
  const auto other = client("\x04xmpp");
  const RawClient refused(server->port(), other.get());
  EXPECT_THAT(refused.tls_error(), HasSubstr("no application protocol"));
}

TEST_F(TlsTest, MovesMuchInBothDirections) {
  serve();
  const auto context = client(kH2);
  constexpr std::size_t kBytes = 1'500'000;
  const std::string big(kBytes, 'q');
  H2Client h2(server->port(), 1 << 24, context.get());
  EXPECT_EQ(h2.unary("/t.T/Echo", big).messages().front(), big);
  const auto plain = client(kHttp1);
  RawClient http1(server->port(), plain.get());
  http1.send(concat("POST /echo HTTP/1.1\r\nhost: h\r\ncontent-length: ", kBytes, "\r\n\r\n"));
  http1.send(big);
  std::string all;
  while (all.size() < kBytes) {
    const std::string more = http1.receive();
    if (more.empty()) break;
    all += more;
  }
  EXPECT_TRUE(all.ends_with(big));
}

TEST_F(TlsTest, APeerThatTakesNothingIsSentTheRestLater) {
  serve();
  const auto context = client(kHttp1);
  RawClient slow(server->port(), context.get());
  slow.send("GET /big HTTP/1.1\r\nhost: h\r\n\r\n");
  // The socket's buffers fill before the first byte is read; what was refused then comes whole.
  std::string all;
  while (all.find("\r\n0\r\n\r\n") == std::string::npos) {
    const std::string more = slow.receive();
    if (more.empty()) break;
    all += more;
  }
  EXPECT_EQ(std::count(all.begin(), all.end(), 'b'), 16 * 64 * 1024);
}

TEST_F(TlsTest, EachWrongClientCertificateIsToldByNameAndReason) {
  demand_certificates();
  using std::chrono::hours;
  const TestCa stranger("stranger CA");
  const std::vector<std::tuple<TestIdentity, std::string>> wrong = {
      {ca.issue({.common_name = "late", .valid_from = -hours(2), .valid_until = -hours(1)}),
       "server expired CN=late: the certificate \"CN=late\" expired at "},
      {ca.issue({.common_name = "early", .valid_from = hours(1), .valid_until = hours(2)}),
       "server not_yet_valid CN=early: the certificate \"CN=early\" is not valid before "},
      {ca.issue({.common_name = "web", .usages = "serverAuth"}),
       "server wrong_usage CN=web: the certificate \"CN=web\" is for servers only"},
      {stranger.issue({.common_name = "spy"}),
       "server untrusted CN=spy: the certificate \"CN=spy\" is not trusted: "},
  };
  for (const auto& [identity, line] : wrong) {
    told = std::make_shared<TlsRecorder>();
    serve();
    const auto context = client(identity);
    RawClient refused(server->port(), context.get());
    get(refused);
    EXPECT_THAT(refused.tls_error(), HasSubstr("alert")) << line;  // not just reset
    EXPECT_THAT(told->first(), StartsWith(line));
  }
}

TEST_F(TlsTest, AClientWithoutTheCertificateDemandedIsToldOf) {
  demand_certificates();
  serve();
  const auto context = client("");
  RawClient refused(server->port(), context.get());
  get(refused);
  EXPECT_THAT(told->first(), StartsWith("server missing"));
}

TEST_F(TlsTest, PlainHttpAndGarbageOnATlsPortAreTold) {
  serve();
  RawClient plain(server->port());
  plain.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n");
  plain.receive_until_closed();
  EXPECT_THAT(told->first(), StartsWith("server protocol : a plain HTTP request"));
}

TEST_F(TlsTest, TheOldestVersionsAreRefused) {
  serve();
  const auto context = client("");
  SSL_CTX_set_max_proto_version(context.get(), TLS1_1_VERSION);
  SSL_CTX_set_security_level(context.get(), 0);
  const RawClient refused(server->port(), context.get());
  EXPECT_NE(refused.tls_error(), "");
}

TEST_F(TlsTest, AMutedHandshakeHoldsUpNobodyAndEnds) {
  serve({.connection = {.sniff_timeout = std::chrono::milliseconds(200)}});
  RawClient mute(server->port());
  mute.send("\x16\x03\x01");
  const auto context = client(kHttp1);
  RawClient other(server->port(), context.get());
  EXPECT_THAT(get(other), StartsWith("HTTP/1.1 200"));
  mute.receive_until_closed();
  EXPECT_THAT(told->first(), StartsWith("server timed_out"));
}

TEST_F(TlsTest, BeyondTheBoundTheOldestHandshakeGivesWay) {
  serve({.max_loop_handshakes = 2});
  RawClient first(server->port());
  RawClient second(server->port());
  RawClient third(server->port());
  first.receive_until_closed();
  EXPECT_TRUE(server->recorder().wait_for("closed its handshake gave way to others"));
  const auto context = client(kHttp1);
  RawClient honest(server->port(), context.get());
  EXPECT_THAT(get(honest), StartsWith("HTTP/1.1 200"));
}

TEST_F(TlsTest, OnePortServesPlainAndTlsInASwitchOver) {
  tls = open(settings);
  server = std::make_unique<TestServer>(ServerOptions{}, Serves::kGrpcAndHttp, true,
                                        make_plain_or_tls_server_factory(tls));
  RawClient plain(server->port());
  EXPECT_THAT(get(plain), StartsWith("HTTP/1.1 200"));
  H2Client plain_h2(server->port());
  EXPECT_THAT(plain_h2.unary("/t.T/Echo", "a").messages(), testing::ElementsAre("a"));
  const auto context = client(kH2);
  H2Client secure(server->port(), 65'535, context.get());
  EXPECT_THAT(secure.unary("/t.T/Echo", "b").messages(), testing::ElementsAre("b"));
}

TEST_F(TlsTest, ANewLeafServesNewConnectionsAndEndsNone) {
  serve();
  const auto context = client(kHttp1);
  RawClient early(server->port(), context.get());
  EXPECT_THAT(get(early), StartsWith("HTTP/1.1 200"));
  files.write("server", ca.issue({.common_name = "renewed"}));
  ASSERT_EQ(tls->reload(std::chrono::system_clock::now()), TlsContext::Reload::kReloaded);
  EXPECT_THAT(get(early), StartsWith("HTTP/1.1 200"));
  RawClient later(server->port(), context.get());
  EXPECT_THAT(get(later), StartsWith("HTTP/1.1 200"));
  EXPECT_EQ(told->count(), 0u);
}

TEST_F(TlsTest, ANewBundleEndsOnlyThoseItDoesNotVouchFor) {
  const TestCa second("second CA");
  files.write("ca.crt", ca.pem() + second.pem());
  demand_certificates();
  serve();
  const auto of_first = client(ca.issue({.common_name = "old"}));
  const auto of_second = client(second.issue({.common_name = "new"}));
  RawClient old_client(server->port(), of_first.get());
  RawClient new_client(server->port(), of_second.get());
  EXPECT_THAT(get(old_client), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(get(new_client), StartsWith("HTTP/1.1 200"));

  files.write("ca.crt", second.pem());
  ASSERT_EQ(tls->reload(std::chrono::system_clock::now()), TlsContext::Reload::kTrustChanged);
  ASSERT_TRUE(tls->enforce_trust());
  server->server().recheck_connections();
  old_client.receive_until_closed();  // though it sent nothing
  EXPECT_THAT(told->first(), StartsWith("dropped untrusted CN=old"));
  EXPECT_THAT(get(new_client), StartsWith("HTTP/1.1 200"));
  EXPECT_EQ(told->count(), 1u);
}

TEST_F(TlsTest, WhoWillNotBeVouchedForIsToldToGoAndFinishesItsCalls) {
  const TestCa second("second CA");
  files.write("ca.crt", ca.pem() + second.pem());
  settings.drop_grace = std::chrono::hours(1);
  demand_certificates();
  serve();
  const TestIdentity former = ca.issue({.common_name = "old"});
  const TestIdentity latter = second.issue({.common_name = "new"});
  const auto of_first = client(kH2, &former);
  const auto of_second = client(kH2, &latter);
  H2Client old_client(server->port(), 65'535, of_first.get());
  H2Client new_client(server->port(), 65'535, of_second.get());
  const std::int32_t chat = old_client.open_call("/t.T/Chat");
  old_client.send(chat, framed("before"));
  ASSERT_TRUE(old_client.run_until([&] { return !old_client.reply(chat).body.empty(); }));

  files.write("ca.crt", second.pem());
  ASSERT_EQ(tls->reload(std::chrono::system_clock::now()), TlsContext::Reload::kTrustChanged);
  server->server().retire_connections();
  ASSERT_TRUE(old_client.run_until([&] { return old_client.goaways.size() == 2; }));
  EXPECT_EQ(old_client.goaways[0].second, NGHTTP2_NO_ERROR);
  old_client.send(chat, framed("after"), true);
  ASSERT_TRUE(old_client.run_until_closed(chat));
  EXPECT_EQ(old_client.reply(chat).at("grpc-status"), "0");
  EXPECT_THAT(new_client.unary("/t.T/Echo", "b").messages(), testing::ElementsAre("b"));
  EXPECT_TRUE(new_client.goaways.empty());
  EXPECT_THAT(told->first(), StartsWith("dropped untrusted CN=old"));
  EXPECT_EQ(told->count(), 1u);
}

TEST_F(TlsTest, ARequestOnAConnectionNoLongerTrustedIsNotServed) {
  demand_certificates();
  serve();
  const auto context = client(ca.issue({.common_name = "old"}));
  RawClient old_client(server->port(), context.get());
  EXPECT_THAT(get(old_client), StartsWith("HTTP/1.1 200"));
  files.write("ca.crt", TestCa("other CA").pem());
  ASSERT_EQ(tls->reload(std::chrono::system_clock::now()), TlsContext::Reload::kTrustChanged);
  ASSERT_TRUE(tls->enforce_trust());
  EXPECT_EQ(get(old_client), "");
}

TEST_F(TlsTest, AClientCertificateMustNameTheAddressThatShowsIt) {
  demand_certificates();
  settings.check_client_address = true;
  const std::vector<std::tuple<std::vector<std::string>, std::string>> cases = {
      {{"IP:127.0.0.1"}, ""},
      {std::vector<std::string>(), ""},
      {{"IP:10.9.8.7", "DNS:localhost"}, ""},
      {{"IP:10.9.8.7"}, "server mismatched CN=c: the certificate \"CN=c\" names 10.9.8.7"},
      {{"DNS:no-such-host.invalid"},
       "server mismatched CN=c: tls: \"127.0.0.1\" does not match any of DNSNames "
       "[\"no-such-host.invalid\"]"},
  };
  for (const auto& [names, line] : cases) {
    told = std::make_shared<TlsRecorder>();
    serve();
    const auto context = client(ca.issue({.common_name = "c", .alternative_names = names}));
    RawClient shown(server->port(), context.get());
    if (line.empty()) {
      EXPECT_THAT(get(shown), StartsWith("HTTP/1.1 200"));
    } else {
      EXPECT_EQ(get(shown), "");
      EXPECT_THAT(told->first(), StartsWith(line));
    }
  }
}

TEST(NameCheck, AsksForwardAndNeverForWildcards) {
  EXPECT_TRUE(address_has_name("127.0.0.1", {"no-such-host.invalid", "localhost"}));
  EXPECT_FALSE(address_has_name("127.0.0.1", {"*.invalid"}));
  EXPECT_FALSE(address_has_name("not an address", {"localhost"}));
}

TEST(NameCheck, TellsEveryoneWhoAsksTheSame) {
  NameCheck check;
  std::vector<NameCheck::Pending> answers;
  constexpr int kAsked = 20;
  const auto told = std::make_shared<std::atomic<int>>(0);
  const auto all = std::make_shared<std::promise<void>>();
  for (int i = 0; i < kAsked; ++i) {
    answers.push_back(check.ask("127.0.0.1", {i % 2 == 0 ? "localhost" : "*.invalid"}, [told, all] {
      if (++*told == kAsked) all->set_value();
    }));
  }
  ASSERT_EQ(all->get_future().wait_for(std::chrono::seconds(60)), std::future_status::ready);
  for (std::size_t i = 0; i < answers.size(); ++i) {
    EXPECT_EQ(answers[i]->load(), i % 2 == 0 ? NameCheck::Answer::kYes : NameCheck::Answer::kNo);
  }
}

/// Both ends are ours: two transports on a socket pair.
class TlsPairTest : public TlsTest {
 protected:
  /// Empty, or what the dialling end says went wrong by its first read.
  std::string dial(const std::string& host) {
    int fds[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    accepted = *make_tls_server_factory(tls)->make(fds[0], "@");
    dialled = *make_tls_client_factory(tls)->make(fds[1], host);
    using Io = Transport::Io;
    Io ours = Io::kWouldBlock;
    Io theirs = Io::kWouldBlock;
    for (int i = 0; i < 20 && (ours == Io::kWouldBlock || theirs == Io::kWouldBlock); ++i) {
      if (theirs == Io::kWouldBlock) theirs = dialled->handshake();
      if (ours == Io::kWouldBlock) ours = accepted->handshake();
    }
    if (theirs == Io::kProgress) {
      char buffer[16 * 1024];
      theirs = dialled->read(buffer, sizeof buffer).io;
    }
    return theirs == Io::kFailed ? dialled->failure() : "";
  }
  std::unique_ptr<Transport> accepted;
  std::unique_ptr<Transport> dialled;
};

TEST_F(TlsPairTest, PeersProveThemselvesToEachOther) {
  demand_certificates();
  tls = open(settings);
  EXPECT_EQ(dial("127.0.0.1"), "");
  EXPECT_EQ(dial("localhost"), "");
  EXPECT_TRUE(dialled->secure());
  EXPECT_EQ(dialled->application_protocol(), "");  // nothing offered, as a real etcd does
  const iovec hello{const_cast<char*>("hello"), 5};
  EXPECT_EQ(dialled->write(&hello, 1).size_bytes, 5u);
  char buffer[16 * 1024];
  EXPECT_EQ(accepted->read(buffer, sizeof buffer).size_bytes, 5u);
  dialled->finish_writing();
  EXPECT_EQ(accepted->read(buffer, sizeof buffer).io, Transport::Io::kClosed);
}

TEST_F(TlsPairTest, ADialledServerMustBearTheNameThatWasDialled) {
  demand_certificates();
  tls = open(settings);
  EXPECT_THAT(dial("m2.example.org"), HasSubstr("names localhost, 127.0.0.1"));
  EXPECT_THAT(told->first(), StartsWith("client mismatched CN=server"));
  EXPECT_THAT(dial("127.0.0.2"), HasSubstr("names localhost, 127.0.0.1"));
}

TEST_F(TlsPairTest, ADialledServersCertificateMustServe) {
  demand_certificates();
  files.write("dial", ca.issue({.common_name = "dialler"}));
  settings.dial_cert_file = files.path("dial.crt");
  settings.dial_key_file = files.path("dial.key");
  files.write("server", ca.issue({.common_name = "server", .usages = "clientAuth"}));
  tls = open(settings);
  EXPECT_THAT(dial("127.0.0.1"), HasSubstr("for clients only"));
}

TEST_F(TlsPairTest, TheDiallerHearsThatItsCertificateWasRefused) {
  demand_certificates();
  files.write("dial", ca.issue({.common_name = "dialler", .usages = "serverAuth"}));
  settings.dial_cert_file = files.path("dial.crt");
  settings.dial_key_file = files.path("dial.key");
  tls = open(settings);
  EXPECT_THAT(dial("127.0.0.1"), AllOf(HasSubstr("remote error"), HasSubstr("CN=dialler")));
}

TEST_F(TlsPairTest, ADialledServerThatIsNoLongerTrustedIsLeft) {
  demand_certificates();
  tls = open(settings);
  ASSERT_EQ(dial("127.0.0.1"), "");
  files.write("ca.crt", TestCa("other CA").pem());
  ASSERT_EQ(tls->reload(std::chrono::system_clock::now()), TlsContext::Reload::kTrustChanged);
  ASSERT_TRUE(tls->enforce_trust());
  const iovec hello{const_cast<char*>("hello"), 5};
  EXPECT_EQ(dialled->write(&hello, 1).io, Transport::Io::kFailed);
  EXPECT_THAT(dialled->failure(), HasSubstr("no longer trusted"));
}

TEST_F(TlsPairTest, AConnectionCutWithoutFarewellIsNotAnOrderlyEnd) {
  demand_certificates();
  tls = open(settings);
  ASSERT_EQ(dial("127.0.0.1"), "");
  ::shutdown(dialled->fd(), SHUT_RDWR);
  char buffer[16 * 1024];
  EXPECT_EQ(accepted->read(buffer, sizeof buffer).io, Transport::Io::kFailed);
}

}  // namespace
}  // namespace holdfast::net
