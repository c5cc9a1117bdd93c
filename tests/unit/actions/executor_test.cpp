#include "operator/actions/executor.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "operator/actions/status.h"
#include "operator/actions/texts.h"
#include "operator/api/names.h"
#include "operator/observe/assemble.h"
#include "operator/observe/certificates.h"

namespace holdfast::actions {
namespace {

using kube::Json;
using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

/// An API server that says yes, and keeps what it was asked.
class FakeApi final : public kube::Client {
 public:
  absl::StatusOr<Json> call(const kube::Request& request) override {
    if (request.path.find("leases") != std::string::npos) return lease(request);
    const std::string line = absl::StrCat(request.verb, " ", request.path);
    requests.push_back(line);
    bodies.push_back(request.body);
    for (const auto& [part, status] : refusals) {
      if (absl::StrContains(line, part)) return status;
    }
    auto body = kube::parse_json(request.body.empty() ? "{}" : request.body);
    if (body.ok()) (*body)["metadata"]["resourceVersion"] = "101";
    return body;
  }
  absl::Status stream(const kube::Request&, const std::function<bool(std::string_view)>&) override {
    return absl::UnimplementedError("no watches here");
  }

  std::vector<std::string> requests;
  std::vector<std::string> bodies;
  std::vector<std::pair<std::string, absl::Status>> refusals;

 private:
  static absl::StatusOr<Json> lease(const kube::Request& request) {
    if (request.method == "GET") {
      return kube::to_status({.code = 404, .reason = "NotFound"}, "get lease");
    }
    return kube::parse_json(request.body);
  }
};

class ExecutorTest : public testing::Test {
 protected:
  ExecutorTest()
      : log_(telemetry::Logger::none()),
        events_(api_, {}, *log_, 1),
        executor_(api_, events_, *log_, {.operator_namespace = "holdfast-system"}) {
    auto& cluster = pass_.snapshot.cluster;
    cluster.metadata.name = "db";
    cluster.metadata.ns = "apps";
    cluster.metadata.uid = "cluster-uid";
    cluster.metadata.resource_version = "100";
    cluster.metadata.generation = 1;
    cluster.metadata.finalizers = {std::string(api::kFinalizer)};
    cluster.spec.tls.client.enabled = false;
    cluster.spec.tls.peer.enabled = false;
    cluster.status.tls.emplace();
    pass_.now = absl::FromUnixSeconds(1'795'000'000);
    pass_.snapshot.object = std::make_shared<const Json>(api::write(cluster));
    look();
  }

  void look() {
    pass_.resolved =
        observe::resolve(pass_.snapshot, {"holdfast.dev/holdfast", "0.1.0"}, pass_.now);
    pass_.observed = observe::assemble(pass_.snapshot, pass_.resolved.wishes, {}, {}, pass_.now);
    pass_.plan = reconcile::plan(pass_.observed);
    pass_.certificates = observe::assemble_certificates(
        {pass_.snapshot, pass_.observed, pass_.plan, {}, {}, pass_.now});
    pass_.certificate_plan = reconcile::plan_certificates(pass_.certificates);
  }

  /// A term that has just begun.
  std::shared_ptr<const kube::Leadership> term() {
    kube::LeaderElector::Callbacks callbacks;
    callbacks.on_started = [this](auto leadership) { term_ = std::move(leadership); };
    callbacks.on_stopped = [] {};
    elector_ = std::make_unique<kube::LeaderElector>(
        api_, kube::LeaderElectorOptions{.lease = {"apps", "op"}, .identity = "me"}, callbacks,
        *log_, 1);
    elector_->step();
    return term_;
  }

  FakeApi api_;
  std::unique_ptr<telemetry::Logger> log_;
  kube::EventRecorder events_;
  Executor executor_;
  Pass pass_;
  std::unique_ptr<kube::LeaderElector> elector_;
  std::shared_ptr<const kube::Leadership> term_;
};

constexpr char kStatus[] =
    "apply /apis/holdfast.dev/v1alpha1/namespaces/apps/holdfastclusters/db/status";

TEST_F(ExecutorTest, TheIntentStandsInStatusBeforeAnythingIsMade) {
  const Outcome outcome = executor_.carry_out(pass_, term());
  EXPECT_TRUE(outcome.status.ok()) << outcome.status;
  EXPECT_EQ(outcome.written_version, "101");
  ASSERT_FALSE(api_.requests.empty());
  EXPECT_EQ(api_.requests.front(), kStatus);
  const auto body = kube::parse_json(api_.bodies.front());
  EXPECT_EQ(kube::text_at(*body, {"metadata", "resourceVersion"}), "100");
  EXPECT_EQ(kube::text_at(*body, {"status", "operation", "type"}), "Bootstrap");
  EXPECT_THAT(api_.requests, Contains("create /api/v1/namespaces/apps/persistentvolumeclaims"));
  EXPECT_EQ(api_.requests.back(), "create /api/v1/namespaces/apps/pods");
}

TEST_F(ExecutorTest, WhoLosesTheStatusDoesNothing) {
  api_.refusals = {{"/status", kube::to_status({.code = 409, .reason = "Conflict"}, "apply")}};
  const Outcome outcome = executor_.carry_out(pass_, term());
  EXPECT_TRUE(kube::is_conflict(outcome.status));
  EXPECT_THAT(api_.requests, ElementsAre(kStatus));
}

TEST_F(ExecutorTest, WithoutTheLeaseNothingIsWritten) {
  const auto never_led = std::make_shared<const kube::Leadership>(kube::Clock::system());
  const Outcome outcome = executor_.carry_out(pass_, never_led);
  EXPECT_TRUE(absl::IsAborted(outcome.status));
  EXPECT_THAT(api_.requests, IsEmpty());
}

TEST_F(ExecutorTest, TheFinalizerComesFirstAndAlone) {
  pass_.snapshot.cluster.metadata.finalizers.clear();
  const Outcome outcome = executor_.carry_out(pass_, term());
  EXPECT_TRUE(absl::IsAborted(outcome.status));
  EXPECT_THAT(api_.requests,
              ElementsAre("patch /apis/holdfast.dev/v1alpha1/namespaces/apps/holdfastclusters/db"));
}

TEST_F(ExecutorTest, WhatIsThereAlreadyIsNoFailure) {
  api_.refusals = {{"create", kube::to_status({.code = 409, .reason = "AlreadyExists"}, "create")}};
  EXPECT_TRUE(executor_.carry_out(pass_, term()).status.ok());
}

TEST_F(ExecutorTest, NothingDisruptiveFollowsAFailure) {
  pass_.plan.disruptive = reconcile::RemoveFinalizer{};
  api_.refusals = {
      {"persistentvolumeclaims", kube::to_status({.code = 403, .reason = "Forbidden"}, "create")}};
  const Outcome outcome = executor_.carry_out(pass_, term());
  EXPECT_TRUE(absl::IsPermissionDenied(outcome.status));
  EXPECT_THAT(api_.requests, Each(Not(HasSubstr("patch"))));
  EXPECT_THAT(api_.requests, Contains("create /api/v1/namespaces/apps/pods"))
      << "repairs do not wait for each other";
}

TEST_F(ExecutorTest, APausedClusterIsOnlyReported) {
  pass_.snapshot.cluster.spec.paused = true;
  look();
  EXPECT_TRUE(executor_.carry_out(pass_, term()).status.ok());
  EXPECT_THAT(api_.requests, ElementsAre(kStatus));
}

TEST_F(ExecutorTest, AStatusThatSaysItAlreadyIsNotWrittenAgain) {
  pass_.snapshot.cluster.spec.paused = true;
  look();
  pass_.snapshot.cluster.status = next_status(pass_);
  look();
  EXPECT_TRUE(executor_.carry_out(pass_, term()).status.ok());
  EXPECT_THAT(api_.requests, IsEmpty());
}

TEST_F(ExecutorTest, EveryConditionHasAReasonAndAMessage) {
  for (const api::Condition& condition : next_status(pass_).conditions) {
    EXPECT_FALSE(condition.reason.empty()) << condition.type;
    EXPECT_FALSE(condition.message.empty()) << condition.type;
  }
}

TEST(Texts, MembersAreCalledByName) {
  EXPECT_EQ(with_member_names("member 3 joins", "db"), "db-3 joins");
  EXPECT_EQ(with_member_names("a member is to be added; member 12, member 0", "db"),
            "a member is to be added; db-12, db-0");
  EXPECT_EQ(with_member_names("member ", "db"), "member ");
  EXPECT_EQ(with_member_names("", "db"), "");
}

}  // namespace
}  // namespace holdfast::actions
