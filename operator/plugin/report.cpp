#include "operator/plugin/report.h"

#include <utility>

#include "absl/strings/str_join.h"
#include "operator/api/names.h"
#include "operator/api/text.h"
#include "operator/observe/kinds.h"

namespace holdfast::plugin {
namespace {

using kube::Json;
namespace kinds = observe::kinds;

constexpr std::size_t kMaxObjects = 2'000;
constexpr std::size_t kMaxPods = 200;
/// The end of each log.
constexpr int kLogLines = 5'000;
constexpr std::size_t kMaxLogBytes = std::size_t{1} << 20;

const kube::Resource kEvents{"events.k8s.io", "v1", "events"};

struct Kind {
  kube::Resource resource;
  /// The field that names a cluster; empty: the label does.
  bool by_reference = false;
};

/// Everything that is read. Secrets are not on it, and what may hold one is not either.
const std::vector<Kind>& kinds_read() {
  static const std::vector<Kind> kAll = {
      {kinds::kOperations, true}, {kinds::kBackups, true},  {kinds::kSchedules, true},
      {kinds::kRestores, true},   {kinds::kPods, false},    {kinds::kClaims, false},
      {kinds::kServices, false},  {kinds::kBudgets, false}, {kinds::kNetworkPolicies, false}};
  return kAll;
}

class Collector {
 public:
  Collector(kube::Client& client, const ReportOptions& options, Archive& archive,
            std::vector<std::string>& missing)
      : client_(client), options_(options), archive_(archive), missing_(missing) {}

  absl::Status run() {
    keep_list("holdfastclusters", clusters());
    for (const Kind& kind : kinds_read()) keep_list(kind.resource.plural, of(kind));
    keep_list("events", list(kEvents, {.ns = ns()}));
    keep_logs(ns(), list(kinds::kPods, pods_of_ours(ns())));
    if (!options_.operator_namespace.empty()) {
      kube::ListOptions pods;
      pods.ns = options_.operator_namespace;
      pods.label_selector = "app.kubernetes.io/name=holdfast-operator";
      keep_logs(pods.ns, list(kinds::kPods, pods));
    }
    if (!missing_.empty()) keep("missing.txt", absl::StrJoin(missing_, "\n") + "\n");
    return status_;
  }

 private:
  const std::string& ns() const { return options_.scope.ns; }

  void keep(const std::string& path, std::string_view content) {
    if (status_.ok()) status_ = archive_.add(api::str_cat("report/", path), content);
  }
  void miss(std::string_view what, const absl::Status& why) {
    missing_.push_back(api::str_cat(what, ": ", why.message()));
  }

  std::vector<Json> list(const kube::Resource& resource, const kube::ListOptions& options) {
    auto page = client_.list(resource, options, kMaxObjects);
    if (page.ok()) return std::move(page->items);
    miss(resource.plural, page.status());
    return {};
  }

  std::vector<Json> clusters() {
    if (options_.scope.name.empty()) return list(kinds::kClusters, {.ns = ns()});
    auto one = client_.get(kinds::kClusters, {ns(), options_.scope.name});
    if (one.ok()) return {*std::move(one)};
    miss("holdfastclusters", one.status());
    return {};
  }

  kube::ListOptions pods_of_ours(const std::string& where) const {
    kube::ListOptions pods;
    pods.ns = where;
    pods.label_selector = api::str_cat(api::label::kName, "=", api::label_value::kName);
    if (!options_.scope.name.empty()) {
      pods.label_selector += api::str_cat(",", api::label::kInstance, "=", options_.scope.name);
    }
    return pods;
  }

  std::vector<Json> of(const Kind& kind) {
    if (!kind.by_reference) return list(kind.resource, pods_of_ours(ns()));
    std::vector<Json> all = list(kind.resource, {.ns = ns()});
    if (options_.scope.name.empty()) return all;
    std::erase_if(all, [this](const Json& each) {
      return kube::text_at(each, {"spec", "clusterRef", "name"}) != options_.scope.name;
    });
    return all;
  }

  void keep_list(std::string_view name, const std::vector<Json>& objects) {
    Json items = Json::array();
    for (const Json& object : objects) {
      items.push_back(object);
      if (Json& metadata = items.back()["metadata"]; metadata.is_object()) {
        metadata.erase("managedFields");
      }
    }
    keep(api::str_cat(name, ".json"),
         items.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  }

  void keep_logs(const std::string& where, const std::vector<Json>& pods) {
    std::size_t left = kMaxPods;
    for (const Json& pod : pods) {
      if (left-- == 0) return missing_.emplace_back("logs: of more than 200 Pods"), void();
      for (const char* containers : {"initContainers", "containers"}) {
        const Json* list = kube::find_at(pod, {"spec", containers});
        if (list == nullptr || !list->is_array()) continue;
        for (const Json& container : *list) {
          keep_log(where, std::string(kube::name_of(pod)),
                   std::string(kube::text_at(container, {"name"})));
        }
      }
    }
  }

  void keep_log(const std::string& where, const std::string& pod, const std::string& container) {
    for (const bool previous : {false, true}) {
      const std::string suffix = previous ? ".previous.log" : ".log";
      kube::Request request;
      request.verb = "get";
      request.method = "GET";
      request.path = api::str_cat("/api/v1/namespaces/", where, "/pods/", pod, "/log");
      request.query = {{"container", container}, {"tailLines", api::str_cat(kLogLines)}};
      if (previous) request.query.emplace_back("previous", "true");
      std::string log;
      const absl::Status read = client_.stream(request, [&log](std::string_view piece) {
        log.append(piece.substr(0, kMaxLogBytes - log.size()));
        return log.size() < kMaxLogBytes;
      });
      // Most containers have had no life before this one.
      if (!read.ok() && !previous) miss(api::str_cat("log of ", pod, " ", container), read);
      if (read.ok() && !log.empty()) keep(path_of_log(pod, container) + suffix, log);
    }
  }

  static std::string path_of_log(const std::string& pod, const std::string& container) {
    constexpr std::size_t kMaxName = 40;
    const std::size_t skipped = pod.size() > kMaxName ? pod.size() - kMaxName : 0;
    return api::str_cat("logs/", pod.substr(skipped), "_", container.substr(0, 20));
  }

  kube::Client& client_;
  const ReportOptions& options_;
  Archive& archive_;
  std::vector<std::string>& missing_;
  absl::Status status_;
};

}  // namespace

absl::Status collect(kube::Client& client, const ReportOptions& options, Archive& archive,
                     std::vector<std::string>& missing) {
  return Collector(client, options, archive, missing).run();
}

}  // namespace holdfast::plugin
