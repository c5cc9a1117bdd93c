#include "operator/actions/executor.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "datastore/crypto/wrapping_keys.h"
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
    pass_.keys = observe::read_encryption_keys(pass_.snapshot, {});
    pass_.encryption = observe::assemble_encryption(pass_.snapshot, pass_.resolved.wishes,
                                                    pass_.plan.memory, pass_.keys, {});
    pass_.encryption_plan = reconcile::plan_encryption(pass_.encryption);
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

TEST_F(ExecutorTest, StatusSaysWhichStepAnOperationIsAtAndSinceWhen) {
  const api::ClusterStatus making = next_status(pass_);
  ASSERT_TRUE(making.operation.has_value());
  EXPECT_EQ(making.operation->step, "CreateVolume");
  EXPECT_EQ(making.operation->step_started_at, pass_.now);

  pass_.snapshot.cluster.status = making;
  pass_.now += absl::Seconds(5);
  EXPECT_EQ(next_status(pass_).operation->step_started_at, making.operation->step_started_at)
      << "the same step, a pass later";

  pass_.plan.repairs.clear();
  pass_.plan.waiting = {"Bootstrapping", "member 0 forms the cluster"};
  const api::ClusterStatus waiting = next_status(pass_);
  EXPECT_EQ(waiting.operation->step, "Bootstrapping");
  EXPECT_EQ(waiting.operation->message, "db-0 forms the cluster");
  EXPECT_EQ(waiting.operation->step_started_at, pass_.now);

  pass_.plan.disruptive = reconcile::AddLearner{0};
  EXPECT_EQ(next_status(pass_).operation->step, "AddLearner");
}

TEST_F(ExecutorTest, StatusSaysTheMembersIdOnceItHasOne) {
  EXPECT_FALSE(next_status(pass_).operation->member_id);
  pass_.observed.members.resize(1);
  pass_.observed.members[0].ordinal = 0;
  pass_.observed.members[0].registration = reconcile::Registration{.id = MemberId(0x2a)};
  EXPECT_EQ(next_status(pass_).operation->member_id, MemberId(0x2a));
}

TEST_F(ExecutorTest, StorageIsTheWorstOfItsVolumes) {
  const auto storage = [this] {
    const api::ClusterStatus status = next_status(pass_);
    return *api::find_condition(status.conditions, api::condition::kStorageHealthy);
  };
  EXPECT_EQ(storage().reason, "AsDeclared");
  pass_.plan.growing = "the volume of member 1 is being grown to 2Gi";
  EXPECT_EQ(storage().reason, "Growing");
  EXPECT_EQ(storage().status, api::ConditionStatus::kTrue);
  EXPECT_EQ(storage().message, "the volume of db-1 is being grown to 2Gi");
  pass_.plan.storage = {"VolumeFull", "no room is left on the volume of member 2"};
  EXPECT_EQ(storage().status, api::ConditionStatus::kFalse);
  EXPECT_EQ(storage().message, "no room is left on the volume of db-2");
}

TEST_F(ExecutorTest, EveryConditionHasAReasonAndAMessage) {
  for (const api::Condition& condition : next_status(pass_).conditions) {
    EXPECT_FALSE(condition.reason.empty()) << condition.type;
    EXPECT_FALSE(condition.message.empty()) << condition.type;
  }
}

TEST_F(ExecutorTest, WhoAsksForEncryptionGetsNoPlainVolume) {
  pass_.snapshot.cluster.spec.encryption_at_rest = api::EncryptionAtRest{{"mine"}};
  look();
  EXPECT_TRUE(executor_.carry_out(pass_, term()).status.ok());
  EXPECT_THAT(api_.requests, Each(Not(HasSubstr("persistentvolumeclaims"))));
  EXPECT_THAT(api_.requests, Each(Not(HasSubstr("pods"))));
  const api::ClusterStatus status = next_status(pass_);
  const auto* condition = api::find_condition(status.conditions, api::condition::kEncryptionReady);
  ASSERT_NE(condition, nullptr);
  EXPECT_EQ(condition->reason, "KeySecretMissing");
  EXPECT_FALSE(status.encryption) << "nothing was begun";
}

// -- keys of members' volumes --------------------------------------------------------------------

class KeysTest : public ExecutorTest {
 protected:
  KeysTest() {
    pass_.plan = {};
    pass_.keys.secret = "db-encryption";
    pass_.keys.wanted = {crypto::Key256(Bytes(32, 'n'))};
    pass_.keys.given = {crypto::Key256(Bytes(32, 'o'))};
    pass_.snapshot.cluster.spec.encryption_at_rest.emplace();
  }
  static std::string hex(char byte) { return absl::BytesToHexString(std::string(32, byte)); }
  /// The body of what was asked of Secrets.
  Json body_of(const std::string& request) {
    for (std::size_t i = 0; i < api_.requests.size(); ++i) {
      if (api_.requests[i] == request) return *kube::parse_json(api_.bodies[i]);
    }
    return nullptr;
  }
  void stand(const std::string& name, const std::string& owner) {
    pass_.snapshot.standing[{"Secret", name}] = std::make_shared<const Json>(
        Json{{"kind", "Secret"},
             {"metadata",
              {{"name", name},
               {"uid", "kept-uid"},
               {"resourceVersion", "7"},
               {"annotations", {{"holdfast.dev/owner-uid", owner}}}}}});
  }
};

TEST_F(KeysTest, AGeneratedKeyStaysWithTheVolumesThatNeedIt) {
  pass_.encryption_plan.step = reconcile::GenerateKeys{};
  EXPECT_TRUE(executor_.carry_out(pass_, term()).status.ok());
  const Json secret = body_of("create /api/v1/namespaces/apps/secrets");
  EXPECT_EQ(secret["metadata"]["name"], "db-encryption");
  EXPECT_FALSE(secret["metadata"].contains("ownerReferences"));
  EXPECT_EQ(secret["metadata"]["annotations"]["holdfast.dev/owner-uid"], "cluster-uid");
  const auto keys = crypto::parse_wrapping_keys(observe::secret_value(secret, "keys"), "it");
  ASSERT_TRUE(keys.ok()) << keys.status();
  EXPECT_EQ(keys->size(), 1U);
}

TEST_F(KeysTest, AKeyGoesWithTheVolumes) {
  pass_.snapshot.cluster.spec.storage.retention = api::VolumeRetention::kDelete;
  stand("db-encryption", "cluster-uid");
  stand("db-keys", "an-earlier-cluster");
  EXPECT_TRUE(executor_.carry_out(pass_, term()).status.ok());
  const Json patch = body_of("patch /api/v1/namespaces/apps/secrets/db-encryption");
  EXPECT_EQ(patch["metadata"]["ownerReferences"][0]["uid"], "cluster-uid");
  EXPECT_EQ(body_of("patch /api/v1/namespaces/apps/secrets/db-keys"), nullptr);
}

TEST_F(KeysTest, MembersAreGivenTheNewKeyAndTheOneBefore) {
  stand("db-keys", "cluster-uid");
  pass_.encryption_plan.step = reconcile::GiveKeys{
      {observe::name_of(pass_.keys.wanted[0]), observe::name_of(pass_.keys.given[0])}};
  EXPECT_TRUE(executor_.carry_out(pass_, term()).status.ok());
  const Json patch = body_of("patch /api/v1/namespaces/apps/secrets/db-keys");
  EXPECT_EQ(patch["metadata"]["resourceVersion"], "7") << "over what was seen, or not at all";
  const std::string text = observe::secret_value(patch, "keys");
  ASSERT_NE(text.find(hex('n')), std::string::npos);
  ASSERT_NE(text.find(hex('o')), std::string::npos);
  EXPECT_LT(text.find(hex('n')), text.find(hex('o')));
}

TEST_F(KeysTest, StatusTellsKeysByTheirNamesAndWhoIsBehind) {
  pass_.resolved.member.keys_secret = "db-keys";
  pass_.encryption_plan.remember = {"n", "o"};
  pass_.encryption_plan.key = "n";
  pass_.encryption_plan.behind = {1};
  const api::ClusterStatus status = next_status(pass_);
  ASSERT_TRUE(status.encryption);
  EXPECT_EQ(status.encryption->key_id, "n");
  EXPECT_THAT(status.encryption->key_ids, ElementsAre("n", "o"));
  EXPECT_THAT(status.encryption->members_behind, ElementsAre("db-1"));
}

// -- root's password -----------------------------------------------------------------------------

class RootPasswordTest : public ExecutorTest {
 protected:
  RootPasswordTest() {
    pass_.plan = {};
    pass_.passwords.secret = "db-root";
    pass_.passwords.wanted = "the-new-one";
    pass_.session->offer({{"root", "the-new-one"}});
  }
  /// The body of what was asked of Secrets.
  Json body_of(const std::string& request) {
    for (std::size_t i = 0; i < api_.requests.size(); ++i) {
      if (api_.requests[i] == request) return *kube::parse_json(api_.bodies[i]);
    }
    return nullptr;
  }
  void stand() {
    const Json kept = {
        {"kind", "Secret"},
        {"metadata", {{"name", "db-auth"}, {"uid", "kept-uid"}, {"resourceVersion", "7"}}}};
    pass_.snapshot.standing[{"Secret", "db-auth"}] = std::make_shared<const Json>(kept);
  }
};

constexpr char kMakeSecret[] = "create /api/v1/namespaces/apps/secrets";
constexpr char kPatchSecret[] = "patch /api/v1/namespaces/apps/secrets/db-auth";

TEST_F(RootPasswordTest, OneIsGeneratedThatNobodyGuesses) {
  pass_.auth_plan.step = reconcile::GenerateRootSecret{};
  EXPECT_TRUE(executor_.carry_out(pass_, term()).status.ok());
  const Json secret = body_of(kMakeSecret);
  EXPECT_EQ(secret["type"], "kubernetes.io/basic-auth");
  EXPECT_EQ(secret["metadata"]["name"], "db-root");
  EXPECT_EQ(secret["metadata"]["ownerReferences"][0]["uid"], "cluster-uid");
  EXPECT_EQ(observe::secret_value(secret, "username"), "root");
  EXPECT_GE(observe::secret_value(secret, "password").size(), 40U);
}

TEST_F(RootPasswordTest, TheNextIsNotedOverWhatWasSeenAlone) {
  pass_.auth_plan.step = reconcile::NoteNextPassword{};
  EXPECT_TRUE(executor_.carry_out(pass_, term()).status.ok());
  EXPECT_EQ(observe::secret_value(body_of(kMakeSecret), "next"), "the-new-one");

  stand();
  EXPECT_TRUE(executor_.carry_out(pass_, term()).status.ok());
  const Json patch = body_of(kPatchSecret);
  EXPECT_EQ(patch["metadata"]["resourceVersion"], "7");
  EXPECT_EQ(observe::secret_value(patch, "next"), "the-new-one");
  EXPECT_FALSE(patch["data"].contains("password"));
}

TEST_F(RootPasswordTest, WhatIsTakenBecomesCurrentAndNothingIsNext) {
  stand();
  pass_.session->accepted({"root", "the-new-one"}, "token", member::Session::Clock::now());
  pass_.auth_plan.step = reconcile::NoteTakenPassword{};
  EXPECT_TRUE(executor_.carry_out(pass_, term()).status.ok());
  const Json patch = body_of(kPatchSecret);
  EXPECT_EQ(observe::secret_value(patch, "password"), "the-new-one");
  EXPECT_TRUE(patch["data"]["next"].is_null());
}

TEST_F(RootPasswordTest, APasswordStandsInNoStatusAndMembersThatSayNoAreNoFailure) {
  pass_.passwords.next = "the-new-one";
  for (const reconcile::AuthStep& step : {reconcile::AuthStep(reconcile::EnableAuth{}),
                                          reconcile::AuthStep(reconcile::ChangeRootPassword{})}) {
    pass_.auth_plan.step = step;
    EXPECT_TRUE(executor_.carry_out(pass_, term()).status.ok());
  }
  EXPECT_THAT(api_.bodies, Each(Not(HasSubstr("the-new-one"))));
  EXPECT_THAT(api_.requests, Each(Not(HasSubstr("secrets"))));
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
