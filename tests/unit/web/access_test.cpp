#include "operator/web/access.h"

#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/web/fake_reviews.h"

namespace holdfast::web {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const Access::Clock::time_point kStart = Access::Clock::time_point() + std::chrono::hours(1);

TEST(Access, WhoKubernetesDoesNotKnowIsNobody) {
  FakeReviews api;
  Access access(api);
  for (const std::string& token :
       {std::string(), std::string("stranger"), std::string(Access::kMaxTokenBytes + 1, 'x')}) {
    EXPECT_TRUE(absl::IsUnauthenticated(access.identify(token, kStart).status()));
  }
  EXPECT_EQ(api.reviews.size(), 1U);  // what cannot be a token is not asked about
}

TEST(Access, WhoSaysNoIsToldApartFromWhoCannotBeAsked) {
  FakeReviews api;
  api.broken = true;
  Access access(api);
  const auto user = access.identify("alice", kStart);
  EXPECT_FALSE(user.ok());
  EXPECT_FALSE(absl::IsUnauthenticated(user.status()));
}

TEST(Access, TheUserIsAskedForAsKubernetesNamesIt) {
  FakeReviews api;
  api.everywhere = {"alice"};
  Access access(api);
  const auto user = access.identify("alice", kStart);
  ASSERT_TRUE(user.ok());
  EXPECT_EQ(user->name, "alice");
  const auto sight = access.sight_of("alice", *user, {"apps"}, kStart);
  ASSERT_TRUE(sight.ok());
  EXPECT_TRUE(sight->everything);
  const kube::Json asked = api.reviews.back()["spec"];
  EXPECT_EQ(asked["user"], "alice");
  EXPECT_EQ(asked["groups"], kube::Json::array({"team"}));
  EXPECT_EQ(asked["extra"]["scopes"], kube::Json::array({"all"}));
  EXPECT_EQ(asked["resourceAttributes"]["resource"], "holdfastclusters");
  EXPECT_EQ(asked["resourceAttributes"]["verb"], "list");
  EXPECT_FALSE(asked["resourceAttributes"].contains("namespace"));
}

TEST(Access, NamespaceByNamespaceWhereNotAllMayBeSeen) {
  FakeReviews api;
  api.in_namespace = {{"bob", "apps"}};
  Access access(api);
  const auto user = access.identify("bob", kStart);
  const auto sight = access.sight_of("bob", *user, {"apps", "billing"}, kStart);
  ASSERT_TRUE(sight.ok());
  EXPECT_FALSE(sight->everything);
  EXPECT_THAT(sight->namespaces, ElementsAre("apps"));
  EXPECT_TRUE(sight->covers("apps"));
  EXPECT_FALSE(sight->covers("billing"));
}

TEST(Access, AnswersAreKeptForAWhileAndNoLonger) {
  FakeReviews api;
  api.in_namespace = {{"bob", "apps"}};
  Access access(api);
  const auto look = [&](Access::Clock::time_point now) {
    const auto user = access.identify("bob", now);
    return access.sight_of("bob", *user, {"apps"}, now)->namespaces;
  };
  EXPECT_THAT(look(kStart), ElementsAre("apps"));
  const std::size_t asked = api.reviews.size();
  api.in_namespace.clear();
  EXPECT_THAT(look(kStart + Access::kKeep - std::chrono::seconds(1)), ElementsAre("apps"));
  EXPECT_EQ(api.reviews.size(), asked);
  EXPECT_THAT(look(kStart + Access::kKeep), IsEmpty());
}

TEST(Access, OneUsersRightsAreNotAnothers) {
  FakeReviews api;
  api.everywhere = {"alice"};
  Access access(api);
  const auto alice = access.identify("alice", kStart);
  const auto bob = access.identify("bob", kStart);
  EXPECT_TRUE(access.sight_of("alice", *alice, {"apps"}, kStart)->everything);
  EXPECT_THAT(access.sight_of("bob", *bob, {"apps"}, kStart)->namespaces, IsEmpty());
}

TEST(Access, AnApiThatCannotBeAskedShowsNothing) {
  FakeReviews api;
  Access access(api);
  const auto user = access.identify("bob", kStart);
  api.broken = true;
  EXPECT_FALSE(access.sight_of("bob", *user, {"apps"}, kStart).ok());
}

TEST(Access, UsersAreForgottenBeforeThereAreTooMany) {
  FakeReviews api;
  api.accepts_anyone = true;
  Access access(api);
  for (std::size_t i = 0; i <= Access::kMaxKept; ++i) {
    const auto later = kStart + std::chrono::milliseconds(i);
    ASSERT_TRUE(access.identify("user" + std::to_string(i), later).ok());
  }
  const std::size_t asked = api.reviews.size();
  ASSERT_TRUE(access.identify("user1", kStart + std::chrono::seconds(2)).ok());
  EXPECT_EQ(api.reviews.size(), asked);
  ASSERT_TRUE(access.identify("user0", kStart + std::chrono::seconds(2)).ok());
  EXPECT_EQ(api.reviews.size(), asked + 1);
}

}  // namespace
}  // namespace holdfast::web
