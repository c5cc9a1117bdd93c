#include "operator/plugin/views.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <tuple>
#include <utility>

#include "absl/strings/numbers.h"
#include "operator/api/names.h"
#include "operator/api/text.h"
#include "operator/observe/kinds.h"

namespace holdfast::plugin {
namespace {

constexpr std::size_t kMaxClusters = 10'000;
constexpr std::size_t kMaxPageBytes = std::size_t{4} << 20;
constexpr std::string_view kStoreSize = "etcd_mvcc_db_total_size_in_bytes";

absl::StatusOr<ClusterView> view_of(kube::Json object) {
  auto cluster = api::read<api::HoldfastCluster>(object);
  if (!cluster.ok()) return cluster.status();
  return ClusterView{*std::move(cluster), std::move(object), {}};
}

std::string metrics_path(const std::string& ns, const std::string& member) {
  return api::str_cat("/api/v1/namespaces/", ns, "/pods/", member, ":", api::kMetricsPort,
                      "/proxy/metrics");
}

}  // namespace

absl::StatusOr<std::vector<ClusterView>> read_clusters(kube::Client& client, const Scope& scope) {
  std::vector<kube::Json> objects;
  if (scope.name.empty()) {
    auto page = client.list(observe::kinds::kClusters, {.ns = scope.ns}, kMaxClusters);
    if (!page.ok()) return page.status();
    objects = std::move(page->items);
  } else {
    auto object = client.get(observe::kinds::kClusters, {scope.ns, scope.name});
    if (!object.ok()) return object.status();
    objects.push_back(*std::move(object));
  }
  std::vector<ClusterView> views;
  for (kube::Json& object : objects) {
    auto view = view_of(std::move(object));
    if (!view.ok()) return view.status();
    views.push_back(*std::move(view));
  }
  std::sort(views.begin(), views.end(), [](const ClusterView& a, const ClusterView& b) {
    return std::tie(a.cluster.metadata.ns, a.cluster.metadata.name) <
           std::tie(b.cluster.metadata.ns, b.cluster.metadata.name);
  });
  return views;
}

std::optional<double> metric_on(std::string_view page, std::string_view name) {
  while (!page.empty()) {
    const std::size_t end = std::min(page.find('\n'), page.size());
    std::string_view line = page.substr(0, end);
    page.remove_prefix(std::min(end + 1, page.size()));
    if (!api::consume_prefix(line, name) || !line.starts_with(' ')) continue;
    double value = 0;
    if (absl::SimpleAtod(api::to_absl(line), &value)) return value;
  }
  return std::nullopt;
}

void ask_members(kube::Client& client, ClusterView& view) {
  const api::ObjectMeta& metadata = view.cluster.metadata;
  for (const api::MemberStatus& member : view.cluster.status.members) {
    kube::Request request;
    request.verb = "get";
    request.method = "GET";
    request.path = metrics_path(metadata.ns, member.name);
    request.options.timeout = std::chrono::seconds(3);
    std::string page;
    const absl::Status read = client.stream(request, [&page](std::string_view piece) {
      page.append(piece.substr(0, kMaxPageBytes - page.size()));
      return page.size() < kMaxPageBytes;
    });
    if (!read.ok()) continue;
    if (const auto bytes = metric_on(page, kStoreSize)) {
      view.store_bytes[member.name] = static_cast<std::int64_t>(*bytes);
    }
  }
}

}  // namespace holdfast::plugin
