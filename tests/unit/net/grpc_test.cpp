#include <gtest/gtest.h>

#include "datastore/net/gzip.h"
#include "tests/unit/net/test_client.h"
#include "tests/unit/net/test_server.h"

namespace holdfast::net {
namespace {

using Reply = H2Client::Reply;

TEST(Grpc, UnaryCallAnswersHeadersMessageAndTrailers) {
  TestServer server;
  H2Client client(server.port());
  const Reply reply = client.unary("/t.T/Echo", "hello");
  EXPECT_EQ(reply.at(":status"), "200");
  EXPECT_EQ(reply.at("content-type"), "application/grpc");
  EXPECT_EQ(reply.at("grpc-status"), "0");
  EXPECT_EQ(reply.messages(), std::vector<std::string>{"hello"});
  EXPECT_EQ(reply.header_frames, 2);
  EXPECT_EQ(reply.error_code, 0U);
  EXPECT_TRUE(server.recorder().wait_for("rpc /t.T/Echo 0 1/1"));
}

TEST(Grpc, EmptyMessageIsAMessage) {
  TestServer server;
  H2Client client(server.port());
  EXPECT_EQ(client.unary("/t.T/Echo", "").messages(), std::vector<std::string>{""});
}

TEST(Grpc, MessagesOfEverySizeComeBackWhole) {
  TestServer server;
  H2Client client(server.port());
  for (const std::size_t size : {1UL, 1023UL, 16'384UL, 16'379UL, 65'536UL, 1'000'000UL}) {
    const std::string message(size, 'm');
    EXPECT_EQ(client.unary("/t.T/Echo", message).messages(), std::vector<std::string>{message});
  }
}

TEST(Grpc, AnswerMayComeFromAnotherThread) {
  TestServer server;
  H2Client client(server.port());
  EXPECT_EQ(client.unary("/t.T/Later", "x").messages(), std::vector<std::string>{"x"});
}

TEST(Grpc, ManyCallsShareAConnection) {
  TestServer server;
  H2Client client(server.port());
  std::vector<std::int32_t> streams;
  for (int i = 0; i < 500; ++i) streams.push_back(client.call("/t.T/Echo", std::to_string(i)));
  for (int i = 0; i < 500; ++i) {
    ASSERT_TRUE(client.run_until_closed(streams[i]));
    EXPECT_EQ(client.reply(streams[i]).messages(), std::vector<std::string>{std::to_string(i)});
  }
}

TEST(Grpc, FailureWithoutMessagesIsTrailersOnly) {
  TestServer server;
  H2Client client(server.port());
  const Reply reply = client.unary("/t.T/Fail", "no such \xc3\xa9 100%\n\xff");
  EXPECT_EQ(reply.header_frames, 1);
  EXPECT_EQ(reply.at(":status"), "200");
  EXPECT_EQ(reply.at("grpc-status"), "5");
  EXPECT_EQ(reply.at("grpc-message"), "no such %C3%A9 100%25%0A%EF%BF%BD");
  EXPECT_EQ(reply.at("grpc-status-details-bin"), "CAU");
  EXPECT_EQ(reply.at("x-t"), "v");
  EXPECT_EQ(reply.at("y-bin"), "AQ");
}

TEST(Grpc, UnknownMethodsAreNamedAsGrpcGoNamesThem) {
  TestServer server;
  H2Client client(server.port());
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"/t.T/Nope", "unknown method Nope for service t.T"},
      {"/x.Y/Z", "unknown service x.Y"},
      {"/noslash", "malformed method name: \"/noslash\""},
  };
  for (const auto& [path, message] : cases) {
    const Reply reply = client.unary(path, "");
    EXPECT_EQ(reply.at(":status"), "200");
    EXPECT_EQ(reply.at("grpc-status"), "12");
    EXPECT_EQ(reply.at("grpc-message"), message);
  }
}

TEST(Grpc, RefusesWhatIsNotGrpcOnAGrpcPath) {
  TestServer server;
  H2Client client(server.port());
  const Reply json = client.unary("/t.T/Echo", "", {{"content-type", "application/json"}});
  EXPECT_EQ(json.at(":status"), "415");
  EXPECT_EQ(json.at("grpc-status"), "3");
  EXPECT_EQ(json.at("grpc-message"), "invalid gRPC request content-type \"application/json\"");
  EXPECT_EQ(client.unary("/t.T/Echo", "", {{"content-type", "application/grpcweb"}}).at(":status"),
            "415");
  const Reply get = client.unary("/t.T/Echo", "", {{":method", "GET"}});
  EXPECT_EQ(get.at(":status"), "405");
  EXPECT_EQ(get.at("grpc-status"), "13");
}

TEST(Grpc, ContentSubtypeIsEchoed) {
  TestServer server;
  H2Client client(server.port());
  const Reply reply = client.unary("/t.T/Echo", "a", {{"content-type", "application/grpc+proto"}});
  EXPECT_EQ(reply.at("content-type"), "application/grpc+proto");
  EXPECT_EQ(reply.at("grpc-status"), "0");
}

TEST(Grpc, MetadataReachesTheHandlerDecoded) {
  TestServer server;
  H2Client client(server.port());
  const Reply reply =
      client.unary("/t.T/Metadata", "", {{"x-test", "one"}, {"x-test-bin", "AAECAw=="}});
  EXPECT_EQ(reply.messages(), std::vector<std::string>{std::string("one,\0\1\2\3,1", 10)});
  const Reply bad = client.unary("/t.T/Metadata", "", {{"x-test-bin", "!!"}});
  EXPECT_EQ(bad.at(":status"), "400");
  EXPECT_EQ(bad.at("grpc-status"), "13");
}

TEST(Grpc, DeadlineEndsACallThatIsNotAnswered) {
  TestServer server;
  H2Client client(server.port());
  const Reply reply = client.unary("/t.T/Silent", "", {{"grpc-timeout", "20m"}});
  EXPECT_EQ(reply.at("grpc-status"), "4");
  EXPECT_EQ(reply.at("grpc-message"), "context deadline exceeded");
  EXPECT_EQ(server.cancelled, 1);
  EXPECT_EQ(client.unary("/t.T/Silent", "", {{"grpc-timeout", "0S"}}).at("grpc-status"), "4");
  EXPECT_EQ(client.unary("/t.T/Echo", "a", {{"grpc-timeout", "99999999H"}}).at("grpc-status"), "0");
}

TEST(Grpc, MalformedTimeoutIsRefused) {
  TestServer server;
  H2Client client(server.port());
  for (const char* timeout : {"", "5", "S", "5x", "123456789S", "-1S", "1.5S"}) {
    const Reply reply = client.unary("/t.T/Echo", "", {{"grpc-timeout", timeout}});
    EXPECT_EQ(reply.at(":status"), "400") << timeout;
    EXPECT_EQ(reply.at("grpc-status"), "13") << timeout;
    EXPECT_TRUE(reply.at("grpc-message").starts_with("malformed grpc-timeout: ")) << timeout;
  }
}

TEST(Grpc, ResetCancelsTheCall) {
  TestServer server;
  H2Client client(server.port());
  const std::int32_t silent = client.call("/t.T/Silent", "");
  const std::int32_t chat = client.open_call("/t.T/Chat");
  client.flush();
  client.reset(silent, NGHTTP2_CANCEL);
  client.reset(chat, NGHTTP2_CANCEL);
  client.flush();
  EXPECT_TRUE(server.recorder().wait_for("rpc /t.T/Silent 1"));
  EXPECT_TRUE(server.recorder().wait_for("rpc /t.T/Chat 1"));
}

TEST(Grpc, LostConnectionCancelsItsCalls) {
  TestServer server;
  {
    H2Client client(server.port());
    client.open_call("/t.T/Chat");
    client.run_until([&] { return !client.settings.empty(); });
  }
  EXPECT_TRUE(server.recorder().wait_for("rpc /t.T/Chat 1"));
}

TEST(Grpc, ServerStreamEndsWithOkTrailers) {
  TestServer server;
  H2Client client(server.port());
  const Reply reply = client.unary("/t.T/Count", "1000");
  EXPECT_EQ(reply.at("grpc-status"), "0");
  ASSERT_EQ(reply.messages().size(), 1000U);
  EXPECT_EQ(reply.messages().back(), "999");
  EXPECT_EQ(client.unary("/t.T/Count", "0").at("grpc-status"), "0");
}

TEST(Grpc, BidirectionalStreamEchoesUntilHalfClose) {
  TestServer server;
  H2Client client(server.port());
  const std::int32_t stream = client.open_call("/t.T/Chat");
  for (int i = 1; i <= 10; ++i) {
    client.send(stream, framed(std::to_string(i)));
    ASSERT_TRUE(client.run_until(
        [&] { return client.reply(stream).messages().size() == static_cast<std::size_t>(i); }));
  }
  client.send(stream, "", true);
  ASSERT_TRUE(client.run_until_closed(stream));
  EXPECT_EQ(client.reply(stream).at("grpc-status"), "0");
}

TEST(Grpc, MessagesSplitAnywhereAreJoined) {
  TestServer server;
  H2Client client(server.port());
  const std::int32_t stream = client.open_call("/t.T/Chat");
  const std::string bytes = framed("first") + framed("") + framed(std::string(3000, 'z'));
  for (const char byte : bytes) {
    client.send(stream, std::string(1, byte));
    client.flush();
  }
  client.send(stream, "", true);
  ASSERT_TRUE(client.run_until_closed(stream));
  const std::vector<std::string> wanted = {"first", "", std::string(3000, 'z')};
  EXPECT_EQ(client.reply(stream).messages(), wanted);
}

TEST(Grpc, WrongNumberOfRequestMessagesIsInternal) {
  TestServer server;
  H2Client client(server.port());
  for (const char* path : {"/t.T/Echo", "/t.T/Count"}) {
    const std::int32_t none = client.open_call(path);
    client.send(none, "", true);
    ASSERT_TRUE(client.run_until_closed(none));
    EXPECT_EQ(client.reply(none).at("grpc-status"), "13");
    const std::int32_t two = client.open_call(path);
    client.send(two, framed("1") + framed("1"), true);
    ASSERT_TRUE(client.run_until_closed(two));
    EXPECT_EQ(client.reply(two).at("grpc-status"), "13");
    const std::int32_t cut = client.open_call(path);
    client.send(cut, framed("12345").substr(0, 7), true);
    ASSERT_TRUE(client.run_until_closed(cut));
    EXPECT_EQ(client.reply(cut).at("grpc-status"), "13");
  }
}

TEST(Grpc, OversizedMessageIsRefusedByItsPrefix) {
  ServerOptions options;
  options.max_receive_message_bytes = 1000;
  TestServer server(options);
  H2Client client(server.port());
  const Reply reply = client.unary("/t.T/Echo", std::string(1001, 'x'));
  EXPECT_EQ(reply.at("grpc-status"), "8");
  EXPECT_EQ(reply.at("grpc-message"), "grpc: received message larger than max (1001 vs. 1000)");
  EXPECT_EQ(client.unary("/t.T/Echo", std::string(1000, 'x')).at("grpc-status"), "0");
}

TEST(Grpc, GzippedRequestIsAnsweredGzipped) {
  TestServer server;
  H2Client client(server.port());
  const std::string text(5000, 't');
  const std::int32_t stream = client.open_call("/t.T/Echo", {{"grpc-encoding", "gzip"}});
  client.send(stream, framed(gzip(text), true), true);
  ASSERT_TRUE(client.run_until_closed(stream));
  EXPECT_EQ(client.reply(stream).at("grpc-encoding"), "gzip");
  ASSERT_EQ(client.reply(stream).messages().size(), 1U);
  EXPECT_EQ(*gunzip(client.reply(stream).messages()[0], 10'000), text);
}

TEST(Grpc, CompressesUnaskedOnlyWhereTheMethodSaysSo) {
  TestServer server;
  H2Client client(server.port());
  const H2Client::Headers accepts = {{"grpc-accept-encoding", "identity, gzip"}};
  EXPECT_EQ(client.unary("/t.T/Echo", "a", accepts).at("grpc-encoding"), "");
  EXPECT_EQ(client.unary("/t.T/Zipped", "a", accepts).at("grpc-encoding"), "gzip");
  EXPECT_EQ(client.unary("/t.T/Zipped", "a").at("grpc-encoding"), "");
}

TEST(Grpc, BadCompressionIsRefused) {
  ServerOptions options;
  options.max_receive_message_bytes = 100'000;
  TestServer server(options);
  H2Client client(server.port());
  const Reply unknown = client.unary("/t.T/Echo", "a", {{"grpc-encoding", "snappy"}});
  EXPECT_EQ(unknown.at("grpc-status"), "12");
  EXPECT_EQ(unknown.at("grpc-message"),
            "grpc: Decompressor is not installed for grpc-encoding \"snappy\"");
  EXPECT_EQ(unknown.at("grpc-accept-encoding"), "gzip,identity");
  const auto send = [&](std::string_view encoding, const std::string& body) {
    const std::int32_t stream =
        client.open_call("/t.T/Echo", {{"grpc-encoding", std::string(encoding)}});
    client.send(stream, body, true);
    EXPECT_TRUE(client.run_until_closed(stream));
    return client.reply(stream).at("grpc-status");
  };
  EXPECT_EQ(send("identity", framed("x", true)), "13");
  EXPECT_EQ(send("gzip", framed("not gzip", true)), "13");
  EXPECT_EQ(send("gzip", framed(gzip("cut short").substr(0, 12), true)), "13");
  EXPECT_EQ(send("gzip", framed(gzip(std::string(50'000'000, '\0')), true)), "8");
  EXPECT_EQ(send("gzip", framed("plain is allowed")), "0");
}

TEST(Grpc, ProducerIsHeldBackByASlowReader) {
  TestServer server;
  H2Client client(server.port());
  client.consume_automatically = false;
  const std::int32_t stream = client.open_call("/t.T/Flood");
  client.send(stream, framed("200"), true);  // 12.8 MB, into a window of 64 KiB
  ASSERT_TRUE(client.run_until([&] { return client.reply(stream).body.size() >= 65'535; }));
  EXPECT_LT(server.flood_peak_bytes, 512U * 1024);
  client.consume_automatically = true;
  nghttp2_session_consume(client.session(), stream, client.reply(stream).body.size());
  ASSERT_TRUE(client.run_until_closed(stream));
  EXPECT_EQ(client.reply(stream).messages().size(), 200U);
  EXPECT_EQ(client.reply(stream).messages()[7], "head" + std::string(64 * 1024, 'x'));
  EXPECT_LT(server.flood_peak_bytes, 512U * 1024);
  EXPECT_EQ(client.reply(stream).at("grpc-status"), "0");
}

TEST(Grpc, ACompleteAnswerOfWhichNothingIsTakenIsDropped) {
  ServerOptions options;
  options.connection.answer_stall_timeout = std::chrono::milliseconds(50);
  TestServer server(options);
  H2Client client(server.port());
  client.consume_automatically = false;
  const std::int32_t stream = client.call("/t.T/Echo", std::string(1 << 20, 'x'));
  ASSERT_TRUE(client.run_until_closed(stream));
  EXPECT_TRUE(client.reply(stream).reset_by_server);
  EXPECT_EQ(client.reply(stream).error_code, std::uint32_t{NGHTTP2_CANCEL});
}

TEST(Grpc, PausedHandlerHoldsTheClientBackByTheWindow) {
  ServerOptions options;
  options.stream_window_bytes = 100'000;
  TestServer server(options);
  H2Client client(server.port());
  ASSERT_TRUE(client.run_until([&] { return !client.settings.empty(); }));
  const std::int32_t stream = client.open_call("/t.T/Paused");
  const std::string message = framed(std::string(995, 'p'));
  for (int i = 0; i < 1000; ++i) client.send(stream, message);
  client.send(stream, "", true);
  ASSERT_TRUE(client.run_until([&] {
    return nghttp2_session_get_stream_remote_window_size(client.session(), stream) <= 0;
  }));
  EXPECT_EQ(client.unary("/t.T/Echo", "others go on").at("grpc-status"), "0");
  EXPECT_EQ(server.paused_messages, 1);
  server.resume();
  ASSERT_TRUE(client.run_until_closed(stream));
  EXPECT_EQ(server.paused_messages, 1000);
  EXPECT_EQ(client.reply(stream).at("grpc-status"), "0");
}

TEST(Grpc, WorksOnSeveralLoops) {
  ServerOptions options;
  options.loops = 3;
  TestServer server(options);
  for (int i = 0; i < 6; ++i) {
    H2Client client(server.port());
    EXPECT_EQ(client.unary("/t.T/Later", "x").at("grpc-status"), "0");
  }
}

}  // namespace
}  // namespace holdfast::net
