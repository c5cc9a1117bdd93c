#include "operator/web/page.h"

#include <httplib.h>

#include <memory>
#include <optional>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/web/fake_reviews.h"

namespace holdfast::web {
namespace {

using testing::HasSubstr;
using testing::Not;

ClusterView cluster(const kube::ObjectKey& key) {
  api::HoldfastCluster cluster;
  cluster.metadata.ns = key.ns;
  cluster.metadata.name = key.name;
  return view_of(std::move(cluster), {}, absl::Now());
}

/// A page of two clusters, apps/db and billing/ledger.
class Page : public testing::Test {
 protected:
  void SetUp() override {
    api_.in_namespace = {{"bob", "apps"}};
    api_.everywhere = {"alice"};
    api_.other = [](const kube::Request&) -> absl::StatusOr<kube::Json> {
      return kube::parse_json(R"({"metadata":{"resourceVersion":"1"},"items":[
        {"reason":"Older","note":"n","type":"Normal","eventTime":"2026-01-01T00:00:00.000000Z",
         "regarding":{"namespace":"apps","name":"db"}},
        {"reason":"Newer","note":"n","type":"Warning","eventTime":"2026-01-01T00:00:00.000000Z",
         "series":{"count":3,"lastObservedTime":"2026-01-01T00:05:00.000000Z"},
         "regarding":{"namespace":"apps","name":"db"}},
        {"reason":"Other","note":"n","regarding":{"namespace":"billing","name":"ledger"}}]})");
    };
    page_ = std::make_unique<FleetPage>(
        Sources{[] { return std::vector<kube::ObjectKey>{{"apps", "db"}, {"billing", "ledger"}}; },
                [](const kube::ObjectKey& key) { return std::optional(cluster(key)); },
                [this](const std::optional<kube::ObjectKey>&) { ++looks_; }, "1.2.3"},
        access_, events_);
    ASSERT_TRUE(page_->start("127.0.0.1", 0).ok());
  }

  httplib::Result get(const std::string& path, const httplib::Headers& headers = {}) {
    httplib::Client client("127.0.0.1", page_->port());
    return client.Get(path, headers);
  }
  static httplib::Headers as(const std::string& token) {
    return {{"Authorization", "Bearer " + token}};
  }

  FakeReviews api_;
  Access access_{api_};
  RecentEvents events_{api_, {}};
  std::atomic<int> looks_{0};
  std::unique_ptr<FleetPage> page_;
};

TEST_F(Page, WithoutATokenNothingOfAClusterIsSaid) {
  for (const char* path : {"/api/v1/clusters", "/api/v1/clusters/apps/db"}) {
    for (const httplib::Headers& headers : {httplib::Headers{}, as("stranger"), as("")}) {
      const auto answer = get(path, headers);
      ASSERT_TRUE(answer);
      EXPECT_EQ(answer->status, 401) << path;
      EXPECT_THAT(answer->get_header_value("WWW-Authenticate"), HasSubstr("Bearer"));
      EXPECT_THAT(answer->body, Not(HasSubstr("ledger")));
    }
  }
  EXPECT_EQ(looks_, 0);
}

TEST_F(Page, ABrowserWithoutATokenIsLedToThePage) {
  const auto answer = get("/api/v1/clusters/apps/db", {{"Accept", "text/html,*/*"}});
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 401);
  EXPECT_THAT(answer->body, HasSubstr("href=\"../../../../\""));
}

TEST_F(Page, EverybodySeesWhatTheyMayList) {
  const auto all = get("/api/v1/clusters", as("alice"));
  ASSERT_TRUE(all);
  const kube::Json seen = *kube::parse_json(all->body);
  EXPECT_EQ(seen["clusters"].size(), 2U);
  EXPECT_EQ(seen["user"], "alice");
  EXPECT_EQ(seen["release"], "1.2.3");
  const auto some = get("/api/v1/clusters", as("bob"));
  EXPECT_THAT(some->body, HasSubstr("\"db\""));
  EXPECT_THAT(some->body, Not(HasSubstr("ledger")));
}

TEST_F(Page, WhatMayNotBeListedIsNotThere) {
  EXPECT_EQ(get("/api/v1/clusters/billing/ledger", as("bob"))->status, 404);
  EXPECT_EQ(get("/api/v1/clusters/billing/ledger", as("alice"))->status, 200);
}

TEST_F(Page, TheTokenMayComeWhereProxiesLeaveIt) {
  const auto answer = get("/api/v1/clusters", {{"Holdfast-Authorization", "Bearer alice"}});
  EXPECT_EQ(answer->status, 200);
}

TEST_F(Page, AnApiThatCannotBeAskedIsSaidSo) {
  api_.broken = true;
  const auto answer = get("/api/v1/clusters", as("alice"));
  EXPECT_EQ(answer->status, 503);
  EXPECT_THAT(answer->body, HasSubstr("cannot be asked"));
}

TEST_F(Page, OneClusterComesWithItsEventsNewestFirst) {
  const kube::Json seen = *kube::parse_json(get("/api/v1/clusters/apps/db", as("bob"))->body);
  ASSERT_EQ(seen["events"].size(), 2U);
  EXPECT_EQ(seen["events"][0]["reason"], "Newer");
  EXPECT_EQ(seen["events"][0]["count"], 3);
  EXPECT_EQ(seen["events"][0]["warning"], true);
  EXPECT_EQ(seen["events"][1]["reason"], "Older");
}

TEST_F(Page, EventsAreListedOnceForAllThatLook) {
  int listed = 0;
  const auto list = api_.other;
  api_.other = [&](const kube::Request& request) {
    ++listed;
    return list(request);
  };
  for (int i = 0; i < 5; ++i) get("/api/v1/clusters/apps/db", as("alice"));
  EXPECT_EQ(listed, 1);
}

TEST_F(Page, OnlyOurOwnFilesMayRun) {
  for (const char* path : {"/", "/app.js", "/app.css", "/icon.svg", "/api/v1/clusters", "/none"}) {
    const auto answer = get(path);
    ASSERT_TRUE(answer) << path;
    EXPECT_THAT(answer->get_header_value("Content-Security-Policy"),
                HasSubstr("default-src 'none'"))
        << path;
    EXPECT_EQ(answer->get_header_value("Cache-Control"), "no-store") << path;
  }
  const std::string page = get("/")->body;
  EXPECT_THAT(page, Not(HasSubstr("http://")));
  EXPECT_THAT(page, Not(HasSubstr("https://")));
  EXPECT_THAT(page, Not(HasSubstr("style=")));
  EXPECT_THAT(page, Not(HasSubstr("onclick")));
}

TEST_F(Page, NothingButGetIsAnswered) {
  httplib::Client client("127.0.0.1", page_->port());
  EXPECT_EQ(client.Post("/api/v1/clusters", as("alice"), "{}", "application/json")->status, 404);
  EXPECT_EQ(client.Delete("/api/v1/clusters/apps/db", as("alice"))->status, 404);
}

TEST_F(Page, IsPackedForWhoCanUnpack) {
  const auto plain = get("/app.js");
  const auto packed = get("/app.js", {{"Accept-Encoding", "gzip"}});
  EXPECT_EQ(packed->get_header_value("Content-Encoding"), "gzip");
  EXPECT_EQ(packed->body, plain->body);  // the client unpacks
}

}  // namespace
}  // namespace holdfast::web
