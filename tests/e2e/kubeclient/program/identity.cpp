// Who we are, and whether we lead.
#include <atomic>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <random>
#include <thread>

#include "operator/kube/leader_elector.h"
#include "tests/e2e/kubeclient/program/scenario.h"

namespace holdfast::kube {
namespace {

const Resource kAccounts{
    .group = "", .version = "v1", .plural = "serviceaccounts", .namespaced = true};
Resource rbac(const char* plural) {
  return {
      .group = "rbac.authorization.k8s.io", .version = "v1", .plural = plural, .namespaced = false};
}
const ObjectKey kAccount{.ns = "identity", .name = "robot"};

void make_account(Client& client) {
  const Json account = {{"apiVersion", "v1"},
                        {"kind", "ServiceAccount"},
                        {"metadata", {{"name", kAccount.name}, {"namespace", kAccount.ns}}}};
  want_ok(client.create(kAccounts, account).status(), "service account");
}

/// The account may read ConfigMaps and do nothing else.
void allow_reading(Client& client) {
  const Json role = {{"apiVersion", "rbac.authorization.k8s.io/v1"},
                     {"kind", "ClusterRole"},
                     {"metadata", {{"name", "robot"}}},
                     {"rules",
                      {{{"apiGroups", {""}},
                        {"resources", {"configmaps"}},
                        {"verbs", Json::array({"get", "list"})}}}}};
  want_ok(client.create(rbac("clusterroles"), role).status(), "role");
  const Json binding = {
      {"apiVersion", "rbac.authorization.k8s.io/v1"},
      {"kind", "ClusterRoleBinding"},
      {"metadata", {{"name", "robot"}}},
      {"roleRef",
       {{"apiGroup", "rbac.authorization.k8s.io"}, {"kind", "ClusterRole"}, {"name", "robot"}}},
      {"subjects",
       {{{"kind", "ServiceAccount"}, {"name", kAccount.name}, {"namespace", kAccount.ns}}}}};
  want_ok(client.create(rbac("clusterrolebindings"), binding).status(), "binding");
}

void write_token(Client& client, const std::string& file) {
  const std::string token = want_value(
      client.create_token(kAccount, {"https://kubernetes.default.svc"}, std::chrono::minutes(10)),
      "token");
  std::ofstream(file + ".new") << token;
  std::filesystem::rename(file + ".new", file);
}

}  // namespace

/// A token dies with its account; the file then holds the next. No call may fail for it.
void run_token(const Scenario& scenario) {
  const std::string file = scenario.arguments.at(0);
  const auto admin = scenario.connect();
  make_namespace(*admin, kAccount.ns);
  make_account(*admin);
  allow_reading(*admin);
  write_token(*admin, file);
  Config config = scenario.config;
  config.token.clear();
  config.token_file = file;
  const auto robot = scenario.connect(config);
  const auto read = [&] { return robot->list(kConfigMaps, {.ns = "identity"}).status(); };
  want_eventually([&] { return read().ok(); }, "the account may read");
  const absl::Status forbidden =
      robot->create(kConfigMaps, config_map("identity", "mine")).status();
  want(absl::IsPermissionDenied(forbidden) && fate_of(forbidden) == Fate::kRejected,
       "the account may not write: " + forbidden.ToString());

  want_ok(admin->remove(kAccounts, kAccount), "the account's end");
  make_account(*admin);
  write_token(*admin, file);
  // The server honours the old token for some seconds from its own cache.
  want_eventually(
      [&] {
        want_ok(read(), "a call while the token is replaced");
        return scenario.counted(R"(requests_total{verb="list",code="401"})");
      },
      "the old token's end");
  say("one 401, answered with the next token");
}

/// Says, about every 20 ms, whether we lead, with the machine's monotonic time in milliseconds: the
/// test holds the two candidates' lines side by side.
void run_leader(const Scenario& scenario) {
  const auto client = scenario.connect();
  std::mutex mutex;
  std::shared_ptr<const Leadership> term;
  LeaderElector elector(
      *client, {.lease = {.ns = "default", .name = "e2e"}, .identity = scenario.arguments.at(0)},
      {.on_started =
           [&](std::shared_ptr<const Leadership> begun) {
             const std::lock_guard lock(mutex);
             term = std::move(begun);
           },
       .on_stopped =
           [&] {
             const std::lock_guard lock(mutex);
             term.reset();
           }},
      scenario.log, std::random_device{}());
  elector.start();
  std::atomic<bool> stopping{false};
  std::thread speaker([&] {
    while (!stopping.load()) {
      bool held = false;
      {
        const std::lock_guard lock(mutex);
        held = term != nullptr && term->held();
      }
      // The time is taken after the look: a pause in between must not be read as leading.
      const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(
                           std::chrono::steady_clock::now().time_since_epoch())
                           .count();
      bool still = false;
      {
        const std::lock_guard lock(mutex);
        still = term != nullptr && term->held();
      }
      if (held == still) {
        say((held ? "leading " : "waiting ") + std::to_string(now));
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  });
  await("stop");
  stopping.store(true);
  speaker.join();
  elector.stop();
}

}  // namespace holdfast::kube
