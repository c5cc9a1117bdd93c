// Single calls: what they do, and how refusals are told apart.
#include <set>

#include "operator/kube/event_recorder.h"
#include "tests/e2e/kubeclient/program/scenario.h"

namespace holdfast::kube {
namespace {

const Resource kPods{.group = "", .version = "v1", .plural = "pods", .namespaced = true};
const Resource kDeployments{
    .group = "apps", .version = "v1", .plural = "deployments", .namespaced = true};
const Resource kBudgets{
    .group = "policy", .version = "v1", .plural = "poddisruptionbudgets", .namespaced = true};
const Resource kEvents{
    .group = "events.k8s.io", .version = "v1", .plural = "events", .namespaced = true};

Json pod(const std::string& ns, const std::string& name) {
  return {{"apiVersion", "v1"},
          {"kind", "Pod"},
          {"metadata", {{"name", name}, {"namespace", ns}, {"labels", {{"app", "x"}}}}},
          {"spec", {{"containers", {{{"name", "c"}, {"image", "example.invalid/c"}}}}}}};
}

/// A budget that no controller has looked at allows nothing.
void refused_eviction(Client& client) {
  const ObjectKey key{.ns = "calls", .name = "pod"};
  want_ok(client.create(kPods, pod("calls", "pod")).status(), "pod");
  const Json budget = {
      {"apiVersion", "policy/v1"},
      {"kind", "PodDisruptionBudget"},
      {"metadata", {{"name", "budget"}, {"namespace", "calls"}}},
      {"spec", {{"minAvailable", 1}, {"selector", {{"matchLabels", {{"app", "x"}}}}}}}};
  want_ok(client.create(kBudgets, budget).status(), "budget");
  const Json running = {
      {"status",
       {{"phase", "Running"}, {"conditions", {{{"type", "Ready"}, {"status", "True"}}}}}}};
  want_ok(client.merge_patch(kPods, key, running, {}, "status").status(), "pod status");
  const absl::Status refused = client.evict(key, {.grace_seconds = 0});
  want(absl::IsResourceExhausted(refused) && fate_of(refused) == Fate::kRetry,
       "a budget that allows nothing: " + refused.ToString());
  want_ok(client.remove(kBudgets, {.ns = "calls", .name = "budget"}), "budget's end");
  want_ok(client.evict(key, {.grace_seconds = 0}), "eviction");
  want_eventually([&] { return absl::IsNotFound(client.get(kPods, key).status()); }, "pod's end");
}

void scaled_deployment(Client& client) {
  const ObjectKey key{.ns = "calls", .name = "web"};
  Json deployment = {{"apiVersion", "apps/v1"},
                     {"kind", "Deployment"},
                     {"metadata", {{"name", "web"}, {"namespace", "calls"}}},
                     {"spec", {{"replicas", 1}, {"selector", {{"matchLabels", {{"app", "x"}}}}}}}};
  deployment["spec"]["template"] = pod("", "");
  deployment["spec"]["template"] = {{"metadata", {{"labels", {{"app", "x"}}}}},
                                    {"spec", pod("", "")["spec"]}};
  want_ok(client.create(kDeployments, deployment).status(), "deployment");
  want_ok(client.scale(kDeployments, key, 5).status(), "scale");
  const Json scale = want_value(client.get(kDeployments, key, {}, "scale"), "get scale");
  want(integer_at(scale, {"spec", "replicas"}) == 5, "five replicas");
}

}  // namespace

void run_calls(const Scenario& scenario) {
  const auto client = scenario.connect();
  make_namespace(*client, "calls");
  const ObjectKey key{.ns = "calls", .name = "one"};
  const Json object = config_map("calls", "one", {{"n", "0"}});

  want_ok(client->create(kConfigMaps, object, {.dry_run = true}).status(), "dry run");
  const absl::Status absent = client->get(kConfigMaps, key).status();
  want(absl::IsNotFound(absent) && fate_of(absent) == Fate::kRejected, "a dry run makes nothing");
  const Json created = want_value(client->create(kConfigMaps, object), "create");
  want(absl::IsAlreadyExists(client->create(kConfigMaps, object).status()), "it exists");

  const Json patched = want_value(
      client->merge_patch(kConfigMaps, key, {{"data", {{"n", "1"}, {"m", "2"}}}}), "patch");
  want(text_at(patched, {"data", "n"}) == "1", "patched");
  want(is_conflict(client->replace(kConfigMaps, created).status()), "a stale update is a conflict");
  Json next = patched;
  next["data"]["n"] = "2";
  want_ok(client->replace(kConfigMaps, next).status(), "update");

  const absl::Status invalid =
      client->create(kConfigMaps, config_map("calls", "Not A Name")).status();
  want(absl::IsInvalidArgument(invalid) && api_error(invalid)->reason == "Invalid",
       "an invalid name: " + invalid.ToString());
  want(is_conflict(client->remove(kConfigMaps, key, {.uid = "another"})), "another uid");
  want(is_conflict(client->remove(kConfigMaps, key, {.resource_version = "1"})), "another version");
  want_ok(client->remove(kConfigMaps, key, {.uid = std::string(uid_of(created))}), "delete");
  want(absl::IsNotFound(client->remove(kConfigMaps, key)), "it is gone");

  Config strange = scenario.config;
  strange.token = "nobody";
  const absl::Status unknown = scenario.connect(strange)->get(kConfigMaps, key).status();
  want(absl::IsUnauthenticated(unknown), "an unknown token: " + unknown.ToString());
  refused_eviction(*client);
  scaled_deployment(*client);
}

void run_apply(const Scenario& scenario) {
  const auto client = scenario.connect();
  make_namespace(*client, "applied");
  const auto apply = [&](const char* manager, const Json& data, bool force) {
    return client->apply(kConfigMaps, config_map("applied", "shared", data),
                         {.field_manager = manager, .force = force});
  };
  want_ok(apply("one", {{"a", "1"}, {"b", "1"}}, false).status(), "one");
  want_ok(apply("two", {{"c", "2"}}, false).status(), "two");
  const absl::Status conflict = apply("two", {{"b", "2"}}, false).status();
  want(is_conflict(conflict) && api_error(conflict)->message.find("one") != std::string::npos,
       "a field of another manager: " + conflict.ToString());
  want_ok(apply("two", {{"b", "2"}}, true).status(), "by force");
  const Json result = want_value(apply("one", {{"a", "1"}}, false), "one again");
  want(text_at(result, {"data", "a"}) == "1" && text_at(result, {"data", "b"}) == "2" &&
           find_at(result, {"data", "c"}) == nullptr,
       "fields by manager: " + to_text(result));
  // What is applied again unchanged leaves no trace.
  const Json again = want_value(apply("one", {{"a", "1"}}, false), "unchanged");
  want(resource_version_of(again) == resource_version_of(result), "nothing was written");
}

void run_pages(const Scenario& scenario) {
  const int objects = scenario.number(0);
  const auto client = scenario.connect();
  make_namespace(*client, "pages");
  in_parallel(objects, [&](int i) {
    want_ok(
        client->create(kConfigMaps, config_map("pages", "object-" + std::to_string(i))).status(),
        "create");
  });
  ListOptions options{.ns = "pages", .limit = 500};
  std::set<std::string> names;
  std::string version;
  int pages = 0;
  do {
    const ListPage page = want_value(client->list_page(kConfigMaps, options), "page");
    want(pages++ == 0 || page.resource_version == version, "all pages are of one version");
    version = page.resource_version;
    for (const Json& item : page.items) {
      want(names.emplace(name_of(item)).second, "nothing comes twice");
    }
    options.continue_token = page.continue_token;
  } while (!options.continue_token.empty());
  want(static_cast<int>(names.size()) == objects,
       std::to_string(names.size()) + " objects in pages");
  const ListPage all = want_value(client->list(kConfigMaps, {.ns = "pages"}), "list");
  want(static_cast<int>(all.items.size()) == objects, "all pages at once");
  want(absl::IsResourceExhausted(client->list(kConfigMaps, {.ns = "pages"}, 100).status()),
       "more than asked for");
  say(std::to_string(objects) + " objects in " + std::to_string(pages) + " pages");
}

void run_discovery(const Scenario& scenario) {
  const auto client = scenario.connect();
  const auto serves = [&](const char* group, const char* version, const char* plural) {
    return want_value(client->serves({.group = group, .version = version, .plural = plural}),
                      "discovery");
  };
  want(!serves("cert-manager.io", "v1", "certificates"), "an absent group");
  want(!serves("apps", "v9", "deployments"), "an absent version");
  want(!serves("apps", "v1", "certificates"), "an absent kind");
  want(serves("apps", "v1", "deployments") && serves("", "v1", "pods"), "kinds that are there");
  const Json version = want_value(client->server_version(), "version");
  say("server " + std::string(text_at(version, {"gitVersion"})));
}

void run_events(const Scenario& scenario) {
  const auto client = scenario.connect();
  make_namespace(*client, "events");
  const Json object =
      want_value(client->create(kConfigMaps, config_map("events", "subject")), "subject");
  Json regarding = object;
  regarding["apiVersion"] = "v1";
  regarding["kind"] = "ConfigMap";
  EventRecorder events(*client, {.instance = "e2e"}, scenario.log, 1);
  events.start();
  for (int i = 0; i < 50; ++i) {
    events.record(regarding, EventRecorder::Type::kWarning, "Tested", "Test", "a note");
  }
  events.stop();
  const ListPage page = want_value(client->list(kEvents, {.ns = "events"}), "events");
  want(page.items.size() == 1, std::to_string(page.items.size()) + " events");
  want(integer_at(page.items[0], {"series", "count"}) == 50, to_text(page.items[0]));
}

}  // namespace holdfast::kube
