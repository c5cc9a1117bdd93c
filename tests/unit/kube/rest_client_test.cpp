#include "operator/kube/rest_client.h"

#include <filesystem>
#include <fstream>

#include "gtest/gtest.h"
#include "tests/unit/kube/scripted_server.h"

namespace holdfast::kube {
namespace {

using Heard = ScriptedServer::Heard;
using Send = ScriptedServer::Send;

const ObjectKey kKey{.ns = "default", .name = "x"};
const Json kObject = {{"apiVersion", "v1"},
                      {"kind", "ConfigMap"},
                      {"metadata", {{"name", "x"}, {"namespace", "default"}}}};

class RestClientTest : public testing::Test, public ClientFixture {};

TEST_F(RestClientTest, ConnectionIsKeptForTheNextRequest) {
  ScriptedServer server([&](int, const Heard&, const Send& send) {
    send(answer(200, R"({"metadata":{"name":"x"}})"));
    return true;
  });
  auto client = connect(server.port());
  for (int i = 0; i < 5; ++i) {
    const auto object = client->get(kConfigMaps, kKey);
    ASSERT_TRUE(object.ok()) << object.status();
    EXPECT_EQ(name_of(*object), "x");
  }
  EXPECT_EQ(server.heard().size(), 5U);
  EXPECT_EQ(server.heard()[0].target, "/api/v1/namespaces/default/configmaps/x");
  EXPECT_NE(
      registry.text().find(R"(holdfast_operator_kube_requests_total{verb="get",code="200"} 5)"),
      std::string::npos)
      << registry.text();
}

TEST_F(RestClientTest, ThrottledRequestIsRepeatedAfterRetryAfter) {
  ScriptedServer server([](int number, const Heard&, const Send& send) {
    number == 0
        ? send(answer(429, status_body(429, "TooManyRequests", "slow down"), "Retry-After: 1\r\n"))
        : send(answer(201, "{}"));
    return true;
  });
  auto client = connect(server.port());
  const auto began = std::chrono::steady_clock::now();
  EXPECT_TRUE(client->create(kConfigMaps, kObject).ok());
  EXPECT_GE(std::chrono::steady_clock::now() - began, std::chrono::seconds(1));
  EXPECT_EQ(server.heard().size(), 2U);
}

TEST_F(RestClientTest, RetryAfterBeyondTheTimeoutIsTheCallersMatter) {
  ScriptedServer server([](int, const Heard&, const Send& send) {
    send(answer(429, status_body(429, "TooManyRequests", "slow down"), "Retry-After: 20\r\n"));
    return true;
  });
  auto client = connect(server.port());
  const auto got = client->get(kConfigMaps, kKey, {.timeout = std::chrono::seconds(5)});
  EXPECT_TRUE(absl::IsResourceExhausted(got.status())) << got.status();
  EXPECT_EQ(fate_of(got.status()), Fate::kRetry);
  EXPECT_EQ(api_error(got.status())->retry_after, std::chrono::seconds(20));
  EXPECT_EQ(server.heard().size(), 1U);
}

TEST_F(RestClientTest, RefusedEvictionIsNotRepeated) {
  ScriptedServer server([](int, const Heard&, const Send& send) {
    send(answer(429, status_body(429, "TooManyRequests", "the budget needs 2 healthy pods")));
    return true;
  });
  auto client = connect(server.port());
  const absl::Status refused = client->evict(kKey);
  EXPECT_TRUE(absl::IsResourceExhausted(refused)) << refused;
  EXPECT_EQ(server.heard().size(), 1U);
  EXPECT_EQ(server.heard()[0].target, "/api/v1/namespaces/default/pods/x/eviction");
}

TEST_F(RestClientTest, FailingServerIsAskedABoundedNumberOfTimes) {
  ScriptedServer server([](int, const Heard&, const Send& send) {
    send(answer(500, "boom"));
    return true;
  });
  auto client = connect(server.port());
  const auto got = client->get(kConfigMaps, kKey);
  EXPECT_TRUE(absl::IsInternal(got.status())) << got.status();
  EXPECT_EQ(fate_of(got.status()), Fate::kRetry);
  EXPECT_EQ(server.heard().size(), 5U);
}

TEST_F(RestClientTest, CreateOfUnknownOutcomeIsNeverRepeated) {
  ScriptedServer server([](int, const Heard&, const Send&) { return false; });
  auto client = connect(server.port());
  const auto made = client->create(kConfigMaps, kObject);
  EXPECT_EQ(fate_of(made.status()), Fate::kUnknown) << made.status();
  EXPECT_EQ(server.heard().size(), 1U);
}

TEST_F(RestClientTest, ApplyThatGotNoAnswerIsRepeated) {
  ScriptedServer server([](int number, const Heard&, const Send& send) {
    if (number < 2) {
      return false;
    }
    send(answer(200, "{}"));
    return true;
  });
  auto client = connect(server.port());
  const auto applied = client->apply(kConfigMaps, kObject, {.field_manager = "m", .force = true});
  EXPECT_TRUE(applied.ok()) << applied.status();
  ASSERT_EQ(server.heard().size(), 3U);
  EXPECT_EQ(server.heard()[2].target,
            "/api/v1/namespaces/default/configmaps/x?fieldManager=m&force=true");
  EXPECT_NE(server.heard()[2].head.find("application/apply-patch+yaml"), std::string::npos);
}

TEST_F(RestClientTest, UnreachableServerIsRetriedWhateverTheVerb) {
  int port = 0;
  {
    const ScriptedServer gone([](int, const Heard&, const Send&) { return false; });
    port = gone.port();
  }
  auto client = connect(port);
  const auto made = client->create(kConfigMaps, kObject);
  EXPECT_TRUE(absl::IsUnavailable(made.status())) << made.status();
  EXPECT_EQ(fate_of(made.status()), Fate::kRetry);
}

TEST_F(RestClientTest, BrokenChunkIsNotTakenForAnAnswer) {
  ScriptedServer server([](int number, const Heard&, const Send& send) {
    if (number == 0) {
      send(chunked_head());
      send("40\r\n{\"metadata\":");
      return false;
    }
    send(chunked_head());
    send(chunk(R"({"metadata":)"));
    send(chunk(R"({"name":"x"}})"));
    send("0\r\n\r\n");
    return true;
  });
  auto client = connect(server.port());
  const auto got = client->get(kConfigMaps, kKey);
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(name_of(*got), "x");
  EXPECT_EQ(server.heard().size(), 2U);
}

TEST_F(RestClientTest, AnswerThatIsNotJsonIsAnError) {
  ScriptedServer server([](int, const Heard&, const Send& send) {
    send(answer(200, "<html>a proxy's page</html>"));
    return true;
  });
  auto client = connect(server.port());
  const auto got = client->get(kConfigMaps, kKey);
  EXPECT_TRUE(absl::IsInternal(got.status())) << got.status();
}

TEST_F(RestClientTest, AnswerBeyondTheBoundIsCutOff) {
  ScriptedServer server([](int, const Heard&, const Send& send) {
    send(answer(200, "\"" + std::string(1'000'000, 'x') + "\""));
    return true;
  });
  auto client = connect(
      server.port(), [](Config&, RestClientOptions& options) { options.max_body_bytes = 10'000; });
  const auto got = client->get(kConfigMaps, kKey);
  EXPECT_TRUE(absl::IsResourceExhausted(got.status())) << got.status();
  EXPECT_EQ(server.heard().size(), 1U);
}

TEST_F(RestClientTest, SilentServerIsGivenUpAtTheTimeout) {
  ScriptedServer* held = nullptr;
  ScriptedServer server([&held](int, const Heard&, const Send&) {
    held->hold();
    return false;
  });
  held = &server;
  auto client = connect(server.port());
  const auto got = client->get(kConfigMaps, kKey, {.timeout = std::chrono::milliseconds(300)});
  EXPECT_TRUE(absl::IsUnavailable(got.status())) << got.status();
}

TEST_F(RestClientTest, TricklingServerIsGivenUpAtTheTimeout) {
  ScriptedServer* self = nullptr;
  ScriptedServer server([&self](int, const Heard&, const Send& send) {
    send(chunked_head());
    while (!self->closing()) {
      send(chunk(" "));
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return false;
  });
  self = &server;
  auto client = connect(server.port());
  const auto got = client->get(kConfigMaps, kKey, {.timeout = std::chrono::milliseconds(300)});
  EXPECT_FALSE(got.ok());
}

TEST_F(RestClientTest, CancellationEndsARequestUnderWay) {
  ScriptedServer* held = nullptr;
  ScriptedServer server([&held](int, const Heard&, const Send&) {
    held->hold();
    return false;
  });
  held = &server;
  auto client = connect(server.port());
  Cancellation cancellation;
  std::thread canceller([&] {
    EXPECT_TRUE(server.wait_for(1));
    cancellation.cancel();
  });
  const auto got = client->get(kConfigMaps, kKey, {.cancellation = &cancellation});
  canceller.join();
  EXPECT_TRUE(absl::IsCancelled(got.status())) << got.status();
  EXPECT_TRUE(
      absl::IsCancelled(client->get(kConfigMaps, kKey, {.cancellation = &cancellation}).status()));
}

TEST_F(RestClientTest, ExpiredTokenIsReadAgainAtOnce) {
  const std::string file = testing::TempDir() + "kube-token-" + std::to_string(::getpid());
  std::ofstream(file) << "old\n";
  ScriptedServer server([&file](int, const Heard& request, const Send& send) {
    if (request.head.find("Bearer new\r\n") != std::string::npos) {
      send(answer(200, "{}"));
    } else {
      std::ofstream(file) << "new\n";
      send(answer(401, status_body(401, "Unauthorized", "expired")));
    }
    return true;
  });
  auto client =
      connect(server.port(), [&](Config& config, RestClientOptions&) { config.token_file = file; });
  const auto got = client->get(kConfigMaps, kKey);
  EXPECT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(server.heard().size(), 2U);
  std::filesystem::remove(file);
}

TEST_F(RestClientTest, RefusedCredentialsAreNotOfferedForEver) {
  ScriptedServer server([](int, const Heard&, const Send& send) {
    send(answer(401, status_body(401, "Unauthorized", "who are you")));
    return true;
  });
  auto client = connect(server.port());
  EXPECT_TRUE(absl::IsUnauthenticated(client->get(kConfigMaps, kKey).status()));
  EXPECT_EQ(server.heard().size(), 2U);
}

TEST_F(RestClientTest, OwnRateLimitRefusesWhatCannotBeInTime) {
  ScriptedServer server([](int, const Heard&, const Send& send) {
    send(answer(200, "{}"));
    return true;
  });
  auto client = connect(server.port(), [](Config&, RestClientOptions& options) {
    options.requests_per_second = 0.01;
    options.burst = 2;
  });
  EXPECT_TRUE(client->get(kConfigMaps, kKey).ok());
  EXPECT_TRUE(client->get(kConfigMaps, kKey).ok());
  const auto got = client->get(kConfigMaps, kKey);
  EXPECT_TRUE(absl::IsUnavailable(got.status())) << got.status();
  EXPECT_EQ(server.heard().size(), 2U);
}

TEST_F(RestClientTest, AbsentGroupAndAbsentKindAreNotServed) {
  ScriptedServer server([](int, const Heard& request, const Send& send) {
    request.target == "/apis/cert-manager.io/v1"
        ? send(answer(404, "404 page not found"))
        : send(answer(200,
                      R"({"resources":[{"name":"deployments"},{"name":"deployments/scale"}]})"));
    return true;
  });
  auto client = connect(server.port());
  const auto absent = client->serves({.group = "cert-manager.io", .version = "v1", .plural = "x"});
  ASSERT_TRUE(absent.ok()) << absent.status();
  EXPECT_FALSE(*absent);
  EXPECT_TRUE(*client->serves({.group = "apps", .version = "v1", .plural = "deployments"}));
  EXPECT_FALSE(*client->serves({.group = "apps", .version = "v1", .plural = "unheardof"}));
}

TEST_F(RestClientTest, NameCannotLeadToAnotherPath) {
  ScriptedServer server([](int, const Heard&, const Send& send) {
    send(answer(200, "{}"));
    return true;
  });
  auto client = connect(server.port());
  ASSERT_TRUE(client->get(kConfigMaps, {.ns = "a", .name = "../../secrets/b?x"}).ok());
  EXPECT_EQ(server.heard()[0].target, "/api/v1/namespaces/a/configmaps/..%2F..%2Fsecrets%2Fb%3Fx");
  EXPECT_FALSE(client->get(kConfigMaps, {.ns = "", .name = "x"}).ok());
}

TEST_F(RestClientTest, DeletionCarriesItsPreconditions) {
  ScriptedServer server([](int, const Heard&, const Send& send) {
    send(answer(200, "{}"));
    return true;
  });
  auto client = connect(server.port());
  EXPECT_TRUE(client
                  ->remove(kConfigMaps, kKey,
                           {.uid = "u",
                            .resource_version = "7",
                            .propagation = Propagation::kForeground,
                            .grace_seconds = 0})
                  .ok());
  const auto body = parse_json(server.heard()[0].body);
  ASSERT_TRUE(body.ok()) << server.heard()[0].body;
  EXPECT_EQ(text_at(*body, {"preconditions", "uid"}), "u");
  EXPECT_EQ(text_at(*body, {"preconditions", "resourceVersion"}), "7");
  EXPECT_EQ(text_at(*body, {"propagationPolicy"}), "Foreground");
  EXPECT_EQ(integer_at(*body, {"gracePeriodSeconds"}), 0);
}

}  // namespace
}  // namespace holdfast::kube
