#include <gtest/gtest.h>

#include "tests/unit/net/test_client.h"
#include "tests/unit/net/test_server.h"

namespace holdfast::net {
namespace {

std::string exchange(int port, std::string_view request) {
  RawClient client(port);
  client.send(request);
  return client.receive_until_closed();
}

std::string body_of(const std::string& response) {
  return response.substr(std::min(response.size(), response.find("\r\n\r\n") + 4));
}

TEST(Http1, AnswersAndKeepsTheConnection) {
  TestServer server;
  RawClient client(server.port());
  for (int i = 0; i < 3; ++i) {
    client.send("GET /a/b?x=1&y=2 HTTP/1.1\r\nHost: h:1\r\n\r\n");
    const std::string response = client.receive_until("h:1\n");
    EXPECT_TRUE(response.starts_with("HTTP/1.1 200 OK\r\n"));
    EXPECT_EQ(body_of(response), "GET /a/b x=1&y=2 h:1\n");
  }
}

TEST(Http1, PipelinedRequestsAreAnsweredInOrder) {
  TestServer server;
  const std::string response =
      exchange(server.port(),
               "GET /later HTTP/1.1\r\nHost: h\r\n\r\nGET /two HTTP/1.1\r\nHost: h\r\n\r\n"
               "GET /three HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  const std::size_t one = response.find("later");
  const std::size_t two = response.find("GET /two");
  const std::size_t three = response.find("GET /three");
  EXPECT_LT(one, two);
  EXPECT_LT(two, three);
  EXPECT_NE(three, std::string::npos);
}

TEST(Http1, BodiesByLengthAndByChunks) {
  TestServer server;
  EXPECT_EQ(body_of(exchange(server.port(),
                             "POST /echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
                             "Content-Length: 5\r\n\r\nhello")),
            "hello");
  EXPECT_EQ(body_of(exchange(server.port(),
                             "POST /echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
                             "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")),
            "abcde");
}

TEST(Http1, AHeadersNameWithABlankIsRefused) {
  TestServer server;
  EXPECT_TRUE(exchange(server.port(), "GET / HTTP/1.1\r\nHost: h\r\nContent-Length : 5\r\n\r\n")
                  .starts_with("HTTP/1.1 400"));
}

std::string upgrade(const std::string& path, const std::string& more = "") {
  return "GET " + path + " HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n" + more +
         "\r\n";
}

TEST(Http1, AConnectionThatChangesItsProtocolCarriesBytesAsTheyAre) {
  TestServer server;
  RawClient client(server.port());
  client.send(upgrade("/tunnel") + "early");
  const std::string head = client.receive_until("early");
  EXPECT_TRUE(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n")) << head;
  EXPECT_EQ(head.find("transfer-encoding"), head.npos);
  EXPECT_EQ(head.find("connection: close"), head.npos);
  client.send("GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(client.receive_until("\r\n\r\n"), "GET / HTTP/1.1\r\n\r\n");
  client.send("end!");
  EXPECT_EQ(client.receive_until_closed(), "end!");
}

TEST(Http1, AChangeOfProtocolThatIsNotTakenIsAnOrdinaryRequest) {
  TestServer server;
  RawClient client(server.port());
  client.send(upgrade("/x"));
  EXPECT_EQ(body_of(client.receive_until("h\n")), "GET /x  h\n");
  client.send(upgrade("/tunnel/no"));
  EXPECT_EQ(body_of(client.receive_until("\r\n\r\nno")), "no");
  client.send(upgrade("/tunnel", "Content-Length: 3\r\n") + "abc");  // it has a body
  EXPECT_EQ(body_of(client.receive_until("h\n")), "GET /tunnel  h\n");
}

TEST(Http1, AClientThatGoesEndsItsTunnel) {
  TestServer server;
  {
    RawClient client(server.port());
    client.send(upgrade("/tunnel") + "x");
    client.receive_until("x");
  }
  EXPECT_TRUE(server.recorder().wait_for("closed closed by peer"));
}

TEST(Http1, RequestsArrivingByteByByteAreWhole) {
  TestServer server;
  RawClient client(server.port());
  for (const char byte : std::string_view("POST /echo HTTP/1.1\r\nHost: h\r\nX-Long: v\r\n"
                                          "Connection: close\r\nContent-Length: 2\r\n\r\nok")) {
    client.send(std::string_view(&byte, 1));
  }
  EXPECT_EQ(body_of(client.receive_until_closed()), "ok");
}

TEST(Http1, HeadHasALengthAndNoBody) {
  TestServer server;
  const std::string response =
      exchange(server.port(), "HEAD /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_NE(response.find("content-length: 11\r\n"), std::string::npos) << response;
  EXPECT_EQ(body_of(response), "");
}

TEST(Http1, StreamedAnswersAreChunkedOrEndWithTheConnection) {
  TestServer server;
  const std::string chunked =
      exchange(server.port(), "GET /big HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_NE(chunked.find("transfer-encoding: chunked"), std::string::npos);
  EXPECT_TRUE(chunked.ends_with("\r\n0\r\n\r\n"));
  EXPECT_NE(chunked.find("\r\n10000\r\n"), std::string::npos);
  const std::string plain = exchange(server.port(), "GET /big HTTP/1.0\r\n\r\n");
  EXPECT_EQ(body_of(plain), std::string(1024 * 1024, 'b'));
}

TEST(Http1, RequestLetGoOfIsAnswered500) {
  TestServer server;
  EXPECT_TRUE(exchange(server.port(), "GET /lost HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
                  .starts_with("HTTP/1.1 500 "));
}

TEST(Http1, ExpectContinueIsTold) {
  TestServer server;
  RawClient client(server.port());
  client.send(
      "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_EQ(client.receive_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("ok");
  EXPECT_EQ(body_of(client.receive_until("ok")), "ok");
}

TEST(Http1, WhatBreaksTheRulesIsRefusedAndClosed) {
  ServerOptions options;
  options.connection.max_http_body_bytes = 100;
  options.max_header_list_bytes = 1000;
  TestServer server(options);
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"nonsense\r\n\r\n", "400"},
      {"GET / HTTP/9.9\r\n\r\n", "505"},
      {"GET / HTTP/1.1\r\n\r\n", "400"},  // no Host
      {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1x\r\n\r\n", "400"},
      {"CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n", "405"},
      {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 101\r\n\r\n", "413"},
      {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n" +
           std::string(101, 'x'),
       "413"},
      {"GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(1000, 'x') + "\r\n\r\n", "431"},
      {"GET /" + std::string(1000, 'x') + " HTTP/1.1\r\nHost: h\r\n\r\n", "431"},
  };
  for (const auto& [request, status] : cases) {
    EXPECT_EQ(exchange(server.port(), request).substr(0, 12), "HTTP/1.1 " + status) << request;
  }
}

TEST(Http1, SlowHeadersAndBodiesAre408) {
  ServerOptions options;
  options.connection.http_header_timeout = options.connection.http_body_timeout =
      std::chrono::milliseconds(30);
  TestServer server(options);
  EXPECT_TRUE(exchange(server.port(), "GET / HTTP/1.1\r\nHo").starts_with("HTTP/1.1 408"));
  EXPECT_TRUE(exchange(server.port(), "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nab")
                  .starts_with("HTTP/1.1 408"));
}

TEST(Http1, IdleConnectionsAreClosed) {
  ServerOptions options;
  options.connection.http_idle_timeout = std::chrono::milliseconds(30);
  TestServer server(options);
  RawClient client(server.port());
  client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_TRUE(client.receive_until_closed().starts_with("HTTP/1.1 200"));
  EXPECT_TRUE(server.recorder().wait_for("closed idle"));
}

TEST(Http1, UpgradeOffersAreIgnored) {
  TestServer server;
  EXPECT_TRUE(exchange(server.port(),
                       "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n"
                       "HTTP2-Settings: AAMAAABk\r\n\r\n")
                  .starts_with("HTTP/1.1 200"));
}

H2Client::Headers plain(const std::string& method, const std::string& path) {
  return {{":method", method}, {":scheme", "http"}, {":authority", "h"}, {":path", path}};
}

TEST(Http2, ServesPlainRequestsBesideGrpc) {
  TestServer server;
  H2Client client(server.port());
  const std::int32_t get = client.open(plain("GET", "/p?q=1"));
  const std::int32_t post = client.open(plain("POST", "/echo"), std::string(100'000, 'e'));
  const std::int32_t head = client.open(plain("HEAD", "/x"));
  const std::int32_t big = client.open(plain("GET", "/big"));
  const std::int32_t later = client.open(plain("GET", "/later"));
  const std::int32_t lost = client.open(plain("GET", "/lost"));
  for (const std::int32_t stream : {get, post, head, big, later, lost}) {
    ASSERT_TRUE(client.run_until_closed(stream)) << stream;
  }
  EXPECT_EQ(client.reply(get).body, "GET /p q=1 h\n");
  EXPECT_EQ(client.reply(post).body, std::string(100'000, 'e'));
  EXPECT_EQ(client.reply(head).body, "");
  EXPECT_EQ(client.reply(head).at("content-length"), "11");
  EXPECT_EQ(client.reply(big).body.size(), 1024U * 1024);
  EXPECT_EQ(client.reply(later).body, "later");
  EXPECT_EQ(client.reply(lost).at(":status"), "500");
  EXPECT_EQ(client.unary("/t.T/Echo", "x").at("grpc-status"), "0");
}

TEST(Http2, LargeBodyIs413AndLargeHeadersAre431) {
  ServerOptions options;
  options.connection.max_http_body_bytes = 1000;
  options.max_header_list_bytes = 1000;
  TestServer server(options);
  H2Client client(server.port());
  const std::int32_t body = client.open(plain("POST", "/echo"), std::string(100'000, 'e'));
  H2Client::Headers large = plain("GET", "/");
  large.emplace_back("x-large", std::string(1000, 'x'));
  const std::int32_t headers = client.open(large);
  ASSERT_TRUE(client.run_until_closed(body));
  ASSERT_TRUE(client.run_until_closed(headers));
  EXPECT_EQ(client.reply(body).at(":status"), "413");
  EXPECT_EQ(client.reply(headers).at(":status"), "431");
}

TEST(Endpoints, HttpOnlyKnowsNoGrpcAndGrpcOnlyNoPages) {
  TestServer http({}, Serves::kHttpOnly);
  H2Client to_http(http.port());
  EXPECT_TRUE(to_http.unary("/t.T/Echo", "").body.starts_with("POST /t.T/Echo"));
  TestServer grpc({}, Serves::kGrpcOnly);
  H2Client to_grpc(grpc.port());
  const std::int32_t stream = to_grpc.open(plain("GET", "/"));
  ASSERT_TRUE(to_grpc.run_until_closed(stream));
  EXPECT_EQ(to_grpc.reply(stream).at(":status"), "415");
  EXPECT_TRUE(exchange(grpc.port(), "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
                  .starts_with("HTTP/1.1 404"));
}

}  // namespace
}  // namespace holdfast::net
