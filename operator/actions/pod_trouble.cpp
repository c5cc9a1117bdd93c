#include "operator/actions/pod_trouble.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "operator/api/text.h"

namespace holdfast::actions {

namespace {

using kube::Json;

constexpr std::array<std::string_view, 5> kNoImage = {"ErrImagePull", "ImagePullBackOff",
                                                      "ErrImageNeverPull", "InvalidImageName",
                                                      "ImageInspectError"};

/// Bytes of the kubelet's own words that are passed on.
constexpr std::size_t kMost = 200;
/// Of a worker's, which says what to do.
constexpr std::size_t kMostOfVerdict = 600;

bool is_unschedulable(const Json& pod) {
  const Json* conditions = kube::find_at(pod, {"status", "conditions"});
  if (conditions == nullptr || !conditions->is_array()) return false;
  return std::any_of(conditions->begin(), conditions->end(), [](const Json& condition) {
    return kube::text_at(condition, {"type"}) == "PodScheduled" &&
           kube::text_at(condition, {"reason"}) == "Unschedulable";
  });
}

std::string trouble_of_container(const Json& container) {
  const std::string_view reason = kube::text_at(container, {"state", "waiting", "reason"});
  if (std::find(kNoImage.begin(), kNoImage.end(), reason) != kNoImage.end()) {
    return api::str_cat("its image cannot be pulled: ", kube::text_at(container, {"image"}));
  }
  if (reason == "CrashLoopBackOff") return "its process ends again and again; see its log";
  if (reason == "CreateContainerConfigError" || reason == "CreateContainerError") {
    return api::str_cat("its container cannot be made: ",
                        kube::text_at(container, {"state", "waiting", "message"}).substr(0, kMost));
  }
  return "";
}

/// What one that prepares the data said when it failed: the verdict of a worker, or its last words.
std::string words_of_failure(const Json& container) {
  if (kube::integer_at(container, {"state", "terminated", "exitCode"}) == 0) return "";
  for (const char* state : {"state", "lastState"}) {
    const Json* ended = kube::find_at(container, {state, "terminated"});
    if (ended == nullptr || kube::integer_at(*ended, {"exitCode"}).value_or(0) == 0) continue;
    const std::string_view words = kube::text_at(*ended, {"message"});
    const auto verdict = kube::parse_json(words);
    const std::string_view said =
        verdict.ok() && verdict->is_object() ? kube::text_at(*verdict, {"message"}) : words;
    return api::str_cat("its data cannot be made ready (", kube::text_at(container, {"name"}),
                        "): ", said.substr(0, kMostOfVerdict));
  }
  return "";
}

}  // namespace

std::string trouble_of(const Json& pod) {
  if (is_unschedulable(pod)) return "no node takes its Pod; see the Pod's events";
  const Json* preparing = kube::find_at(pod, {"status", "initContainerStatuses"});
  if (preparing != nullptr && preparing->is_array()) {
    for (const Json& container : *preparing) {
      if (std::string words = words_of_failure(container); !words.empty()) return words;
    }
  }
  const Json* containers = kube::find_at(pod, {"status", "containerStatuses"});
  if (containers == nullptr || !containers->is_array()) return "";
  for (const Json& container : *containers) {
    if (std::string trouble = trouble_of_container(container); !trouble.empty()) return trouble;
  }
  return "";
}

}  // namespace holdfast::actions
