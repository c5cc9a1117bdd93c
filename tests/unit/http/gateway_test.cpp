#include "datastore/http/gateway.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/socket.h>

#include <future>

#include "datastore/base/errors.h"
#include "datastore/http/grpc_loopback.h"
#include "datastore/net/server.h"
#include "datastore/proto/rpc.pb.h"
#include "nlohmann/json.hpp"

namespace holdfast::http {
namespace {

using nlohmann::json;

struct Recorded {
  std::string path;
  Bytes request;
  std::vector<std::pair<std::string, std::string>> metadata;
};

/// Answers every call with what the test set.
class FakeCaller : public GrpcCaller {
 public:
  FakeCaller(Recorded& recorded, absl::StatusOr<Bytes>& answer)
      : recorded_(recorded), answer_(answer) {}
  void call(const std::string& path, Bytes request,
            std::vector<std::pair<std::string, std::string>> metadata, Done done) override {
    recorded_ = {path, std::move(request), std::move(metadata)};
    done(answer_);
  }

 private:
  Recorded& recorded_;
  absl::StatusOr<Bytes>& answer_;
};

class GatewayTest : public testing::Test {
 protected:
  Reply post(const std::string& path, const std::string& body, net::HttpHeaders headers = {}) {
    return ask({.method = "POST", .path = path, .headers = std::move(headers), .body = body});
  }
  Reply ask(const net::HttpRequest& request) {
    std::optional<Reply> result;
    gateway_.serve(request, [&](Reply reply) { result = std::move(reply); });
    EXPECT_TRUE(result.has_value());
    return result.value_or(Reply{});
  }

  Recorded recorded_;
  absl::StatusOr<Bytes> answer_ = Bytes();
  Gateway gateway_{std::make_unique<FakeCaller>(recorded_, answer_)};
};

TEST_F(GatewayTest, TranslatesBothWays) {
  etcdserverpb::RangeResponse response;
  response.mutable_header()->set_cluster_id(12101053776118486841u);
  auto* kv = response.add_kvs();
  kv->set_key("foo");
  kv->set_value(std::string("\xff\0", 2));
  kv->set_mod_revision(5);
  response.set_count(1);
  answer_ = response.SerializeAsString();

  const Reply reply = post(
      "/v3/kv/range", R"({"key":"Zm9v","sort_order":"DESCEND","limit":"7","serializable":true})");
  EXPECT_EQ(recorded_.path, "/etcdserverpb.KV/Range");
  etcdserverpb::RangeRequest request;
  ASSERT_TRUE(request.ParseFromString(recorded_.request));
  EXPECT_EQ(request.key(), "foo");
  EXPECT_EQ(request.limit(), 7);
  EXPECT_EQ(request.sort_order(), etcdserverpb::RangeRequest::DESCEND);
  EXPECT_TRUE(request.serializable());

  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(json::parse(reply.body), json::parse(R"({"header":{"cluster_id":"12101053776118486841"},
                            "kvs":[{"key":"Zm9v","mod_revision":"5","value":"/wA="}],
                            "count":"1"})"));
}

TEST_F(GatewayTest, OldPrefixAndAliasesReachTheSameMethods) {
  post("/v3beta/kv/put", R"({"key":"YQ=="})");
  EXPECT_EQ(recorded_.path, "/etcdserverpb.KV/Put");
  post("/v3/kv/lease/timetolive", R"({"ID":"1"})");
  EXPECT_EQ(recorded_.path, "/etcdserverpb.Lease/LeaseTimeToLive");
}

TEST_F(GatewayTest, UnknownFieldsAndEmptyBodiesAreTaken) {
  EXPECT_EQ(post("/v3/kv/put", R"({"nosuch":1,"key":"YQ=="})").status, 200);
  EXPECT_EQ(post("/v3/kv/put", "").status, 200);
  EXPECT_EQ(recorded_.request, "");
}

TEST_F(GatewayTest, ErrorsHaveTheCodeTheTextAndTheStatus) {
  answer_ = errors::lease_not_found();
  Reply reply = post("/v3/lease/revoke", R"({"ID":"1"})");
  EXPECT_EQ(reply.status, 404);
  EXPECT_EQ(reply.body, R"({"code":5, "message":"etcdserver: requested lease not found"})");
  answer_ = errors::future_revision();
  reply = post("/v3/kv/compaction", R"({"revision":"999"})");
  EXPECT_EQ(reply.status, 400);
  EXPECT_EQ(json::parse(reply.body)["code"], 11);
  answer_ = errors::no_leader();
  EXPECT_EQ(post("/v3/kv/range", "{}").status, 503);
}

TEST_F(GatewayTest, WhatCannotBeAskedIsRefused) {
  const Reply get = ask({.method = "GET", .path = "/v3/kv/range"});
  EXPECT_EQ(get.status, 501);
  EXPECT_EQ(get.body, R"({"code":12, "message":"Method Not Allowed"})");
  const Reply unknown = post("/v3/nosuch", "{}");
  EXPECT_EQ(unknown.status, 404);
  EXPECT_EQ(unknown.body, R"({"code":5, "message":"Not Found"})");
  for (const char* body : {R"({"key":)", R"({"key":1})", "[]", "\xff", R"({"limit":"x"})"}) {
    const Reply reply = post("/v3/kv/range", body);
    EXPECT_EQ(reply.status, 400) << body;
    EXPECT_EQ(json::parse(reply.body)["code"], 3) << body;
  }
  EXPECT_EQ(post("/v3/kv/txn", std::string(100'000, '[')).status, 400);
  EXPECT_EQ(post("/v3/watch", "{}").status, 501);
}

TEST_F(GatewayTest, PassesCredentialsAndMarkedHeadersOn) {
  post("/v3/kv/range", "{}",
       {{"authorization", "t.1"}, {"grpc-metadata-hasleader", "true"}, {"accept", "*/*"}});
  EXPECT_THAT(recorded_.metadata, testing::ElementsAre(testing::Pair("authorization", "t.1"),
                                                       testing::Pair("hasleader", "true")));
}

TEST_F(GatewayTest, EveryRouteLeadsToAMethod) {
  for (const char* path :
       {"/v3/kv/range", "/v3/kv/put", "/v3/kv/deleterange", "/v3/kv/txn", "/v3/kv/compaction",
        "/v3/lease/grant", "/v3/lease/leases", "/v3/cluster/member/list", "/v3/maintenance/status",
        "/v3/maintenance/alarm", "/v3/maintenance/transfer-leadership", "/v3/auth/status",
        "/v3/auth/user/changepw", "/v3/lock/lock", "/v3/election/leader"}) {
    EXPECT_EQ(post(path, "{}").status, 200) << path;
  }
}

TEST(GrpcLoopback, CallsTheServerAndConnectsAgainWhenItWasCut) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "Debian's gRPC is not instrumented: all that it orders would be reported";
#endif
  auto services = std::make_shared<net::GrpcServices>();
  services->unary("/t.T/Echo", [](net::CallRef call, BytesView request) {
    call->send_and_finish(net::Message(Bytes(request)));
  });
  services->unary("/t.T/Fail",
                  [](net::CallRef call, BytesView) { call->finish(errors::empty_key()); });
  net::Server server({}, services, nullptr);
  server.start();
  const auto endpoint = std::make_shared<const net::Endpoint>();
  int connected = -1;
  int connects = 0;
  const auto caller = make_grpc_loopback([&]() -> absl::StatusOr<int> {
    const absl::StatusOr<int> fd = server.connect_within(endpoint);
    connected = fd.value_or(-1);
    ++connects;
    return fd;
  });
  const auto ask = [&](const std::string& path, const Bytes& request) {
    std::promise<absl::StatusOr<Bytes>> answer;
    caller->call(path, request, {},
                 [&](absl::StatusOr<Bytes> got) { answer.set_value(std::move(got)); });
    return answer.get_future().get();
  };
  const Bytes large(1'000'000, 'x');
  EXPECT_EQ(*ask("/t.T/Echo", large), large);
  EXPECT_EQ(ask("/t.T/Fail", "").status(), errors::empty_key());
  EXPECT_EQ(ask("/t.T/Nope", "").status().code(), absl::StatusCode::kUnimplemented);
  ::shutdown(connected, SHUT_RDWR);
  EXPECT_EQ(*ask("/t.T/Echo", "again"), "again");
  EXPECT_EQ(connects, 2);
  server.stop(std::chrono::seconds(1));
}

}  // namespace
}  // namespace holdfast::http
