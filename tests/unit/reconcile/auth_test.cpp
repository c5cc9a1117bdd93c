#include "operator/reconcile/auth.h"

#include <deque>
#include <optional>
#include <set>
#include <string>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "operator/reconcile/plan.h"

namespace holdfast::reconcile {
namespace {

using testing::HasSubstr;
using State = AuthObserved::State;

AuthObserved declared() {
  AuthObserved seen;
  seen.wanted = true;
  seen.answers = true;
  seen.secret = "db-root";
  seen.secret_exists = true;
  seen.wanted_password = 1;
  seen.state = State::kOff;
  return seen;
}

std::string told(const AuthPlan& plan) {
  if (plan.step) return to_string(*plan.step);
  return plan.waiting ? plan.waiting->reason : "nothing";
}

TEST(PlanAuth, NothingIsAskedForThatWasNotDeclared) {
  EXPECT_EQ(told(plan_auth({})), "nothing");
  AuthObserved seen = declared();
  seen.deleting = true;
  EXPECT_EQ(told(plan_auth(seen)), "nothing");
  seen = declared();
  seen.paused = true;
  EXPECT_EQ(told(plan_auth(seen)), "nothing");
}

TEST(PlanAuth, ASecretIsGeneratedOnlyIfNoneIsNamed) {
  AuthObserved seen = declared();
  seen.secret_exists = false;
  EXPECT_EQ(told(plan_auth(seen)), "GenerateRootSecret");
  seen.secret_is_named = true;
  EXPECT_EQ(told(plan_auth(seen)), "RootSecretMissing");
  seen.secret_exists = true;
  seen.secret_problem = "it is empty";
  EXPECT_EQ(plan_auth(seen).waiting->message, "it is empty");
}

TEST(PlanAuth, AuthIsEnabledOnceAQuorumAnswersAndTheJoinedClusterIsLeft) {
  AuthObserved seen = declared();
  seen.answers = false;
  EXPECT_EQ(told(plan_auth(seen)), "WaitingForMembers");
  seen = declared();
  seen.has_strangers = true;
  EXPECT_EQ(told(plan_auth(seen)), "WaitingForFinishJoin");
}

TEST(PlanAuth, MembersThatAreSilentForAWhileAreAsTheyWere) {
  AuthObserved seen = declared();
  seen.state = State::kUnknown;
  seen.answers = false;
  EXPECT_EQ(told(plan_auth(seen)), "WaitingForMembers");
  seen.current = 1;
  EXPECT_EQ(told(plan_auth(seen)), "nothing");
  seen.wanted_password = 2;
  EXPECT_EQ(told(plan_auth(seen)), "WaitingForMembers");
}

TEST(PlanAuth, WhoIsNotLetInSaysWhatToDo) {
  AuthObserved seen = declared();
  seen.state = State::kOn;
  seen.refused = true;
  EXPECT_EQ(told(plan_auth(seen)), kCredentialsRefused);
  EXPECT_THAT(plan_auth(seen).waiting->message, HasSubstr("Secret db-root"));
  seen.wanted = false;
  EXPECT_EQ(told(plan_auth(seen)), "EnabledByHand");
  seen.current = 1;
  EXPECT_EQ(told(plan_auth(seen)), kCredentialsRefused);
}

TEST(PlanAuth, AnotherAdministratorOfAJoinedClusterSetsRootsPassword) {
  AuthObserved seen = declared();
  seen.state = State::kOn;
  seen.other_taken = true;
  EXPECT_EQ(told(plan_auth(seen)), "NoteNextPassword");
  seen.next = 1;
  EXPECT_EQ(told(plan_auth(seen)), "ChangeRootPassword");
}

/// Nobody is given up, and nothing is changed, because members do not let the operator in; a Pod
/// that is gone comes back.
TEST(PlanAuth, ShutOutTheOperatorOnlyBringsBackWhatIsGone) {
  Observed seen;
  seen.now = 1'000'000;
  seen.wishes.replicas = 3;
  seen.wishes.auto_quorum_recovery = true;
  seen.memory.cluster_id = ClusterId(7);
  seen.memory.members = {0, 1, 2};
  seen.memory.quorum_lost_since = 1;
  seen.shut_out = true;
  for (const Ordinal ordinal : {0, 1, 2}) {
    Member member{.ordinal = ordinal};
    member.volume = Volume{.uid = "v", .cluster_id = ClusterId(7)};
    member.absent_since = 1;
    if (ordinal != 2) member.pod = Pod{.uid = "p", .running = true};
    seen.members.push_back(member);
  }
  const Plan plan = reconcile::plan(seen);
  ASSERT_TRUE(plan.waiting);
  EXPECT_EQ(plan.waiting->reason, kCredentialsRefused);
  EXPECT_FALSE(plan.disruptive);
  EXPECT_FALSE(plan.memory.operation);
  EXPECT_FALSE(plan.memory.quorum_lost_since) << "silence is no loss";
  ASSERT_EQ(plan.repairs.size(), 1U);
  EXPECT_EQ(to_string(plan.repairs[0]), "CreatePod 2");
}

// -- every order of events -----------------------------------------------------------------------

constexpr PasswordNumber kLastPassword = 3;

/// The members, the Secrets, and the user who changes both; as a value.
struct World {
  bool wanted = true;
  bool secret = false;
  PasswordNumber wanted_password = 1;
  SomePassword current, next;
  bool on = false;
  SomePassword root;  ///< of the members
  int edits = 0;      ///< by the user, so that worlds are finite

  auto key() const {
    return std::tuple(wanted, secret, wanted_password, current, next, on, root, edits);
  }
  bool operator<(const World& other) const { return key() < other.key(); }

  bool is_known(const SomePassword& password) const {
    return password &&
           (password == current || password == next || (secret && password == wanted_password));
  }

  AuthObserved observe() const {
    AuthObserved seen = declared();
    seen.wanted = wanted;
    seen.secret_exists = secret;
    seen.wanted_password = secret ? SomePassword(wanted_password) : std::nullopt;
    seen.current = current;
    seen.next = next;
    seen.state = on ? State::kOn : State::kOff;
    const bool offered = wanted || current || next;
    if (on && offered && is_known(root)) seen.taken = root;
    seen.refused = on && !seen.taken;
    return seen;
  }
};

/// What a step makes of the world. Members may do less than all of EnableAuth.
std::vector<World> after(const World& before, const AuthStep& step) {
  World world = before;
  std::vector<World> all;
  if (std::holds_alternative<GenerateRootSecret>(step)) {
    world.secret = true;
  } else if (std::holds_alternative<NoteNextPassword>(step)) {
    world.next = world.wanted_password;
  } else if (std::holds_alternative<EnableAuth>(step)) {
    world.root = world.next;
    all.push_back(world);  // and the pass ended there
    world.on = true;
  } else if (std::holds_alternative<ChangeRootPassword>(step)) {
    world.root = world.next;
  } else if (std::holds_alternative<NoteTakenPassword>(step)) {
    world.current = world.root;
    world.next.reset();
  } else if (std::holds_alternative<DisableAuth>(step)) {
    world.on = false;
  } else {
    world.current.reset();
    world.next.reset();
  }
  all.push_back(world);
  return all;
}

/// What the user does at any moment: another password in the Secret, auth on and off.
std::vector<World> edited(const World& before) {
  std::vector<World> all;
  if (before.edits == 5) return all;
  World world = before;
  ++world.edits;
  for (PasswordNumber password = 1; password <= kLastPassword; ++password) {
    World other = world;
    other.wanted_password = password;
    if (password != before.wanted_password) all.push_back(other);
  }
  world.wanted = !world.wanted;
  all.push_back(world);
  return all;
}

/// Left alone, every world comes to rest as declared.
void expect_rest(World world) {
  for (int steps = 0; steps < 20; ++steps) {
    const AuthPlan plan = plan_auth(world.observe());
    ASSERT_FALSE(plan.waiting) << plan.waiting->message;
    if (!plan.step) {
      EXPECT_EQ(world.on, world.wanted);
      if (world.on) {
        EXPECT_EQ(world.root, SomePassword(world.wanted_password));
        EXPECT_EQ(world.current, world.root);
      }
      EXPECT_FALSE(world.next);
      return;
    }
    world = after(world, *plan.step).back();
  }
  FAIL() << "it never comes to rest";
}

TEST(PlanAuth, WheneverAPassDiesAndWhateverTheUserDoesRootsPasswordIsKnown) {
  std::deque<World> open = {World{}};
  std::set<World> seen = {World{}};
  while (!open.empty()) {
    const World world = open.front();
    open.pop_front();
    if (world.on) {
      ASSERT_TRUE(world.root == world.current || world.root == world.next)
          << "only the operator's own Secret is sure to stay";
    }
    ASSERT_NO_FATAL_FAILURE(expect_rest(world));
    std::vector<World> nexts = edited(world);
    const AuthPlan plan = plan_auth(world.observe());
    if (plan.step) {
      for (const World& next : after(world, *plan.step)) nexts.push_back(next);
    }
    for (const World& next : nexts) {
      if (seen.insert(next).second) open.push_back(next);
    }
  }
  EXPECT_GT(seen.size(), 500U);
}

}  // namespace
}  // namespace holdfast::reconcile
