#include <gtest/gtest.h>

#include <future>

#include "tests/unit/net/test_client.h"
#include "tests/unit/net/test_server.h"

namespace holdfast::net {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(KeepAlive, TooManyPingsAreAnsweredWithEnhanceYourCalm) {
  TestServer server;
  H2Client client(server.port());
  client.open_call("/t.T/Chat");
  for (int i = 0; i < 5; ++i) {
    nghttp2_submit_ping(client.session(), 0, nullptr);
    client.flush();
  }
  client.run_until([&] { return !client.goaways.empty(); });
  ASSERT_FALSE(client.goaways.empty());
  EXPECT_EQ(client.goaways[0].second, NGHTTP2_ENHANCE_YOUR_CALM);
  EXPECT_EQ(client.goaway_text, "too_many_pings");
}

TEST(KeepAlive, PingsBetweenAnswersAreFine) {
  TestServer server;
  H2Client client(server.port());
  for (int i = 1; i <= 10; ++i) {
    EXPECT_EQ(client.unary("/t.T/Echo", "x").at("grpc-status"), "0");
    nghttp2_submit_ping(client.session(), 0, nullptr);
    ASSERT_TRUE(client.run_until([&] { return client.pings_acknowledged == i; }));
  }
  EXPECT_TRUE(client.goaways.empty());
}

TEST(KeepAlive, RarePingsAreFineWhereThePolicyAllowsThem) {
  ServerOptions options;
  options.keepalive_min_time = milliseconds(0);
  options.keepalive_permit_without_stream = true;
  TestServer server(options);
  H2Client client(server.port());
  for (int i = 1; i <= 10; ++i) {
    nghttp2_submit_ping(client.session(), 0, nullptr);
    ASSERT_TRUE(client.run_until([&] { return client.pings_acknowledged == i; }));
  }
}

TEST(KeepAlive, ServerPingsAQuietClientAndClosesASilentOne) {
  ServerOptions options;
  options.keepalive_interval = milliseconds(40);
  options.keepalive_timeout = milliseconds(40);
  TestServer server(options);
  H2Client client(server.port());
  ASSERT_TRUE(client.run_until([&] { return client.pings_received >= 3; }));
  // From here on nobody reads or answers.
  EXPECT_TRUE(server.recorder().wait_for("closed keep-alive ping not answered"));
}

TEST(GracefulStop, CallsInFlightFinishAndNewOnesAreSentElsewhere) {
  TestServer server;
  H2Client client(server.port());
  const std::int32_t chat = client.open_call("/t.T/Chat");
  client.send(chat, framed("before"));
  ASSERT_TRUE(client.run_until([&] { return !client.reply(chat).body.empty(); }));
  std::future<void> stopped =
      std::async(std::launch::async, [&] { server.server().stop(seconds(10)); });
  ASSERT_TRUE(client.run_until([&] { return client.goaways.size() == 2; }));
  EXPECT_EQ(client.goaways[0].first, 0x7fffffff);
  EXPECT_EQ(client.goaways[0].second, NGHTTP2_NO_ERROR);
  EXPECT_EQ(client.goaways[1].first, chat);
  client.send(chat, framed("after"), true);
  ASSERT_TRUE(client.run_until_closed(chat));
  const std::vector<std::string> wanted = {"before", "after"};
  EXPECT_EQ(client.reply(chat).messages(), wanted);
  EXPECT_EQ(client.reply(chat).at("grpc-status"), "0");
  client.run_until([&] { return client.connection_closed; });
  EXPECT_TRUE(client.connection_closed);
  stopped.get();
  EXPECT_EQ(server.server().connection_count(), 0U);
}

TEST(GracefulStop, WhatWouldGoOnForEverEnds) {
  TestServer server;
  H2Client client(server.port());
  const std::int32_t subscription = client.open_call("/t.T/Subscribe");
  client.send(subscription, framed("event"));
  ASSERT_TRUE(client.run_until([&] { return !client.reply(subscription).body.empty(); }));
  std::future<void> stopped =
      std::async(std::launch::async, [&] { server.server().stop(std::chrono::hours(1)); });
  ASSERT_TRUE(client.run_until_closed(subscription));
  EXPECT_EQ(client.reply(subscription).messages(), std::vector<std::string>{"event"});
  EXPECT_EQ(client.reply(subscription).at("grpc-status"), "14");
  EXPECT_EQ(client.reply(subscription).at("grpc-message"), "etcdserver: server stopped");
  client.run_until([&] { return client.connection_closed; });
  stopped.get();
  EXPECT_EQ(server.cancelled, 1);
}

TEST(GracefulStop, IdleConnectionsCloseAtOnce) {
  TestServer server;
  RawClient http1(server.port());
  http1.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  http1.receive_until("h\n");
  RawClient silent(server.port());
  while (server.server().connection_count() < 2) std::this_thread::yield();
  server.server().stop(seconds(10));
  EXPECT_EQ(http1.receive_until_closed(), "");
  EXPECT_EQ(silent.receive_until_closed(), "");
}

TEST(GracefulStop, WhatOutlastsTheGraceIsCut) {
  TestServer server;
  H2Client client(server.port());
  client.call("/t.T/Silent", "");
  ASSERT_TRUE(client.run_until([&] { return !client.settings.empty(); }));
  while (server.server().connection_count() < 1) std::this_thread::yield();
  server.server().stop(milliseconds(20));
  EXPECT_EQ(server.server().connection_count(), 0U);
  EXPECT_TRUE(server.recorder().wait_for("closed server stopped"));
}

TEST(GracefulStop, AReferenceMayOutliveTheServer) {
  CallRef kept;
  {
    auto services = std::make_shared<GrpcServices>();
    std::promise<void> arrived;
    services->unary("/t.T/Keep", [&](CallRef call, BytesView) {
      kept = std::move(call);
      arrived.set_value();
    });
    Server server({}, services, nullptr);
    const absl::StatusOr<std::string> url = server.add_listener("127.0.0.1:0", {});
    ASSERT_TRUE(url.ok()) << url.status();
    server.start();
    H2Client client(std::stoi(url->substr(url->rfind(':') + 1)));
    client.call("/t.T/Keep", "");
    client.flush();
    arrived.get_future().wait();
    server.stop(milliseconds(0));
  }
  EXPECT_FALSE(kept->active());
  kept->send_and_finish(Bytes("too late"));
}

TEST(Listener, SaysWhatIsWrongWithAnAddress) {
  EXPECT_EQ(ListenAddress::parse("https://").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(ListenAddress::parse("http://host").ok());
  EXPECT_FALSE(ListenAddress::parse("http://host:99999").ok());
  EXPECT_FALSE(ListenAddress::parse("unix://").ok());
  EXPECT_EQ(ListenAddress::parse("http://[::1]:2379")->host, "::1");
  EXPECT_EQ(ListenAddress::parse("http://:2379/")->port, "2379");
  EXPECT_EQ(ListenAddress::parse("unix:///tmp/x")->unix_path, "/tmp/x");
  EXPECT_FALSE(ListenAddress::parse("http://h:1")->tls);
  EXPECT_TRUE(ListenAddress::parse("https://h:1")->tls);
  EXPECT_TRUE(ListenAddress::parse("unixs:///tmp/x")->tls);
}

TEST(Listener, NoTlsWithoutACertificate) {
  Server server({}, std::make_shared<GrpcServices>(), nullptr);
  EXPECT_EQ(server.add_listener("https://127.0.0.1:0", {}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(Listener, TakenPortIsUnavailable) {
  TestServer server;
  Server second({}, std::make_shared<GrpcServices>(), nullptr);
  const absl::Status status =
      second.add_listener("http://127.0.0.1:" + std::to_string(server.port()), {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
}

}  // namespace
}  // namespace holdfast::net
