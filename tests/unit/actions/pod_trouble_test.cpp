#include "operator/actions/pod_trouble.h"

#include <string>

#include "gtest/gtest.h"

namespace holdfast::actions {
namespace {

using kube::Json;

Json waiting(const std::string& reason) {
  return {{"status",
           {{"containerStatuses",
             {{{"image", "example.org/holdfast:9"},
               {"state", {{"waiting", {{"reason", reason}, {"message", "no Secret s"}}}}}}}}}}};
}

TEST(PodTrouble, SaysWhatTheKubeletWaitsFor) {
  EXPECT_EQ(trouble_of(waiting("ImagePullBackOff")),
            "its image cannot be pulled: example.org/holdfast:9");
  EXPECT_EQ(trouble_of(waiting("CrashLoopBackOff")),
            "its process ends again and again; see its log");
  EXPECT_EQ(trouble_of(waiting("CreateContainerConfigError")),
            "its container cannot be made: no Secret s");
}

TEST(PodTrouble, ReadsTheSameWhileTheKubeletTriesAgain) {
  EXPECT_EQ(trouble_of(waiting("ErrImagePull")), trouble_of(waiting("ImagePullBackOff")));
}

TEST(PodTrouble, SaysWhatKeptItsDataFromBeingMadeReady) {
  Json fetch = {
      {"name", "fetch-backup"},
      {"state", {{"waiting", {{"reason", "CrashLoopBackOff"}}}}},
      {"lastState",
       {{"terminated",
         {{"exitCode", 1}, {"message", R"({"succeeded": false, "message": "it is too late"})"}}}}}};
  const auto pod = [&] {
    return Json{{"status", {{"initContainerStatuses", Json::array({fetch})}}}};
  };
  EXPECT_EQ(trouble_of(pod()), "its data cannot be made ready (fetch-backup): it is too late");
  fetch["lastState"]["terminated"]["message"] = "no room";
  EXPECT_EQ(trouble_of(pod()), "its data cannot be made ready (fetch-backup): no room");
  fetch["state"] = {{"terminated", {{"exitCode", 0}}}};
  EXPECT_EQ(trouble_of(pod()), "");
}

TEST(PodTrouble, SaysThatNoNodeTakesIt) {
  const Json pod = {
      {"status",
       {{"conditions",
         {{{"type", "PodScheduled"}, {"status", "False"}, {"reason", "Unschedulable"}}}}}}};
  EXPECT_EQ(trouble_of(pod), "no node takes its Pod; see the Pod's events");
}

TEST(PodTrouble, IsNoneOfAPodThatStartsOrIsOddlyMade) {
  EXPECT_EQ(trouble_of(waiting("ContainerCreating")), "");
  EXPECT_EQ(trouble_of(Json()), "");
  EXPECT_EQ(trouble_of({{"status", {{"containerStatuses", 7}, {"conditions", "no"}}}}), "");
}

}  // namespace
}  // namespace holdfast::actions
