#include "operator/web/recent_events.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace holdfast::web {

namespace {

using kube::Json;

const kube::Resource kEvents{"events.k8s.io", "v1", "events"};
constexpr std::chrono::seconds kPatience{10};

absl::Time parse_time(std::string_view text) {
  absl::Time time;
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, std::string(text), &time, &error)) {
    return absl::InfinitePast();
  }
  return time;
}

/// When it was last seen: of a series its last, else when it was made.
absl::Time time_of(const Json& event) {
  absl::Time time = parse_time(kube::text_at(event, {"series", "lastObservedTime"}));
  if (time == absl::InfinitePast()) time = parse_time(kube::text_at(event, {"eventTime"}));
  if (time == absl::InfinitePast()) {
    time = parse_time(kube::text_at(event, {"metadata", "creationTimestamp"}));
  }
  return time;
}

EventView view_of(const Json& event) {
  EventView view;
  view.at = time_of(event);
  view.warning = kube::text_at(event, {"type"}) == "Warning";
  view.reason = std::string(kube::text_at(event, {"reason"}));
  view.note = std::string(kube::text_at(event, {"note"}));
  view.count = kube::integer_at(event, {"series", "count"})
                   .value_or(kube::integer_at(event, {"deprecatedCount"}).value_or(1));
  return view;
}

}  // namespace

RecentEvents::RecentEvents(kube::Client& client, std::vector<std::string> namespaces)
    : client_(client),
      namespaces_(namespaces.empty() ? std::vector<std::string>{""} : std::move(namespaces)) {
}

void RecentEvents::refresh(Clock::time_point now, kube::Cancellation* cancellation) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (now < next_) return;
    next_ = now + kShortest;
  }
  ByCluster events;
  for (const std::string& ns : namespaces_) {
    kube::ListOptions options;
    options.ns = ns;
    options.field_selector = "regarding.kind=HoldfastCluster";
    options.limit = 500;
    options.call.timeout = kPatience;
    options.call.cancellation = cancellation;
    const auto page = client_.list(kEvents, options, kMaxListed);
    if (!page.ok()) continue;
    for (const Json& event : page->items) {
      const kube::ObjectKey cluster{std::string(kube::text_at(event, {"regarding", "namespace"})),
                                    std::string(kube::text_at(event, {"regarding", "name"}))};
      events[cluster].push_back(view_of(event));
    }
  }
  for (auto& [cluster, each] : events) {
    std::sort(each.begin(), each.end(),
              [](const EventView& a, const EventView& b) { return a.at > b.at; });
    if (each.size() > kPerCluster) each.resize(kPerCluster);
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  events_ = std::move(events);
}

std::vector<EventView> RecentEvents::of(const kube::ObjectKey& cluster) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = events_.find(cluster);
  return found == events_.end() ? std::vector<EventView>() : found->second;
}

}  // namespace holdfast::web
