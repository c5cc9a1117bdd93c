// Watches: through the API server's end, past what the store has compacted, and for long.
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <map>
#include <mutex>

#include "operator/kube/informer.h"
#include "tests/e2e/kubeclient/program/scenario.h"

namespace holdfast::kube {
namespace {

/// What an informer's handlers were told, as a picture that must equal the cache.
class Picture {
 public:
  void take(const ObjectKey& key, const Object& before, const Object& now) {
    const std::lock_guard lock(mutex_);
    const bool known = objects_.contains(key.name);
    want(known == (before != nullptr) || now == nullptr, key.name + ": before is what was");
    if (now == nullptr) {
      objects_.erase(key.name);
    } else {
      objects_[key.name] = text_at(*now, {"data", "n"});
    }
    ++changes_;
  }
  std::map<std::string, std::string> objects() const {
    const std::lock_guard lock(mutex_);
    return objects_;
  }
  std::size_t changes() const {
    const std::lock_guard lock(mutex_);
    return changes_;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::string> objects_;
  std::size_t changes_ = 0;
};

std::map<std::string, std::string> listed(Client& client, const std::string& ns) {
  std::map<std::string, std::string> objects;
  for (const Json& item : want_value(client.list(kConfigMaps, {.ns = ns}), "list").items) {
    objects.emplace(name_of(item), text_at(item, {"data", "n"}));
  }
  return objects;
}

std::map<std::string, std::string> cached(const Informer& informer) {
  std::map<std::string, std::string> objects;
  for (const Object& object : informer.cache().list()) {
    objects.emplace(name_of(*object), text_at(*object, {"data", "n"}));
  }
  return objects;
}

std::string name(int i) {
  return "object-" + std::to_string(i);
}

/// Creates or changes: the server may have done what it had no time to say.
void set(Client& client, const std::string& ns, int i, const std::string& n) {
  want_eventually(
      [&] {
        return client
            .apply(kConfigMaps, config_map(ns, name(i), {{"n", n}}),
                   {.field_manager = "e2e", .force = true})
            .ok();
      },
      "a write");
}

std::size_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::size_t total = 0;
  std::size_t resident = 0;
  file >> total >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

/// The test ends the server behind the words "watching", and answers "back" once it is there again.
/// With the argument "expired" it has compacted the store meanwhile.
void run_watch(const Scenario& scenario) {
  const std::string& ns = scenario.arguments.at(0);
  const bool expires = scenario.arguments.at(1) == "expired";
  const auto client = scenario.connect();
  make_namespace(*client, ns);
  for (int i = 0; i < 20; ++i) {
    set(*client, ns, i, "0");
  }
  Picture picture;
  Informer informer(*client, {.resource = kConfigMaps, .ns = ns}, scenario.log, scenario.metrics,
                    1);
  informer.add_handler([&picture](const ObjectKey& key, const Object& before, const Object& now) {
    picture.take(key, before, now);
  });
  informer.start();
  want_eventually([&] { return informer.has_synced(); }, "sync");
  set(*client, ns, 0, "1");
  want_eventually([&] { return picture.objects()[name(0)] == "1"; }, "a change");

  say("watching");
  await("back");
  for (int i = 5; i < 30; ++i) {
    set(*client, ns, i, "2");
  }
  want_ok(client->remove(kConfigMaps, {.ns = ns, .name = name(7)}), "delete");
  want_eventually([&] { return cached(informer) == listed(*client, ns); }, "the cache catches up");
  want_eventually([&] { return picture.objects() == cached(informer); }, "handlers were told");
  want(!expires || scenario.counted(R"(watch_restarts_total{resource="configmaps",why="expired"})"),
       "the watch expired");
  informer.stop();
  say(std::to_string(picture.changes()) + " changes seen");
}

/// Objects change again and again under a cache; its memory must not grow with it.
void run_memory(const Scenario& scenario) {
  const int updates = scenario.number(0);
  constexpr int kObjects = 1'000;
  constexpr std::size_t kSlackBytes = 24U << 20;
  const auto client = scenario.connect();
  make_namespace(*client, "memory");
  Informer informer(*client, {.resource = kConfigMaps, .ns = "memory"}, scenario.log,
                    scenario.metrics, 1);
  std::atomic<int> changes{0};
  informer.add_handler([&](const ObjectKey&, const Object&, const Object&) { ++changes; });
  informer.start();
  const std::string filling(2'000, 'x');
  const auto write = [&](int from, int to) {
    in_parallel(to - from, [&](int offset) {
      const int i = from + offset;
      const Json data = {{"n", std::to_string(i)}, {"filling", filling}};
      const Json object = config_map("memory", name(i % kObjects), data);
      want_ok(i < kObjects
                  ? client->create(kConfigMaps, object).status()
                  : client
                        ->merge_patch(kConfigMaps, {.ns = "memory", .name = name(i % kObjects)},
                                      {{"data", data}})
                        .status(),
              "write");
    });
    want_eventually([&] { return changes.load() >= to; }, "every change is seen");
  };
  write(0, 2 * kObjects);  // full, and everything changed once
  const std::size_t before = resident_bytes();
  write(2 * kObjects, 2 * kObjects + updates);
  const std::size_t after = resident_bytes();
  informer.stop();
  say("resident " + std::to_string(before >> 20) + " MiB with " + std::to_string(kObjects) +
      " objects, " + std::to_string(after >> 20) + " MiB after " + std::to_string(updates) +
      " updates");
  want(after < before + kSlackBytes, "memory is steady");
}

}  // namespace holdfast::kube
