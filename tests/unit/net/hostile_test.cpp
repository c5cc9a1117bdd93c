#include <gtest/gtest.h>

#include <sys/socket.h>

#include "datastore/base/bytes.h"
#include "tests/unit/net/test_client.h"
#include "tests/unit/net/test_server.h"

namespace holdfast::net {
namespace {

using std::chrono::milliseconds;

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

std::string frame(std::uint8_t type, std::uint8_t flags, std::uint32_t stream,
                  std::string_view payload) {
  std::string out(9, '\0');
  const auto size = static_cast<std::uint32_t>(payload.size());
  store_be32(out.data(), size << 8);
  out[3] = static_cast<char>(type);
  out[4] = static_cast<char>(flags);
  store_be32(out.data() + 5, stream);
  out.append(payload);
  return out;
}

std::string hello() {
  return std::string(kPreface) + frame(NGHTTP2_SETTINGS, 0, 0, "");
}

/// The server still serves others.
void expect_alive(TestServer& server) {
  H2Client client(server.port());
  EXPECT_EQ(client.unary("/t.T/Echo", "alive").at("grpc-status"), "0");
}

TEST(Hostile, MalformedFramesEndTheConnectionOnly) {
  TestServer server;
  const std::vector<std::string> attacks = {
      std::string(kPreface) + "garbage that is no frame at all, for sure and certain",
      std::string(kPreface) + frame(NGHTTP2_PING, 0, 0, "12345678"),  // no SETTINGS first
      hello() + frame(NGHTTP2_DATA, 0, 0, "stream zero"),
      hello() + frame(NGHTTP2_HEADERS, 4, 2, "\x82"),                  // even stream
      hello() + frame(NGHTTP2_HEADERS, 4, 1, "\xff\xff\xff\xff\xff"),  // broken HPACK
      hello() + frame(NGHTTP2_CONTINUATION, 4, 1, ""),
      hello() + frame(NGHTTP2_PING, 0, 0, "short"),
      hello() + frame(NGHTTP2_SETTINGS, 0, 0, "odd"),
      hello() + frame(NGHTTP2_WINDOW_UPDATE, 0, 0, std::string(4, '\0')),
      hello() + std::string("\xff\xff\xff\0\0\0\0\0\1", 9),  // 16 MiB frame
      hello() + frame(NGHTTP2_PUSH_PROMISE, 4, 1, std::string(4, '\2')),
      hello() + frame(NGHTTP2_RST_STREAM, 0, 1, std::string(4, '\0')),  // idle stream
      "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
      "PRI * HTTP/2.0\r\n\r\nS",
  };
  for (const std::string& attack : attacks) {
    RawClient client(server.port());
    client.send(attack);
    client.finish_sending();
    client.receive_until_closed();
  }
  expect_alive(server);
}

TEST(Hostile, RapidResetIsCutOff) {
  ServerOptions options;
  options.reset_burst = 50;
  options.resets_per_second = 1;
  TestServer server(options);
  H2Client client(server.port());
  for (int i = 0; i < 200 && !client.connection_closed; ++i) {
    const std::int32_t stream = client.call("/t.T/Silent", "");
    client.flush();
    client.reset(stream, NGHTTP2_CANCEL);
    client.flush();
  }
  EXPECT_FALSE(client.run_until([] { return false; }));
  EXPECT_TRUE(client.connection_closed);
  expect_alive(server);
}

TEST(Hostile, ProvokedResetsAreCutOff) {
  ServerOptions options;
  options.reset_burst = 20;
  options.resets_per_second = 1;
  TestServer server(options);
  H2Client client(server.port());
  ASSERT_TRUE(client.run_until([&] { return !client.settings.empty(); }));
  // Each lies about its content length, a stream error that the server must answer with a reset.
  for (int i = 0; i < 100; ++i) {
    client.open({{":method", "POST"},
                 {":scheme", "http"},
                 {":authority", "h"},
                 {":path", "/t.T/Echo"},
                 {"content-type", "application/grpc"},
                 {"content-length", "3"}},
                framed("four"));
    client.flush();
  }
  EXPECT_FALSE(client.run_until([] { return false; }));
  EXPECT_TRUE(server.recorder().wait_for("error HTTP/2: too many streams had to be reset"));
  expect_alive(server);
}

TEST(Hostile, ContinuationFloodIsCutOff) {
  TestServer server;
  RawClient client(server.port());
  client.send(hello() + frame(NGHTTP2_HEADERS, 0, 1, "\x82\x87\x84"));
  const std::string more = frame(NGHTTP2_CONTINUATION, 0, 1, std::string("\0\1a\1b", 5));
  for (int i = 0; i < 1000 && client.send(more); ++i) {
  }
  client.receive_until_closed();
  EXPECT_TRUE(server.recorder().wait_for("error HTTP/2"));
  expect_alive(server);
}

TEST(Hostile, HeaderBombIsNotKept) {
  TestServer server;
  RawClient client(server.port());
  // POST http / h, a content type, one entry of 3,900 bytes for the table, and then that entry by
  // its number, a byte each: 16 MB once unpacked.
  const std::string content_type =
      "\x0f\x10\x10"
      "application/grpc";
  const std::string entry =
      "\x40\x04"
      "bomb\x7f\xbd\x1d" +
      std::string(3900, 'x');
  const std::string block =
      "\x83\x86\x84\x01\x01h" + content_type + entry + std::string(4000, '\xbe');
  client.send(hello() + frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, block));
  const std::string reset =
      frame(NGHTTP2_RST_STREAM, 0, 1, std::string("\0\0\0\6", 4));  // FRAME_SIZE_ERROR
  EXPECT_NE(client.receive_until(reset).find(reset), std::string::npos);
  // The connection and its header table are as good as before.
  client.send(frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 3,
                    "\x82\x86\x84\x01\x01h\xbe"));
  EXPECT_NE(client.receive_until("GET / ").find("GET / "), std::string::npos);
}

TEST(Hostile, PingFloodIsCutOff) {
  TestServer server;
  RawClient client(server.port());
  const std::string pings = [] {
    std::string all;
    for (int i = 0; i < 100; ++i) all += frame(NGHTTP2_PING, 0, 0, "12345678");
    return all;
  }();
  client.send(hello());
  for (int i = 0; i < 1000 && client.send(pings); ++i) {
  }
  EXPECT_TRUE(server.recorder().wait_for("error too_many_pings"));
  expect_alive(server);
}

TEST(Hostile, SettingsFloodDoesNotGrowTheServer) {
  TestServer server;
  RawClient client(server.port());
  client.send(hello());
  std::string settings;
  for (int i = 0; i < 1000; ++i) settings += frame(NGHTTP2_SETTINGS, 0, 0, "");
  // Acknowledgements are never read: the server's socket fills, then nghttp2's bound is reached.
  std::thread writer([&] {
    for (int i = 0; i < 2000 && client.send(settings); ++i) {
    }
  });
  EXPECT_TRUE(server.recorder().wait_for("closed"));
  ::shutdown(client.fd(), SHUT_RDWR);
  writer.join();
  expect_alive(server);
}

TEST(Hostile, PeerThatReadsNothingIsClosed) {
  ServerOptions options;
  options.connection.write_stall_timeout = milliseconds(100);
  TestServer server(options);
  RawClient client(server.port());
  for (int i = 0; i < 64; ++i) client.send("GET /big HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_TRUE(server.recorder().wait_for("closed peer took none of its data"));
  expect_alive(server);
}

TEST(Hostile, WhoAsksOnAndTakesNoAnswerIsNotHeard) {
  TestServer server;
  RawClient client(server.port());
  constexpr int kRequests = 300;  // 300 MiB of answers
  for (int i = 0; i < kRequests; ++i) client.send("GET /big HTTP/1.1\r\nHost: h\r\n\r\n");
  expect_alive(server);
  std::size_t received = 0;
  for (std::string bytes = client.receive(); received < (std::size_t{kRequests} << 20);
       bytes = client.receive()) {
    if (bytes.empty()) break;
    received += bytes.size();
  }
  EXPECT_GE(received, std::size_t{kRequests} << 20) << "all are answered in the end";
}

TEST(Hostile, AnswersNobodyTakesCloseTheDoorToNewStreams) {
  ServerOptions options;
  options.max_connection_queued_bytes = 1024 * 1024;
  TestServer server(options);
  H2Client client(server.port(), 0);  // no window at all
  std::vector<std::int32_t> streams;
  const std::string message(100'000, 'x');
  for (int i = 0; i < 30; ++i) streams.push_back(client.call("/t.T/Echo", message));
  const auto failed = [&] {
    for (const std::int32_t stream : streams) {
      if (client.reply(stream).at("grpc-status") == "8") return true;
    }
    return false;
  };
  ASSERT_TRUE(client.run_until(failed));
  const std::int32_t next = client.call("/t.T/Echo", "x");
  ASSERT_TRUE(client.run_until_closed(next));
  EXPECT_EQ(client.reply(next).error_code, NGHTTP2_REFUSED_STREAM);
  expect_alive(server);
}

TEST(Hostile, UnfinishedRequestsAreBoundedTogether) {
  ServerOptions options;
  options.max_loop_request_bytes = 300'000;
  TestServer server(options);
  H2Client client(server.port());
  std::vector<std::int32_t> streams;
  const std::string most = framed(std::string(100'000, 'x')).substr(0, 90'000);
  for (int i = 0; i < 5; ++i) {
    streams.push_back(client.open_call("/t.T/Echo"));
    client.send(streams.back(), most);
  }
  ASSERT_TRUE(client.run_until([&] {
    for (const std::int32_t stream : streams) {
      if (client.reply(stream).at("grpc-status") == "8") return true;
    }
    return false;
  }));
  for (const std::int32_t stream : streams) client.reset(stream, NGHTTP2_CANCEL);
  client.flush();
  ASSERT_TRUE(client.run_until(
      [&] { return client.unary("/t.T/Echo", "room again").at("grpc-status") == "0"; }));
}

TEST(Hostile, SilentConnectionsAreClosed) {
  ServerOptions options;
  options.connection.sniff_timeout = milliseconds(30);
  TestServer server(options);
  RawClient silent(server.port());
  RawClient half(server.port());
  half.send(kPreface.substr(0, 10));
  EXPECT_EQ(silent.receive_until_closed(), "");
  EXPECT_EQ(half.receive_until_closed(), "");
  EXPECT_TRUE(server.recorder().wait_for("closed no request within the time allowed"));
}

TEST(Hostile, ConnectionsBeyondTheLimitAreRefusedAndTold) {
  ServerOptions options;
  options.max_connections = 2;
  TestServer server(options);
  H2Client first(server.port());
  EXPECT_EQ(first.unary("/t.T/Echo", "").at("grpc-status"), "0");
  {
    H2Client second(server.port());
    EXPECT_EQ(second.unary("/t.T/Echo", "").at("grpc-status"), "0");
    RawClient third(server.port());
    EXPECT_EQ(third.receive_until_closed(), "");
    EXPECT_TRUE(server.recorder().wait_for("refused all 2 connections are in use"));
  }
  EXPECT_TRUE(server.recorder().wait_for("closed"));
  while (server.server().connection_count() > 1) std::this_thread::yield();
  expect_alive(server);
}

TEST(Hostile, StreamsBeyondTheLimitAreRefused) {
  ServerOptions options;
  options.max_concurrent_streams = 5;
  TestServer server(options);
  H2Client client(server.port());
  std::vector<std::int32_t> streams;
  // Before the SETTINGS have arrived the client knows of no limit.
  for (int i = 0; i < 6; ++i) streams.push_back(client.open_call("/t.T/Chat"));
  ASSERT_TRUE(client.run_until_closed(streams.back()));
  EXPECT_EQ(client.reply(streams.back()).error_code, NGHTTP2_REFUSED_STREAM);
  EXPECT_EQ(client.settings[NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS], 5U);
}

}  // namespace
}  // namespace holdfast::net
