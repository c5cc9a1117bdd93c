#include "datastore/http/pages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "datastore/base/errors.h"

namespace holdfast::http {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

/// A member whose health the test sets.
struct FakeMember : HealthSource {
  std::vector<std::string> raised;
  bool leader = true;
  bool learner = false;
  absl::Status serializable_read;
  absl::Status linearizable_read;
  bool answer_on_another_thread = false;

  std::vector<std::string> alarms() override { return raised; }
  bool has_leader() override { return leader; }
  bool is_learner() override { return learner; }
  void read(bool serializable, absl::AnyInvocable<void(absl::Status)> done) override {
    const absl::Status status = serializable ? serializable_read : linearizable_read;
    if (!answer_on_another_thread) {
      done(status);
      return;
    }
    std::thread other([&] { done(status); });
    other.join();
  }
};

/// Keeps the answer for the test.
struct Answer {
  std::optional<Reply> reply;
};

class FakeResponder : public net::HttpResponder {
 public:
  FakeResponder(net::EventLoop& loop, Answer& answer) : loop_(loop), answer_(answer) {}
  net::EventLoop& loop() const override { return loop_; }
  bool active() const override { return !answer_.reply; }
  void respond(int status, net::HttpHeaders headers, Bytes body) override {
    answer_.reply = Reply{status, std::move(headers), std::move(body)};
  }
  void start(int, net::HttpHeaders) override {}
  void write(Bytes) override {}
  void finish() override {}
  void abandon() override {}
  std::size_t queued_bytes() const override { return 0; }
  void set_on_writable(absl::AnyInvocable<void()>) override {}
  void set_on_cancelled(absl::AnyInvocable<void()>) override {}

 private:
  net::EventLoop& loop_;
  Answer& answer_;
};

class PagesTest : public testing::Test {
 protected:
  PagesTest() {
    options_.versions = [this] { return versions_; };
    log_ = telemetry::Logger::none();
  }

  Reply get(const std::string& path, const std::string& query = "") {
    return ask({.method = "GET", .path = path, .query = query, .headers = {{"host", "m:1"}}});
  }

  Reply ask(net::HttpRequest request) {
    Answer answer;
    Pages pages(options_, member_, metrics_, *log_);
    pages.on_request(std::move(request), std::make_shared<FakeResponder>(loop_, answer));
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!answer.reply && std::chrono::steady_clock::now() < deadline) {
      loop_.run_turn(std::chrono::milliseconds(10));
    }
    EXPECT_TRUE(answer.reply.has_value()) << "no answer";
    return answer.reply.value_or(Reply{});
  }

  static std::string header(const Reply& reply, const std::string& name) {
    for (const auto& [key, value] : reply.headers) {
      if (key == name) {
        return value;
      }
    }
    return "(none)";
  }

  FakeMember member_;
  telemetry::Metrics metrics_{{.release = "1.2.3"}};
  std::unique_ptr<telemetry::Logger> log_;
  Versions versions_{"3.7.1", "3.7.0", "3.7.0"};
  PagesOptions options_;
  net::EventLoop loop_;
};

TEST_F(PagesTest, HealthyMemberSaysSoInEtcdsForm) {
  const Reply reply = get("/health");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.body, R"({"health":"true","reason":""})");
  EXPECT_EQ(header(reply, "content-type"), "text/plain; charset=utf-8");
  EXPECT_EQ(header(reply, "access-control-allow-origin"), "*");
  EXPECT_EQ(metrics_.server_health_success.value(), 1u);
}

TEST_F(PagesTest, HealthNamesTheFirstReasonAgainstIt) {
  member_.linearizable_read = errors::timeout();
  EXPECT_EQ(get("/health").body,
            "{\"health\":\"false\",\"reason\":\"RANGE ERROR:etcdserver: request timed out\"}\n");
  EXPECT_EQ(get("/health", "serializable=true").status, 200);
  member_.leader = false;
  EXPECT_EQ(get("/health").body, "{\"health\":\"false\",\"reason\":\"RAFT NO LEADER\"}\n");
  EXPECT_EQ(get("/health", "serializable=true").status, 200);
  member_.raised = {"NOSPACE"};
  const Reply reply = get("/health", "serializable=true");
  EXPECT_EQ(reply.status, 503);
  EXPECT_EQ(reply.body, "{\"health\":\"false\",\"reason\":\"ALARM NOSPACE\"}\n");
  EXPECT_EQ(header(reply, "x-content-type-options"), "nosniff");
  EXPECT_EQ(get("/health", "serializable=true&exclude=NOSPACE").status, 200);
  EXPECT_EQ(metrics_.server_health_failures.value(), 3u);
}

TEST_F(PagesTest, OnlyGetIsAllowed) {
  for (const char* path : {"/health", "/livez", "/readyz/non_learner", "/version"}) {
    for (const char* method : {"POST", "HEAD", "PUT"}) {
      const Reply reply = ask({.method = method, .path = path, .headers = {{"host", "m"}}});
      EXPECT_EQ(reply.status, 405) << path;
      EXPECT_EQ(reply.body, "Method Not Allowed\n");
      EXPECT_EQ(header(reply, "allow"), "GET");
    }
  }
}

TEST_F(PagesTest, ReadyzIsOkOrTellsEveryCheck) {
  EXPECT_EQ(get("/readyz").body, "ok\n");
  EXPECT_EQ(get("/readyz", "verbose").body,
            "[+]data_corruption ok\n[+]serializable_read ok\n[+]linearizable_read ok\n"
            "[+]non_learner ok\nok\n");
  member_.raised = {"CORRUPT"};
  member_.learner = true;
  const Reply reply = get("/readyz");
  EXPECT_EQ(reply.status, 503);
  EXPECT_EQ(reply.body,
            "[-]data_corruption failed: alarm activated: CORRUPT\n[+]serializable_read ok\n"
            "[+]linearizable_read ok\n[-]non_learner failed: not supported for learner\n\n");
  EXPECT_EQ(get("/readyz", "exclude=non_learner&exclude=data_corruption").body, "ok\n");
  EXPECT_EQ(get("/livez").body, "ok\n");
}

TEST_F(PagesTest, ChecksCanBeAskedOneByOne) {
  member_.linearizable_read = errors::no_leader();
  EXPECT_EQ(get("/readyz/data_corruption", "verbose=1").body, "[+]data_corruption ok\nok\n");
  EXPECT_EQ(get("/readyz/linearizable_read").body,
            "[-]linearizable_read failed: etcdserver: no leader\n\n");
  EXPECT_EQ(get("/livez/serializable_read").body, "ok\n");
  for (const char* path : {"/readyz/nope", "/livez/non_learner", "/readyz/", "/readyzz"}) {
    EXPECT_EQ(get(path).status, 404) << path;
    EXPECT_EQ(get(path).body, "404 page not found\n");
  }
  EXPECT_THAT(metrics_.text(),
              HasSubstr("etcd_server_healthchecks_total{name=\"linearizable_read\","
                        "status=\"error\",type=\"readyz\"} 1\n"));
}

TEST_F(PagesTest, AnswersFromOtherThreadsReturnToTheLoop) {
  member_.answer_on_another_thread = true;
  EXPECT_EQ(get("/readyz", "verbose").status, 200);
  EXPECT_EQ(get("/health").status, 200);
}

TEST_F(PagesTest, VersionTellsEtcdsLevels) {
  EXPECT_EQ(get("/version").body,
            R"({"etcdserver":"3.7.1","etcdcluster":"3.7.0","storage":"3.7.0"})");
  EXPECT_EQ(header(get("/version"), "content-type"), "application/json");
  versions_ = {"3.7.1", "", ""};
  EXPECT_EQ(get("/version").body,
            R"({"etcdserver":"3.7.1","etcdcluster":"not_decided","storage":"unknown"})");
}

TEST_F(PagesTest, MetricsAreServed) {
  const Reply reply = get("/metrics");
  EXPECT_EQ(header(reply, "content-type"), "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_THAT(reply.body, HasSubstr("holdfast_build_info{release=\"1.2.3\"} 1\n"));
}

TEST_F(PagesTest, MetricsUrlsServeMetricsAndHealthAlone) {
  options_.metrics_only = true;
  EXPECT_EQ(get("/metrics").status, 200);
  EXPECT_EQ(get("/health").status, 200);
  EXPECT_EQ(header(get("/health"), "access-control-allow-origin"), "(none)");
  EXPECT_EQ(get("/version").status, 404);
  EXPECT_EQ(get("/v3/kv/range").status, 404);
}

TEST_F(PagesTest, UnknownHostsAreTurnedAway) {
  options_.host_whitelist = {"good.example", "::1"};
  const auto status_for = [&](const char* host) {
    return ask({.method = "GET", .path = "/version", .headers = {{"host", host}}}).status;
  };
  EXPECT_EQ(status_for("good.example:2379"), 200);
  EXPECT_EQ(status_for("[::1]:2379"), 200);
  EXPECT_EQ(status_for("evil.example"), 421);
  EXPECT_EQ(status_for("["), 421);
  EXPECT_EQ(status_for(""), 421);
}

TEST_F(PagesTest, OriginsAreAllowedByTheList) {
  options_.cors = {"http://good"};
  const auto origin_for = [&](const char* origin) {
    return header(
        ask({.method = "GET", .path = "/version", .headers = {{"host", "m"}, {"origin", origin}}}),
        "access-control-allow-origin");
  };
  EXPECT_EQ(origin_for("http://good"), "http://good");
  EXPECT_EQ(origin_for("http://bad"), "(none)");
  const Reply preflight = ask({.method = "OPTIONS",
                               .path = "/v3/kv/range",
                               .headers = {{"host", "m"}, {"origin", "http://good"}}});
  EXPECT_EQ(preflight.status, 200);
  EXPECT_EQ(header(preflight, "access-control-allow-methods"), "POST, GET, OPTIONS, PUT, DELETE");
}

TEST_F(PagesTest, TheGatewayRefusesCertificatesThatWouldNotCountAsUsers) {
  options_.gateway = std::make_shared<Gateway>(nullptr);
  bool name_users = true;
  options_.certificates_name_users = [&] { return name_users; };
  net::HttpRequest request{.method = "GET", .path = "/v3/nosuch", .headers = {{"host", "m"}}};
  EXPECT_EQ(ask(request).status, 404);
  request.secure = true;
  request.client_common_name = "alice";
  const Reply refused = ask(request);
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(
      refused.body,
      "CommonName of client sending a request against gateway will be ignored and not used as "
      "expected\n");
  request.path = "/version";
  EXPECT_EQ(ask(request).status, 200);
  request.path = "/v3beta/nosuch";
  EXPECT_EQ(ask(request).status, 400);
  name_users = false;
  EXPECT_EQ(ask(request).status, 404);
}

TEST_F(PagesTest, TheGatewaysRootIsAskedForWithASlash) {
  EXPECT_EQ(get("/v3").status, 404);
  options_.gateway = std::make_shared<Gateway>(nullptr);
  const Reply reply = get("/v3", "a='1'&b");
  EXPECT_EQ(reply.status, 307);
  EXPECT_EQ(header(reply, "location"), "/v3/?a='1'&b");
  EXPECT_EQ(reply.body, "<a href=\"/v3/?a=&#39;1&#39;&amp;b\">Temporary Redirect</a>.\n\n");
  const Reply posted = ask({.method = "POST", .path = "/v3", .headers = {{"host", "m"}}});
  EXPECT_EQ(posted.status, 307);
  EXPECT_EQ(header(posted, "location"), "/v3/");
  EXPECT_EQ(posted.body, "");
}

TEST_F(PagesTest, AWebSocketOfAPageFromElsewhereIsRefused) {
  options_.gateway = std::make_shared<Gateway>(nullptr);
  options_.cors = {"http://good"};
  Pages pages(options_, member_, metrics_, *log_);
  net::HttpRequest request{.method = "GET",
                           .path = "/v3/watch",
                           .headers = {{"host", "m"},
                                       {"connection", "upgrade"},
                                       {"upgrade", "websocket"},
                                       {"origin", "http://bad"}}};
  EXPECT_TRUE(pages.takes_upgrade(request));
  Answer answer;
  const auto responder = std::make_shared<FakeResponder>(loop_, answer);
  EXPECT_EQ(pages.on_upload(request, responder), nullptr);
  EXPECT_EQ(answer.reply.value_or(Reply{}).status, 403);
  answer.reply.reset();
  request.headers.back().second = "http://good";
  pages.on_upload(request, responder);
  EXPECT_EQ(answer.reply.value_or(Reply{}).status, 400) << "the handshake's own fault";
  request.path = "/version";
  EXPECT_FALSE(pages.takes_upgrade(request));
}

TEST(Query, DecodesAndSkipsWhatDoesNot) {
  const Query query("a=1&a=%32+x&b&c=%zz&=v&&exclude=");
  EXPECT_THAT(query.all("a"), ElementsAre("1", "2 x"));
  EXPECT_TRUE(query.has("b"));
  EXPECT_EQ(query.first("b"), "");
  EXPECT_FALSE(query.has("c"));
  EXPECT_TRUE(query.all("exclude").empty());
  EXPECT_FALSE(Query("a=%2").has("a"));
}

}  // namespace
}  // namespace holdfast::http
