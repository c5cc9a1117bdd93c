#include "datastore/lease/lessor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <map>

#include <set>
#include <string>

#include "datastore/base/errors.h"
#include "datastore/base/prng.h"

namespace holdfast::lease {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr LeaseId kOne{1};
constexpr LeaseId kTwo{2};

TEST(MinTtl, IsOneAndAHalfElectionTimeoutsRoundedUp) {
  EXPECT_EQ(min_ttl_seconds(milliseconds(1000)), 2);
  EXPECT_EQ(min_ttl_seconds(milliseconds(2000)), 3);
  EXPECT_EQ(min_ttl_seconds(milliseconds(500)), 1);
  EXPECT_EQ(min_ttl_seconds(milliseconds(50'000)), 75);
}

TEST(Grant, RaisesAShortTtlToTheMinimum) {
  Lessor lessor({.min_ttl_seconds = 2});
  const auto granted = lessor.grant(kOne, 1);
  ASSERT_TRUE(granted.ok());
  EXPECT_EQ(granted->ttl_seconds, 2);
  EXPECT_EQ(lessor.record_of(kOne)->ttl_seconds, 2);
}

TEST(Grant, RefusesNoIdATooLongTtlAndAKnownIdInThatOrder) {
  Lessor lessor({});
  EXPECT_EQ(lessor.grant(LeaseId(0), kMaxTtlSeconds + 1).status(), errors::lease_not_found());
  ASSERT_TRUE(lessor.grant(kOne, kMaxTtlSeconds).ok());
  EXPECT_EQ(lessor.grant(kOne, kMaxTtlSeconds + 1).status(), errors::lease_ttl_too_large());
  EXPECT_EQ(lessor.grant(kOne, 10).status(), errors::lease_exists());
}

TEST(Grant, TheLongestTtlDoesNotOverflow) {
  Lessor lessor({});
  lessor.promote(Time::max() - seconds(5), seconds(1));
  ASSERT_TRUE(lessor.grant(kOne, kMaxTtlSeconds).ok());
  EXPECT_THAT(lessor.expired(Time::max() - Time(1), 10), IsEmpty());
}

TEST(Clear, ForgetsLeasesKeysAndThatItLed) {
  Lessor lessor({});
  lessor.promote(seconds(1), seconds(0));
  ASSERT_TRUE(lessor.grant(kOne, 10).ok());
  lessor.attach("a", kOne);
  lessor.clear();
  EXPECT_FALSE(lessor.is_primary());
  EXPECT_EQ(lessor.size(), 0U);
  EXPECT_EQ(lessor.attached_keys(), 0U);
  EXPECT_EQ(lessor.queued_expiries(), 0U);
  lessor.load({.id = kOne, .ttl_seconds = 10});
  EXPECT_THAT(lessor.keys_of(kOne), IsEmpty());
  EXPECT_THAT(lessor.expired(seconds(1000), 10), IsEmpty());
}

TEST(Revoke, ReturnsTheKeysInByteOrderAndForgetsThem) {
  Lessor lessor({});
  ASSERT_TRUE(lessor.grant(kOne, 10).ok());
  for (const char* key : {"b", "a", "\xff", "ab"}) lessor.attach(key, kOne);
  const auto keys = lessor.revoke(kOne);
  ASSERT_TRUE(keys.ok());
  EXPECT_THAT(*keys, ElementsAre("a", "ab", "b", "\xff"));
  EXPECT_EQ(lessor.lease_of("a"), LeaseId());
  EXPECT_EQ(lessor.attached_keys(), 0U);
  EXPECT_EQ(lessor.revoke(kOne).status(), errors::lease_not_found());
}

TEST(Revoke, AnIdCanBeGrantedAgain) {
  Lessor lessor({});
  lessor.promote(Time(0), Time(0));
  ASSERT_TRUE(lessor.grant(kOne, 10).ok());
  ASSERT_TRUE(lessor.revoke(kOne).ok());
  ASSERT_TRUE(lessor.grant(kOne, 100).ok());
  EXPECT_THAT(lessor.expired(seconds(50), 10), IsEmpty());
  EXPECT_THAT(lessor.expired(seconds(100), 10), ElementsAre(kOne));
}

TEST(Attach, MovesAKeyFromOneLeaseToAnother) {
  Lessor lessor({});
  ASSERT_TRUE(lessor.grant(kOne, 10).ok());
  ASSERT_TRUE(lessor.grant(kTwo, 10).ok());
  lessor.attach("k", kOne);
  lessor.attach("k", kTwo);
  lessor.attach("k", kTwo);
  EXPECT_EQ(lessor.lease_of("k"), kTwo);
  EXPECT_THAT(lessor.keys_of(kOne), IsEmpty());
  EXPECT_THAT(lessor.keys_of(kTwo), ElementsAre("k"));
  lessor.detach("k");
  lessor.detach("k");
  EXPECT_THAT(lessor.keys_of(kTwo), IsEmpty());
}

TEST(Attach, AgreesWithAModelUnderRandomMoves) {
  Prng prng(7);
  Lessor lessor({});
  std::map<Bytes, LeaseId> model;
  for (std::int64_t id = 1; id <= 5; ++id) ASSERT_TRUE(lessor.grant(LeaseId(id), 10).ok());
  for (int step = 0; step < 20'000; ++step) {
    const Bytes key = "k" + std::to_string(prng.below(50));
    const LeaseId id(1 + static_cast<std::int64_t>(prng.below(5)));
    if (prng.chance(1, 200)) {
      std::vector<Bytes> expected;
      for (const auto& [k, lease] : model) {
        if (lease == id) expected.push_back(k);
      }
      std::erase_if(model, [&](const auto& entry) { return entry.second == id; });
      EXPECT_EQ(*lessor.revoke(id), expected);
      ASSERT_TRUE(lessor.grant(id, 10).ok());
    } else if (prng.chance(1, 3)) {
      lessor.detach(key);
      model.erase(key);
    } else {
      lessor.attach(key, id);
      model[key] = id;
    }
  }
  EXPECT_EQ(lessor.attached_keys(), model.size());
  for (const auto& [key, id] : model) EXPECT_EQ(lessor.lease_of(key), id);
}

TEST(Expiry, NothingExpiresBeforePromotionOrAfterDemotion) {
  Lessor lessor({});
  ASSERT_TRUE(lessor.grant(kOne, 2).ok());
  EXPECT_THAT(lessor.expired(seconds(1000), 10), IsEmpty());
  lessor.promote(seconds(1000), seconds(1));
  lessor.demote();
  EXPECT_THAT(lessor.expired(seconds(5000), 10), IsEmpty());
}

TEST(Expiry, PromotionGrantsTheWholeTtlAndTheExtension) {
  Lessor lessor({});
  ASSERT_TRUE(lessor.grant(kOne, 10).ok());
  lessor.promote(seconds(100), seconds(1));
  EXPECT_THAT(lessor.expired(seconds(111) - Time(1), 10), IsEmpty());
  EXPECT_THAT(lessor.expired(seconds(111), 10), ElementsAre(kOne));
}

TEST(Expiry, ALeaseIsNamedAgainOnlyAfterTheRetryInterval) {
  Lessor lessor({.retry_interval = seconds(3)});
  lessor.promote(Time(0), Time(0));
  ASSERT_TRUE(lessor.grant(kOne, 5).ok());
  EXPECT_THAT(lessor.expired(seconds(5), 10), ElementsAre(kOne));
  EXPECT_THAT(lessor.expired(seconds(7), 10), IsEmpty());
  EXPECT_THAT(lessor.expired(seconds(8), 10), ElementsAre(kOne));
  ASSERT_TRUE(lessor.revoke(kOne).ok());
  EXPECT_THAT(lessor.expired(seconds(100), 10), IsEmpty());
}

TEST(Expiry, NamesTheEarliestFirstAndAtMostSoMany) {
  Lessor lessor({});
  lessor.promote(Time(0), Time(0));
  for (std::int64_t id = 1; id <= 10; ++id) ASSERT_TRUE(lessor.grant(LeaseId(id), 20 - id).ok());
  EXPECT_THAT(lessor.expired(seconds(20), 2), ElementsAre(LeaseId(10), LeaseId(9)));
  EXPECT_THAT(lessor.expired(seconds(20), 100), SizeIs(8));
}

TEST(Renew, StartsTheWholeTtlAnew) {
  Lessor lessor({});
  lessor.promote(Time(0), Time(0));
  ASSERT_TRUE(lessor.grant(kOne, 10).ok());
  const Renewal renewal = lessor.renew(kOne, seconds(9));
  EXPECT_EQ(renewal.result, Renewal::Result::kRenewed);
  EXPECT_EQ(renewal.ttl_seconds, 10);
  EXPECT_THAT(lessor.expired(seconds(18), 10), IsEmpty());
  EXPECT_THAT(lessor.expired(seconds(19), 10), ElementsAre(kOne));
}

TEST(Renew, TellsWhyItCannot) {
  Lessor lessor({});
  ASSERT_TRUE(lessor.grant(kOne, 10).ok());
  EXPECT_EQ(lessor.renew(kOne, Time(0)).result, Renewal::Result::kNotPrimary);
  lessor.promote(Time(0), Time(0));
  EXPECT_EQ(lessor.renew(kTwo, Time(0)).result, Renewal::Result::kNotFound);
  EXPECT_EQ(lessor.renew(kOne, seconds(10)).result, Renewal::Result::kExpired);
}

TEST(TimeToLiveOf, CountsWholeSecondsTowardsZero) {
  Lessor lessor({});
  ASSERT_TRUE(lessor.grant(kOne, 10).ok());
  EXPECT_EQ(lessor.time_to_live(kOne, Time(0)).status(), errors::not_leader());
  EXPECT_EQ(lessor.time_to_live(kTwo, Time(0)).status(), errors::lease_not_found());
  lessor.promote(Time(0), Time(0));
  EXPECT_EQ(lessor.time_to_live(kOne, milliseconds(1))->ttl_seconds, 9);
  EXPECT_EQ(lessor.time_to_live(kOne, milliseconds(10'500))->ttl_seconds, 0);
  EXPECT_EQ(lessor.time_to_live(kOne, seconds(12))->ttl_seconds, -2);
  EXPECT_EQ(lessor.time_to_live(kOne, Time(0))->granted_ttl_seconds, 10);
}

TEST(List, IsByExpiryThenId) {
  Lessor lessor({});
  ASSERT_TRUE(lessor.grant(LeaseId(9), 10).ok());
  ASSERT_TRUE(lessor.grant(LeaseId(3), 30).ok());
  ASSERT_TRUE(lessor.grant(LeaseId(5), 10).ok());
  EXPECT_THAT(lessor.list(), ElementsAre(LeaseId(3), LeaseId(5), LeaseId(9)));
  lessor.promote(Time(0), Time(0));
  EXPECT_THAT(lessor.list(), ElementsAre(LeaseId(5), LeaseId(9), LeaseId(3)));
}

TEST(Checkpoints, ShortenTheNextPromotionUntilCleared) {
  Lessor lessor({.checkpoints = true, .checkpoint_interval = seconds(100)});
  lessor.promote(Time(0), Time(0));
  ASSERT_TRUE(lessor.grant(kOne, 1000).ok());
  EXPECT_THAT(lessor.due_checkpoints(seconds(99), 10), IsEmpty());
  const auto due = lessor.due_checkpoints(seconds(100), 10);
  ASSERT_THAT(due, SizeIs(1));
  EXPECT_EQ(due[0].remaining_ttl_seconds, 900);
  EXPECT_EQ(lessor.checkpoint(kOne, 900),
            (LeaseRecord{.id = kOne, .ttl_seconds = 1000, .remaining_ttl_seconds = 900}));
  EXPECT_TRUE(lessor.renew(kOne, seconds(150)).clear_checkpoint);
  lessor.promote(seconds(200), Time(0));
  EXPECT_EQ(lessor.time_to_live(kOne, seconds(200))->ttl_seconds, 900);
  EXPECT_EQ(lessor.checkpoint(kTwo, 5), std::nullopt);
}

TEST(Load, RaisesTheTtlAndKeepsTheRemainder) {
  Lessor lessor({.min_ttl_seconds = 5});
  lessor.load({.id = kOne, .ttl_seconds = 2, .remaining_ttl_seconds = 1});
  EXPECT_EQ(lessor.record_of(kOne),
            (LeaseRecord{.id = kOne, .ttl_seconds = 5, .remaining_ttl_seconds = 1}));
}

TEST(Promotion, SpreadsLeasesThatWouldExpireTogether) {
  Lessor lessor({});
  constexpr std::int64_t kCount = 5000;
  for (std::int64_t id = 1; id <= kCount; ++id) ASSERT_TRUE(lessor.grant(LeaseId(id), 60).ok());
  lessor.promote(Time(0), Time(0));
  std::size_t named = 0;
  for (Time now = seconds(60); named < kCount; now += seconds(1)) {
    ASSERT_LT(now, seconds(120));
    const std::vector<LeaseId> due = lessor.expired(now, kCount);
    EXPECT_LE(due.size(), kInheritedPerSecond);
    for (const LeaseId id : due) ASSERT_TRUE(lessor.revoke(id).ok());
    named += due.size();
  }
}

TEST(Promotion, ALeaseWhoseTurnHasNotComeCanBeRenewed) {
  Lessor lessor({});
  constexpr std::int64_t kCount = 2000;
  for (std::int64_t id = 1; id <= kCount; ++id) ASSERT_TRUE(lessor.grant(LeaseId(id), 60).ok());
  lessor.promote(Time(0), Time(0));
  const std::vector<LeaseId> first = lessor.expired(seconds(61), kCount);
  ASSERT_THAT(first, SizeIs(kInheritedPerSecond));
  std::size_t renewed = 0;
  for (std::int64_t id = 1; id <= kCount; ++id) {
    const auto result = lessor.renew(LeaseId(id), seconds(61)).result;
    renewed += result == Renewal::Result::kRenewed ? 1 : 0;
  }
  EXPECT_EQ(renewed, kCount - kInheritedPerSecond);
  EXPECT_THAT(lessor.expired(seconds(63), kCount), IsEmpty());
}

TEST(Promotion, EveryLeaseExpiresOnceWhateverBecameOfItBefore) {
  Lessor lessor({.checkpoints = true, .checkpoint_interval = seconds(10)});
  Prng dice(7);
  std::map<LeaseId, Time> due;  // what a model knows
  Time now{0};
  lessor.promote(now, seconds(1));
  const auto ttl_of = [&](LeaseId id) { return lessor.record_of(id)->ttl_seconds; };
  for (int step = 0; step < 20'000; ++step) {
    const LeaseId id(static_cast<std::int64_t>(dice.next() % 500 + 1));
    const bool known = lessor.exists(id);
    switch (dice.next() % 8) {
      case 0:
        if (dice.next() % 64 != 0) break;
        lessor.promote(now, seconds(1));
        for (auto& [lease, time] : due) {
          const LeaseRecord record = *lessor.record_of(lease);
          const std::int64_t left =
              record.remaining_ttl_seconds > 0 ? record.remaining_ttl_seconds : record.ttl_seconds;
          time = now + seconds(1) + seconds(left);
        }
        break;
      case 1:
      case 2:
        lessor.advance_to(now);
        if (lessor.grant(id, static_cast<std::int64_t>(2 + dice.next() % 600)).ok()) {
          due[id] = now + seconds(ttl_of(id));
        }
        break;
      case 3:
        if (lessor.revoke(id).ok()) due.erase(id);
        break;
      case 4:
        if (known) lessor.checkpoint(id, static_cast<std::int64_t>(1 + dice.next() % 600));
        break;
      case 5:
        if (lessor.renew(id, now).result == Renewal::Result::kRenewed) {
          EXPECT_GT(due.at(id), now);
          due[id] = now + seconds(ttl_of(id));
        }
        break;
      default:
        now += milliseconds(dice.next() % 700);
        for (const LeaseId gone : lessor.expired(now, 1000)) {
          ASSERT_LE(due.at(gone), now);
          ASSERT_TRUE(lessor.revoke(gone).ok());
          due.erase(gone);
        }
        for (const auto& [lease, time] : due) ASSERT_GT(time, now);
    }
    ASSERT_EQ(lessor.size(), due.size());
  }
}

TEST(Inheritance, ListsAreInTheOrderOfTheirTtls) {
  std::size_t last = 0;
  for (std::int64_t ttl = 0; ttl < 100'000; ++ttl) {
    const std::size_t list = Inheritance::list_of(ttl);
    ASSERT_TRUE(list == last || list == last + 1) << ttl;
    ASSERT_LE(Inheritance::least_ttl_seconds(list), ttl);
    if (list != last) {
      ASSERT_EQ(Inheritance::least_ttl_seconds(list), ttl);
    }
    last = list;
  }
  EXPECT_LT(Inheritance::list_of(kMaxTtlSeconds), Inheritance::kLists);
  EXPECT_LT(Inheritance::list_of(std::numeric_limits<std::int64_t>::max()), Inheritance::kLists);
  EXPECT_EQ(Inheritance::list_of(-1), 0U);
}

TEST(Queue, DoesNotGrowWithLeasesGrantedAndRevoked) {
  Lessor lessor({});
  lessor.promote(Time(0), Time(0));
  for (std::int64_t id = 1; id <= 100'000; ++id) {
    ASSERT_TRUE(lessor.grant(LeaseId(id), 1'000'000).ok());
    ASSERT_TRUE(lessor.revoke(LeaseId(id)).ok());
  }
  EXPECT_LE(lessor.queued_expiries(), 2048U);
}

TEST(Expiry, AHundredThousandLeasesExpiringTogetherComeInScans) {
  Lessor lessor({});
  lessor.promote(Time(0), Time(0));
  for (std::int64_t id = 1; id <= 100'000; ++id) ASSERT_TRUE(lessor.grant(LeaseId(id), 60).ok());
  std::set<LeaseId> seen;
  for (Time now = seconds(60); lessor.size() > 0; now += milliseconds(500)) {
    const std::vector<LeaseId> due = lessor.expired(now, kMaxExpiredPerScan);
    ASSERT_THAT(due, SizeIs(kMaxExpiredPerScan));
    for (const LeaseId id : due) {
      EXPECT_TRUE(seen.insert(id).second);
      ASSERT_TRUE(lessor.revoke(id).ok());
    }
  }
  EXPECT_EQ(seen.size(), 100'000U);
}

}  // namespace
}  // namespace holdfast::lease
