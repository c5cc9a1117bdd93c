#include "datastore/net/http1_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <future>

#include "datastore/net/text.h"
#include "tests/unit/net/client_loop.h"
#include "tests/unit/net/test_server.h"

namespace holdfast::net {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

std::string message_of(const absl::Status& status) {
  return std::string(from_absl(status.message()));
}

TEST(Http1Client, FetchesAnswers) {
  TestServer server;
  ClientLoop client(server.port());
  const auto answer = client.fetch({.target = "/a/b?c=d"});
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->header("content-type"), "text/plain");
  EXPECT_EQ(answer->body, concat("GET /a/b c=d 127.0.0.1:", server.port(), "\n"));
}

TEST(Http1Client, SendsABodyWithAnyMethod) {
  TestServer server;
  ClientLoop client(server.port());
  for (const char* method : {"GET", "POST"}) {
    const auto answer = client.fetch({.method = method, .target = "/echo", .body = "{\"a\":1}"});
    ASSERT_TRUE(answer.ok()) << answer.status();
    EXPECT_EQ(answer->body, "{\"a\":1}");
  }
}

TEST(Http1Client, ReadsChunkedAnswersWhole) {
  TestServer server;
  ClientLoop client(server.port());
  const auto answer = client.fetch({.target = "/big"});
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->body, std::string(1024 * 1024, 'b'));
}

TEST(Http1Client, AnswersToHeadHaveNoBody) {
  TestServer server;
  ClientLoop client(server.port());
  const auto answer = client.fetch({.method = "HEAD", .target = "/"});
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->body, "");
  EXPECT_NE(answer->header("content-length"), "0");
}

TEST(Http1Client, UsesAConnectionAgain) {
  TestServer server;
  ClientLoop client(server.port());
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(client.fetch({.target = "/"}).ok());
  EXPECT_EQ(server.server().connection_count(), 1U);
}

TEST(Http1Client, LetsGoOfIdleConnections) {
  TestServer server;
  ClientLoop client(server.port(), {.idle_timeout = milliseconds(20)});
  ASSERT_TRUE(client.fetch({.target = "/"}).ok());
  EXPECT_TRUE(client.run_until([&] { return server.server().connection_count() == 0; }));
}

TEST(Http1Client, KeepsNoMoreIdleConnectionsThanAllowed) {
  TestServer server;
  ClientLoop client(server.port(), {.max_idle_connections = 1});
  int done = 0;
  for (int i = 0; i < 5; ++i) {
    client.client->fetch({.target = "/later"}, {}, [&](absl::StatusOr<Http1Response> answer) {
      EXPECT_TRUE(answer.ok());
      ++done;
    });
  }
  ASSERT_TRUE(client.run_until([&] { return done == 5; }));
  EXPECT_TRUE(client.run_until([&] { return server.server().connection_count() == 1; }));
}

TEST(Http1Client, RepeatsAGetThatMeetsAClosingConnection) {
  // The first connection answers once and closes when the second request has come.
  std::atomic<int> requests{0};
  ScriptedServer server(2, [&](int fd, const std::string&) {
    ++requests;
    send_all(fd, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    char some[512];
    if (requests == 1) (void)::recv(fd, some, sizeof some, 0);
  });
  ClientLoop client(server.port());
  ASSERT_TRUE(client.fetch({.target = "/1"}).ok());
  const auto second = client.fetch({.target = "/2"});
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(requests, 2);
}

TEST(Http1Client, DoesNotRepeatAPost) {
  ScriptedServer server(2, [](int fd, const std::string&) {
    send_all(fd, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    char some[512];
    (void)::recv(fd, some, sizeof some, 0);
  });
  ClientLoop client(server.port());
  ASSERT_TRUE(client.fetch({.target = "/1"}).ok());
  const auto second = client.fetch({.method = "POST", .target = "/2", .body = "once"});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable) << second.status();
}

TEST(Http1Client, RefusedConnectionIsUnavailableAndNamesTheUrl) {
  int port = 0;
  {
    TestServer server;
    port = server.port();
  }
  ClientLoop client(port);
  const auto answer = client.fetch({});
  EXPECT_EQ(answer.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(message_of(answer.status()), HasSubstr(concat("http://127.0.0.1:", port)));
  EXPECT_THAT(message_of(answer.status()), HasSubstr("refused"));
}

TEST(Http1Client, ResolvesNames) {
  TestServer server;
  ClientLoop client(concat("http://localhost:", server.port()));
  const auto answer = client.fetch({.target = "/"});
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_THAT(answer->body, HasSubstr(concat("localhost:", server.port())));
}

TEST(Http1Client, UnknownNameIsUnavailable) {
  ClientLoop client("http://no-such-host.invalid:2380");
  const auto answer = client.fetch({}, {.dial = milliseconds(15'000)});
  EXPECT_EQ(answer.status().code(), absl::StatusCode::kUnavailable) << answer.status();
  EXPECT_THAT(message_of(answer.status()), HasSubstr("no-such-host.invalid"));
}

TEST(Http1Client, SpeaksOverUnixSockets) {
  const std::string path = concat(::testing::TempDir(), "net_client_", ::getpid());
  Server server({}, std::make_shared<GrpcServices>(), nullptr);
  ASSERT_TRUE(server.add_listener("unix://" + path, {}).ok());
  server.start();
  ClientLoop client("unix://" + path);
  const auto answer = client.fetch({});
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->status, 404);
  client.client.reset();
}

TEST(Http1Client, MissingUnixSocketIsUnavailable) {
  ClientLoop client("unix:///nonexistent/socket");
  EXPECT_EQ(client.fetch({}).status().code(), absl::StatusCode::kUnavailable);
}

TEST(Http1Client, TlsWithoutCertificatesIsRefused) {
  ClientLoop client("https://127.0.0.1:1");
  EXPECT_EQ(client.fetch({}).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(Http1Client, RequestsThatCanNotBeSentAreRefused) {
  TestServer server;
  ClientLoop client(server.port());
  const std::vector<Http1Request> bad = {
      {.method = "GE T"},
      {.method = ""},
      {.target = "no-slash"},
      {.target = "/a b"},
      {.target = "/a\r\nx: y"},
      {.headers = {{"x", "a\r\nhost: other"}}},
      {.headers = {{"x y", "z"}}},
      {.headers = {{"Host", "other"}}},
      {.headers = {{"transfer-encoding", "chunked"}}},
      {.body_follows = true},  // not for fetch()
  };
  for (const Http1Request& request : bad) {
    EXPECT_EQ(client.fetch(request).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST(Http1Client, SilentServerMeetsEachTimeLimit) {
  ScriptedServer silent(2, [](int fd, const std::string&) { wait_for_close(fd); });
  ClientLoop client(silent.port());
  for (const Http1Limits& limits :
       {Http1Limits{.read_idle = milliseconds(30)}, Http1Limits{.total = milliseconds(30)}}) {
    const auto answer = client.fetch({}, limits);
    EXPECT_EQ(answer.status().code(), absl::StatusCode::kDeadlineExceeded) << answer.status();
  }
}

TEST(Http1Client, StreamThatFallsSilentIsCutOff) {
  ScriptedServer server(1, [](int fd, const std::string&) {
    send_all(fd, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n");
    wait_for_close(fd);
  });
  ClientLoop client(server.port());
  AnswerRecorder answer;
  const auto call = client.client->start({}, {.read_idle = milliseconds(50)}, answer);
  ASSERT_TRUE(client.run_until([&] { return answer.done(); }));
  EXPECT_EQ(answer.status->code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(answer.response.status, 200);
  EXPECT_EQ(answer.response.body, "abc");
}

TEST(Http1Client, ServerThatTakesNothingIsCutOff) {
  std::promise<void> done;
  ScriptedServer server(1, [&](int, const std::string&) { done.get_future().wait(); });
  ClientLoop client(server.port());
  const auto answer = client.fetch({.method = "POST", .body = Bytes(64UL * 1024 * 1024, 'x')},
                                   {.write_idle = milliseconds(50)});
  done.set_value();
  EXPECT_EQ(answer.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(message_of(answer.status()), HasSubstr("took nothing"));
}

struct Bad {
  const char* name;
  std::string answer;
  absl::StatusCode code;
};

class BadAnswer : public ::testing::TestWithParam<Bad> {};

TEST_P(BadAnswer, IsAnError) {
  ScriptedServer server(GetParam().answer);
  ClientLoop client(server.port());
  const auto answer = client.fetch({}, {.max_body_bytes = 1000});
  EXPECT_EQ(answer.status().code(), GetParam().code) << answer.status();
  EXPECT_THAT(message_of(answer.status()), HasSubstr("http://127.0.0.1:"));
}

std::string many(int count, const std::string& text) {
  std::string all;
  for (int i = 0; i < count; ++i) all += text;
  return all;
}

INSTANTIATE_TEST_SUITE_P(
    Http1Client, BadAnswer,
    ::testing::Values(
        Bad{"Nothing", "", absl::StatusCode::kUnavailable},
        Bad{"HalfAHead", "HTTP/1.1 200 OK\r\ncontent-le", absl::StatusCode::kUnavailable},
        Bad{"HalfABody", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
            absl::StatusCode::kUnavailable},
        Bad{"HalfAChunk", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhalf",
            absl::StatusCode::kUnavailable},
        Bad{"NoLastChunk", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
            absl::StatusCode::kUnavailable},
        Bad{"WrongChunkSize", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            absl::StatusCode::kDataLoss},
        Bad{"HugeChunkSize",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + many(17, "f") + "\r\n",
            absl::StatusCode::kDataLoss},
        Bad{"LengthAndChunks",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n",
            absl::StatusCode::kDataLoss},
        Bad{"TwoLengths", "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
            absl::StatusCode::kDataLoss},
        Bad{"NotHttp", "220 mail.example.com ESMTP\r\n", absl::StatusCode::kDataLoss},
        Bad{"OtherVersion", "HTTP/2.0 200 OK\r\n\r\n", absl::StatusCode::kDataLoss},
        Bad{"OtherProtocol", "HTTP/1.1 101 S\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
            absl::StatusCode::kDataLoss},
        Bad{"InterimForEver", many(1000, "HTTP/1.1 100 Continue\r\n\r\n"),
            absl::StatusCode::kDataLoss},
        Bad{"LongHeader", "HTTP/1.1 200 OK\r\nx: " + std::string(100'000, 'x') + "\r\n\r\n",
            absl::StatusCode::kResourceExhausted},
        Bad{"ManyHeaders", "HTTP/1.1 200 OK\r\n" + many(5000, "x: y\r\n") + "\r\n",
            absl::StatusCode::kResourceExhausted},
        Bad{"ManyTrailers",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n" + many(5000, "x: y\r\n"),
            absl::StatusCode::kResourceExhausted},
        Bad{"LongBody", "HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n",
            absl::StatusCode::kResourceExhausted},
        Bad{"LongBodyUntilClose", "HTTP/1.1 200 OK\r\n\r\n" + std::string(1001, 'x'),
            absl::StatusCode::kResourceExhausted}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(Http1Client, InterimAnswersAreSkipped) {
  ScriptedServer server(
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
      "HTTP/1.1 204 No Content\r\ny: z\r\n\r\n");
  ClientLoop client(server.port());
  const auto answer = client.fetch({});
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->status, 204);
  EXPECT_FALSE(answer->header("link"));
  EXPECT_EQ(answer->header("y"), "z");
}

TEST(Http1Client, AnswersThatHaveNoBodyHaveNoneWhateverTheySay) {
  for (const std::string chunks : {"", "transfer-encoding: chunked\r\n"}) {
    ScriptedServer server(concat("HTTP/1.1 100 Continue\r\n", chunks,
                                 "\r\nHTTP/1.1 204 No Content\r\n", chunks,
                                 "\r\n5\r\nhello\r\n0\r\n\r\n"));
    ClientLoop client(server.port());
    const auto answer = client.fetch({});
    ASSERT_TRUE(answer.ok()) << answer.status();
    EXPECT_EQ(answer->status, 204);
    EXPECT_EQ(answer->body, "");
  }
}

TEST(Http1Client, BodyMayEndWithTheConnection) {
  ScriptedServer server("HTTP/1.0 200 OK\r\n\r\nall of it");
  ClientLoop client(server.port());
  const auto answer = client.fetch({});
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->body, "all of it");
}

TEST(Http1Client, ResetInMidBodyIsUnavailable) {
  ScriptedServer server(1, [](int fd, const std::string&) {
    send_all(fd, "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf");
    reset_at_close(fd);
  });
  ClientLoop client(server.port());
  const auto answer = client.fetch({});
  EXPECT_EQ(answer.status().code(), absl::StatusCode::kUnavailable) << answer.status();
}

TEST(Http1Client, AnswerThatComesBeforeTheBodyIsHeard) {
  std::promise<void> done;
  ScriptedServer server(1, [&](int fd, const std::string&) {
    send_all(fd,
             "HTTP/1.1 412 Precondition Failed\r\ncontent-length: 19\r\n\r\ncluster ID mismatch");
    done.get_future().wait();
  });
  ClientLoop client(server.port());
  AnswerRecorder answer;
  const auto call = client.client->start({.method = "POST", .body_follows = true}, {}, answer);
  ASSERT_TRUE(client.run_until([&] {
    if (call->queued_bytes() < 1024 * 1024) call->write(Bytes(100'000, 'x'));
    return answer.done();
  }));
  done.set_value();
  EXPECT_TRUE(answer.status->ok()) << *answer.status;
  EXPECT_EQ(answer.response.status, 412);
  EXPECT_EQ(answer.response.body, "cluster ID mismatch");
}

TEST(Http1Client, CallMayBeDestroyedInEachCallback) {
  TestServer server;
  ClientLoop client(server.port());
  for (const int at : {1, 2, 3}) {
    AnswerRecorder answer;
    std::unique_ptr<Http1Call> call;
    int told = 0;
    answer.then = [&] {
      if (++told == at) call.reset();
    };
    call = client.client->start({.target = "/big"}, {}, answer);
    ASSERT_TRUE(client.run_until([&] { return told == at; }));
    EXPECT_FALSE(answer.done());
  }
  EXPECT_TRUE(client.run_until([&] { return server.server().connection_count() == 0; }));
}

TEST(Http1Client, ClosedClientTellsItsFetches) {
  TestServer server;
  ClientLoop client(server.port());
  std::optional<absl::Status> status;
  client.client->fetch({.target = "/"}, {},
                       [&](absl::StatusOr<Http1Response> answer) { status = answer.status(); });
  client.client.reset();
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(status->code(), absl::StatusCode::kCancelled);
}

TEST(Http1Client, TooManyFetchesAtOnceAreRefused) {
  TestServer server;
  ClientLoop client(server.port(), {.max_fetches = 1});
  std::vector<absl::StatusCode> codes;
  for (int i = 0; i < 2; ++i) {
    client.client->fetch({.target = "/"}, {}, [&](absl::StatusOr<Http1Response> answer) {
      codes.push_back(answer.status().code());
    });
  }
  ASSERT_TRUE(client.run_until([&] { return codes.size() == 2; }));
  EXPECT_THAT(codes,
              ::testing::ElementsAre(absl::StatusCode::kResourceExhausted, absl::StatusCode::kOk));
}

TEST(Http1Client, PausedCallLeavesTheRestInTheSocket) {
  std::atomic<std::size_t> sent{0};
  constexpr std::size_t kPieces = 1024;
  ScriptedServer server(1, [&](int fd, const std::string&) {
    send_all(fd, "HTTP/1.1 200 OK\r\n\r\n");
    const std::string piece(64 * 1024, 'x');
    while (sent < kPieces && send_all(fd, piece)) ++sent;
  });
  ClientLoop client(server.port());
  AnswerRecorder answer;
  answer.keep_body = false;
  std::unique_ptr<Http1Call> call;
  // Paused: silence does not count, and what arrives stays where it is.
  // The head may come alone: the pause begins with the body.
  answer.then = [&] {
    if (answer.body_bytes > 0) call->pause_reading();
  };
  call = client.client->start({}, {.read_idle = milliseconds(5'000)}, answer);
  ASSERT_TRUE(client.run_until([&] { return answer.body_bytes > 0; }));
  const std::size_t before = answer.body_bytes;
  for (int i = 0; i < 20; ++i) client.loop.run_turn(milliseconds(1));
  EXPECT_EQ(answer.body_bytes, before);
  EXPECT_LE(before, EventLoop::kReadBufferBytes);
  EXPECT_LT(sent, kPieces);
  answer.then = nullptr;
  call->resume_reading();
  ASSERT_TRUE(client.run_until([&] { return answer.done(); }));
  EXPECT_TRUE(answer.status->ok()) << *answer.status;
  EXPECT_EQ(answer.body_bytes, kPieces * 64 * 1024);
}

TEST(Http1Client, ProducerIsToldWhenThereIsRoom) {
  constexpr std::size_t kTotal = 64UL * 1024 * 1024;
  std::atomic<std::size_t> received{0};
  ScriptedServer server(1, [&](int fd, const std::string& head) {
    EXPECT_THAT(head, HasSubstr("transfer-encoding: chunked\r\n"));
    std::string tail;
    char some[65536];
    while (!tail.ends_with("0\r\n\r\n")) {
      const ssize_t n = ::recv(fd, some, sizeof some, 0);
      if (n <= 0) return;
      received += static_cast<std::size_t>(n);
      tail = (tail + std::string(some, static_cast<std::size_t>(n)));
      tail = tail.substr(tail.size() - std::min<std::size_t>(tail.size(), 8));
    }
    send_all(fd, "HTTP/1.1 204 No Content\r\n\r\n");
  });
  ClientLoop client(server.port());
  AnswerRecorder answer;
  std::unique_ptr<Http1Call> call;
  std::size_t produced = 0;
  std::size_t peak = 0;
  const auto piece = std::make_shared<const Bytes>(32 * 1024, 'x');
  answer.produce = [&] {
    while (produced < kTotal && call->queued_bytes() < 256 * 1024) {
      call->write(Slice(piece));
      produced += piece->size();
      peak = std::max(peak, call->queued_bytes());
    }
    if (produced == kTotal) call->finish();
  };
  call = client.client->start({.method = "POST", .body_follows = true},
                              {.read_idle = milliseconds(20'000)}, answer);
  answer.produce();
  ASSERT_TRUE(client.run_until([&] { return answer.done(); }));
  EXPECT_TRUE(answer.status->ok()) << *answer.status;
  EXPECT_EQ(answer.response.status, 204);
  EXPECT_GT(received, kTotal);
  EXPECT_LT(peak, 300U * 1024);
}

TEST(DialAddress, ParsesWhatCanBeDialed) {
  const auto v6 = DialAddress::parse("https://[::1]:2380/");
  ASSERT_TRUE(v6.ok());
  EXPECT_EQ(v6->host, "::1");
  EXPECT_EQ(v6->authority(), "[::1]:2380");
  EXPECT_TRUE(v6->tls);
  const auto unix_socket = DialAddress::parse("unixs://a.sock:1");
  ASSERT_TRUE(unix_socket.ok());
  EXPECT_EQ(unix_socket->unix_path, "a.sock:1");
  EXPECT_EQ(unix_socket->authority(), "localhost");
  EXPECT_TRUE(unix_socket->tls);
  for (const char* bad :
       {"", "127.0.0.1:2380", "http://", "http://h", "http://h:0", "http://h:65536", "http://:1",
        "http://h:1/path", "ftp://h:1", "http://a b:1", "http://::1:1", "http://[::1:1", "unix://",
        "http://user@h:1", "http://h\r\nx:1"}) {
    EXPECT_EQ(DialAddress::parse(bad).status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

TEST(Dialer, GivesUpAnAttempt) {
  TestServer server;
  ClientLoop client(server.port());
  bool told = false;
  auto attempt = client.dialer->dial(client.loop, client.client->address(), milliseconds(1000),
                                     [&](auto) { told = true; });
  attempt.reset();
  for (int i = 0; i < 5; ++i) client.loop.run_turn(milliseconds(5));
  EXPECT_FALSE(told);
}

TEST(Resolver, TellsEveryoneWhoAsks) {
  EventLoop loop;
  Resolver resolver;
  std::vector<std::unique_ptr<Resolver::Lookup>> lookups;
  int told = 0;
  for (int i = 0; i < 40; ++i) {
    lookups.push_back(resolver.resolve(loop, "localhost", std::to_string(1 + i % 10),
                                       [&](absl::StatusOr<Resolver::Addresses> found) {
                                         EXPECT_TRUE(found.ok()) << found.status();
                                         ++told;
                                       }));
  }
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (told < 40 && std::chrono::steady_clock::now() < deadline) loop.run_turn(milliseconds(1));
  EXPECT_EQ(told, 40);
}

TEST(Resolver, ForgetsWithdrawnQuestions) {
  EventLoop loop;
  bool told = false;
  {
    Resolver resolver;
    for (int i = 0; i < 3; ++i) {
      resolver.resolve(loop, "localhost", "1", [&](auto) { told = true; });  // withdrawn at once
    }
  }
  loop.run_turn(milliseconds(1));
  EXPECT_FALSE(told);
}

}  // namespace
}  // namespace holdfast::net
