#include "operator/specs/difference.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "operator/specs/amount.h"
#include "tests/unit/specs/specs_fixture.h"

namespace holdfast::specs {
namespace {

using nlohmann::json;

struct Case {
  const char* name;
  const char* desired;
  const char* live;
  /// Empty: nothing to write.
  const char* difference;
};

class Difference : public testing::TestWithParam<Case> {};

TEST_P(Difference, IsWhatLiveLacks) {
  const json desired = json::parse(GetParam().desired);
  const json live = json::parse(GetParam().live);
  EXPECT_EQ(first_difference(desired, live).value_or(""), GetParam().difference);
  EXPECT_EQ(needs_apply(desired, live), *GetParam().difference != '\0');
}

constexpr Case kCases[] = {
    {"Equal", R"({"spec":{"a":1}})", R"({"spec":{"a":1}})", ""},
    {"WhatOthersAddedIsNone", R"({"spec":{"a":1}})", R"({"spec":{"a":1,"b":2},"status":{}})", ""},
    {"AbsentField", R"({"spec":{"a":1}})", R"({"spec":{}})", "spec.a: absent"},
    {"OtherValue", R"({"spec":{"a":1}})", R"({"spec":{"a":2}})", "spec.a: 2, not 1"},
    {"OtherType", R"({"spec":{"a":{"b":1}}})", R"({"spec":{"a":7}})", "spec.a: not an object"},
    {"NotEvenAnObject", R"({"spec":{"a":1}})", "[]", ": not an object"},
    {"FalseIsNotAbsent", R"({"a":false})", "{}", "a: absent"},
    {"EmptyIsAbsent", R"({"a":{},"b":[],"c":null})", "{}", ""},
    {"EmptyIsAnything", R"({"emptyDir":{}})", R"({"emptyDir":{"medium":""}})", ""},
    {"WholeNumbersByValue", R"({"a":1})", R"({"a":1.0})", ""},
    {"Quantity", R"({"requests":{"storage":"1Gi"}})", R"({"requests":{"storage":"1024Mi"}})", ""},
    {"QuantityWithoutText", R"({"limits":{"cpu":2}})", R"({"limits":{"cpu":"2000m"}})", ""},
    {"OtherQuantity", R"({"limits":{"cpu":"500m"}})", R"({"limits":{"cpu":"1"}})",
     "limits.cpu: \"1\", not \"500m\""},
    {"QuantitiesOnlyInTheirPlace", R"({"labels":{"a":"1k"}})", R"({"labels":{"a":"1000"}})",
     "labels.a: \"1000\", not \"1k\""},
    {"ItemsByName", R"({"ports":[{"name":"a","port":1},{"name":"b","port":2}]})",
     R"({"ports":[{"name":"b","port":2,"nodePort":9},{"name":"a","port":1}]})", ""},
    {"FurtherItemsByName", R"({"volumes":[{"name":"a","secret":{}}]})",
     R"({"volumes":[{"name":"a"},{"name":"injected"}]})", ""},
    {"MissingItem", R"({"ports":[{"name":"a","port":1}]})", R"({"ports":[]})", "ports[a]: absent"},
    {"ItemWithOtherValue", R"({"ports":[{"name":"a","port":1}]})",
     R"({"ports":[{"name":"a","port":2}]})", "ports[a].port: 2, not 1"},
    {"OwnersByUid", R"({"ownerReferences":[{"name":"db","uid":"1"}]})",
     R"({"ownerReferences":[{"name":"db","uid":"2"}]})", "ownerReferences[1]: absent"},
    {"PlainListsInOrder", R"({"args":["a","b"]})", R"({"args":["b","a"]})",
     "args[0]: \"b\", not \"a\""},
    {"PlainListsWhole", R"({"args":["a"]})", R"({"args":["a","b"]})", "args: 2 items, not 1"},
    {"ListOfObjectsWithoutKey", R"({"rules":[{"port":1}]})", R"({"rules":[{"port":1,"p":"TCP"}]})",
     ""},
    {"AList", R"({"args":["a"]})", R"({"args":"a"})", "args: not a list"},
    {"ItemsThatAreNoObjects", R"({"ports":[{"name":"a"}]})", R"({"ports":["a",7,null]})",
     "ports[a]: absent"},
};

INSTANTIATE_TEST_SUITE_P(Table, Difference, testing::ValuesIn(kCases),
                         [](const auto& info) { return info.param.name; });

TEST(Amount, IsTheSameInEveryForm) {
  const std::pair<json, json> same[] = {
      {"1", "1000m"},      {1, "1"},      {"0.5", "500m"},  {"1Ki", 1024},
      {"1.5Gi", "1536Mi"}, {"2e3", "2k"}, {"1E", "1000P"},  {"8Ei", "8192Pi"},
      {"-1", "-1000m"},    {"+1", "1"},   {"100n", "0.1u"}, {"5E2", "500"}};
  for (const auto& [a, b] : same) EXPECT_TRUE(same_amount(a, b)) << a << " " << b;
}

TEST(Amount, IsNeverGuessed) {
  const std::pair<json, json> different[] = {
      {"1", "1001m"}, {"1Ki", "1k"},
      {"x", "x"},     {"", ""},
      {"1 ", "1"},    {"1e99", "1e99"},
      {true, true},   {nullptr, nullptr},
      {".", "0"},     {std::string(40, '9'), std::string(40, '9')}};
  for (const auto& [a, b] : different) EXPECT_FALSE(same_amount(a, b)) << a << " " << b;
}

/// As the apiserver gives back what it was given: with defaults, status and its own bookkeeping.
json with_defaults(json object) {
  object["metadata"]["resourceVersion"] = "17";
  object["metadata"]["managedFields"] = json::array({{{"manager", "x"}}});
  object["metadata"]["annotations"]["example.com/by-others"] = "1";
  object["status"] = {{"observedGeneration", 1}};
  if (object["kind"] == "Service") object["spec"]["sessionAffinity"] = "None";
  return object;
}

TEST(StandingObjects, NeedNoApplyOnceApplied) {
  const Surroundings rich = {.budget = 3, .has_service_monitors = true, .has_rules = true};
  for (const json& object : standing_objects(full_cluster(), rich)) {
    EXPECT_EQ(first_difference(object, with_defaults(object)), std::nullopt) << object["kind"];
  }
}

json read_live(const std::string& name) {
  return json::parse(std::ifstream(HOLDFAST_TESTDATA "/specs/live/" + name + ".json"));
}

/// `objects` against what kube-apiserver 1.36 answered once they had been applied to it.
void expect_nothing_to_apply(const std::vector<json>& objects, const json& live) {
  std::size_t found = 0;
  for (const json& object : objects) {
    for (const json& other : live) {
      if (other["kind"] != object["kind"]) continue;
      if (other["metadata"]["name"] != object["metadata"]["name"]) continue;
      EXPECT_EQ(first_difference(object, other), std::nullopt) << object["kind"];
      ++found;
    }
  }
  EXPECT_EQ(found, live.size());
}

TEST(StandingObjects, NeedNoApplyAsARealApiserverKeepsThem) {
  const Surroundings two = {.budget = 2, .operator_namespace = "holdfast-system"};
  const Surroundings three = {.budget = 3, .operator_namespace = "holdfast-system"};
  expect_nothing_to_apply(standing_objects(small_cluster(), two), read_live("standing-small"));
  expect_nothing_to_apply(standing_objects(full_cluster(), three), read_live("standing-full"));
}

TEST(Pod, NeedsNoPatchAsARealApiserverKeepsIt) {
  EXPECT_EQ(pod_metadata_patch(small_cluster(), {}, read_live("pod-plain")), std::nullopt);
}

TEST(StandingObjects, ShowWhatTheyNoLongerSay) {
  api::HoldfastCluster cluster = full_cluster();
  const std::vector<json> before = standing_objects(cluster, {});
  cluster.spec.service.annotations.clear();
  const std::vector<json> after = standing_objects(cluster, {});
  ASSERT_EQ(before.size(), after.size());
  int changed = 0;
  for (std::size_t i = 0; i < after.size(); ++i) {
    changed += needs_apply(after[i], with_defaults(before[i])) ? 1 : 0;
  }
  EXPECT_EQ(changed, 1);
}

TEST(StandingObjects, AreEachWantedOrUnwanted) {
  const Surroundings rich = {.budget = 3, .has_service_monitors = true, .has_rules = true};
  EXPECT_EQ(standing_objects(full_cluster(), rich).size(), 7U);
  EXPECT_TRUE(unwanted_objects(full_cluster(), rich).empty());
  Surroundings lone = rich;
  lone.budget.reset();
  EXPECT_EQ(standing_objects(small_cluster(), lone).size(), 3U);
  EXPECT_EQ(unwanted_objects(small_cluster(), lone).size(), 4U);
  // A kind that isn't served is neither applied nor deleted.
  EXPECT_EQ(standing_objects(full_cluster(), {}).size(), 4U);
  EXPECT_EQ(unwanted_objects(small_cluster(), {}).size(), 2U);
}

}  // namespace
}  // namespace holdfast::specs
