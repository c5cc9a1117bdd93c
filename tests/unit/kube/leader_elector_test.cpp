#include "operator/kube/leader_elector.h"

#include <algorithm>

#include "gtest/gtest.h"
#include "tests/unit/kube/fake_client.h"
#include "tests/unit/kube/manual_clock.h"

namespace holdfast::kube {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const ObjectKey kLease{.ns = "default", .name = "operator"};

/// A candidate whose rounds the test plays.
struct Candidate {
  Candidate(Client& client, const std::string& identity, const Clock& clock)
      : elector(client, {.lease = kLease, .identity = identity},
                {.on_started = [this](std::shared_ptr<const Leadership> t) { term = std::move(t); },
                 .on_stopped = [this] { ++stopped; }},
                *log, 7, clock) {}
  bool leads() const { return term != nullptr && term->held(); }

  std::unique_ptr<telemetry::Logger> log = telemetry::Logger::none();
  std::shared_ptr<const Leadership> term;
  int stopped = 0;
  LeaderElector elector;
};

class LeaderElectorTest : public testing::Test {
 protected:
  Json lease() const { return client.objects().begin()->second; }

  ManualClock clock;
  FakeClient client;
};

TEST_F(LeaderElectorTest, FirstComesFirst) {
  Candidate a(client, "a", clock);
  Candidate b(client, "b", clock);
  a.elector.step();
  b.elector.step();
  EXPECT_TRUE(a.leads());
  EXPECT_FALSE(b.leads());
  EXPECT_EQ(b.elector.holder(), "a");
  EXPECT_EQ(text_at(lease(), {"spec", "holderIdentity"}), "a");
  EXPECT_EQ(integer_at(lease(), {"spec", "leaseDurationSeconds"}), 15);
}

TEST_F(LeaderElectorTest, RenewedLeaseIsNeverTaken) {
  Candidate a(client, "a", clock);
  Candidate b(client, "b", clock);
  for (int i = 0; i < 100; ++i) {
    a.elector.step();
    b.elector.step();
    clock.advance(seconds(2));
    ASSERT_TRUE(a.leads());
    ASSERT_FALSE(b.leads());
  }
  EXPECT_EQ(integer_at(lease(), {"spec", "leaseTransitions"}), 0);
}

TEST_F(LeaderElectorTest, LeaseOfADeadLeaderIsTakenAfterItsDurationAndNotBefore) {
  Candidate a(client, "a", clock);
  Candidate b(client, "b", clock);
  a.elector.step();
  b.elector.step();
  clock.advance(milliseconds(14'999));
  b.elector.step();
  EXPECT_FALSE(b.leads());
  clock.advance(milliseconds(1));
  b.elector.step();
  EXPECT_TRUE(b.leads());
  EXPECT_EQ(integer_at(lease(), {"spec", "leaseTransitions"}), 1);
}

TEST_F(LeaderElectorTest, TermEndsByItselfBeforeAnotherCanBegin) {
  Candidate a(client, "a", clock);
  a.elector.step();
  ASSERT_TRUE(a.leads());
  EXPECT_TRUE(a.term->check().ok());
  clock.advance(milliseconds(9'999));
  EXPECT_TRUE(a.leads());
  clock.advance(milliseconds(1));  // no round was played: the elector's thread hangs
  EXPECT_FALSE(a.leads());
  EXPECT_TRUE(absl::IsAborted(a.term->check()));
}

TEST_F(LeaderElectorTest, AtNoTimeDoTwoLead) {
  // Renewals fail now and then, for one candidate or for all, with outcomes known and unknown.
  Prng dice(11);
  bool fails = false;
  client.fault = [&](const Request& request) -> std::optional<absl::Status> {
    if (fails && dice.chance(3, 4)) {
      return fault_status(0, "", request.changes() ? Fate::kUnknown : Fate::kRetry);
    }
    return std::nullopt;
  };
  Candidate a(client, "a", clock);
  Candidate b(client, "b", clock);
  Candidate c(client, "c", clock);
  std::vector<Candidate*> candidates{&a, &b, &c};
  int terms = 0;
  for (int round = 0; round < 20'000; ++round) {
    if (dice.chance(1, 50)) {
      fails = !fails;
    }
    Candidate& one = *candidates[dice.below(3)];
    const bool led = one.leads();
    one.elector.step();
    terms += !led && one.leads() ? 1 : 0;
    clock.advance(milliseconds(dice.below(1'500)));
    const auto leaders = std::count_if(candidates.begin(), candidates.end(),
                                       [](const Candidate* each) { return each->leads(); });
    ASSERT_LE(leaders, 1) << "in round " << round;
  }
  EXPECT_GT(terms, 20);
}

TEST_F(LeaderElectorTest, LostLeaseEndsTheTermAtOnce) {
  Candidate a(client, "a", clock);
  a.elector.step();
  const auto term = a.term;
  Json other = lease();
  other["spec"]["holderIdentity"] = "someone";
  ASSERT_TRUE(
      client.replace({.group = "coordination.k8s.io", .version = "v1", .plural = "leases"}, other)
          .ok());
  clock.advance(seconds(2));
  a.elector.step();  // the renewal conflicts
  clock.advance(seconds(2));
  a.elector.step();  // and the look says why
  EXPECT_FALSE(term->held());
  EXPECT_EQ(a.stopped, 1);
}

TEST_F(LeaderElectorTest, FailedRenewalsEndTheTermAndItIsTakenAnewLater) {
  Candidate a(client, "a", clock);
  a.elector.step();
  const auto first = a.term;
  client.fault = [](const Request&) { return fault_status(500, "InternalError", Fate::kRetry); };
  for (int i = 0; i < 6; ++i) {
    clock.advance(seconds(2));
    a.elector.step();
  }
  EXPECT_FALSE(first->held());
  EXPECT_EQ(a.stopped, 1);
  client.fault = nullptr;
  a.elector.step();
  EXPECT_TRUE(a.leads());
  EXPECT_FALSE(first->held()) << "an ended term never comes back";
}

TEST_F(LeaderElectorTest, CleanStopGivesTheLeaseBack) {
  Candidate a(client, "a", clock);
  Candidate b(client, "b", clock);
  a.elector.step();
  const auto term = a.term;
  a.elector.stop();
  EXPECT_FALSE(term->held());
  EXPECT_EQ(a.stopped, 1);
  b.elector.step();
  EXPECT_TRUE(b.leads());
}

TEST_F(LeaderElectorTest, ThreadTakesTheLeaseAndStops) {
  Candidate a(client, "a", clock);
  a.elector.start();
  while (client.objects().empty()) {
    std::this_thread::yield();
  }
  a.elector.stop();
  EXPECT_EQ(a.stopped, 1);
  EXPECT_EQ(text_at(lease(), {"spec", "holderIdentity"}), "");
}

}  // namespace
}  // namespace holdfast::kube
