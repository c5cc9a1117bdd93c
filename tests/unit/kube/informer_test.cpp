#include "operator/kube/informer.h"

#include <mutex>
#include <set>

#include "gtest/gtest.h"
#include "tests/unit/kube/scripted_server.h"

namespace holdfast::kube {
namespace {

using Heard = ScriptedServer::Heard;
using Send = ScriptedServer::Send;

Json object(const std::string& name, int version) {
  return {{"apiVersion", "v1"},
          {"kind", "ConfigMap"},
          {"metadata",
           {{"name", name},
            {"namespace", "n"},
            {"uid", "uid-" + name},
            {"resourceVersion", std::to_string(version)},
            {"managedFields", Json::array({{{"manager", "m"}}})}}}};
}

std::string list_of(const std::vector<Json>& items, const std::string& version,
                    const std::string& next = {}) {
  return to_text(Json{{"kind", "ConfigMapList"},
                      {"metadata", {{"resourceVersion", version}, {"continue", next}}},
                      {"items", items}});
}

std::string event(const char* type, const Json& object) {
  return to_text(Json{{"type", type}, {"object", object}}) + "\n";
}

std::string gone() {
  return to_text(Json{{"type", "ERROR"},
                      {"object", *parse_json(status_body(410, "Expired", "too old"))}}) +
         "\n";
}

bool is_watch(const Heard& request) {
  return request.target.find("watch=true") != std::string::npos;
}
bool has(const Heard& request, const std::string& part) {
  return request.target.find(part) != std::string::npos;
}

class InformerTest : public testing::Test, public ClientFixture {
 protected:
  void start(ScriptedServer& server,
             const std::function<void(InformerOptions&)>& adjust = nullptr) {
    client_ = connect(server.port());
    InformerOptions options{.resource = kConfigMaps,
                            .first_backoff = std::chrono::milliseconds(1),
                            .last_backoff = std::chrono::milliseconds(4)};
    if (adjust) {
      adjust(options);
    }
    informer_ = std::make_unique<Informer>(*client_, std::move(options), *log, metrics, 1);
    informer_->add_handler([this](const ObjectKey& key, const Object& before, const Object& now) {
      const std::lock_guard lock(mutex_);
      seen_.push_back((before == nullptr ? "+" : now == nullptr ? "-" : "~") + key.name);
    });
    informer_->start();
  }
  std::string seen() const {
    const std::lock_guard lock(mutex_);
    std::string all;
    for (const std::string& one : seen_) {
      all += (all.empty() ? "" : " ") + one;
    }
    return all;
  }
  bool eventually_sees(const std::string& expected) const {
    const bool came = eventually([&] { return seen() == expected; });
    EXPECT_EQ(seen(), expected);
    return came;
  }
  std::string version_in_cache(const std::string& name) const {
    const Object object = informer_->cache().get({.ns = "n", .name = name});
    return object == nullptr ? "" : std::string(resource_version_of(*object));
  }

  mutable std::mutex mutex_;
  std::vector<std::string> seen_;
  std::unique_ptr<RestClient> client_;
  std::unique_ptr<Informer> informer_;
};

TEST_F(InformerTest, ListsInPagesThenWatchesFromTheListsVersion) {
  ScriptedServer* self = nullptr;
  ScriptedServer server([&](int number, const Heard& request, const Send& send) {
    if (number == 0) {
      send(answer(200, list_of({object("a", 1)}, "50", "page2")));
    } else if (number == 1) {
      EXPECT_TRUE(has(request, "continue=page2")) << request.target;
      send(answer(200, list_of({object("b", 2)}, "50")));
    } else {
      EXPECT_TRUE(has(request, "resourceVersion=50")) << request.target;
      EXPECT_TRUE(has(request, "allowWatchBookmarks=true")) << request.target;
      send(chunked_head());
      send(chunk(event("MODIFIED", object("a", 51)) + event("DELETED", object("b", 52))));
      send(chunk(event("ADDED", object("c", 53))));
      self->hold();
    }
    return true;
  });
  self = &server;
  start(server);
  EXPECT_TRUE(eventually_sees("+a +b ~a -b +c"));
  EXPECT_TRUE(informer_->has_synced());
  EXPECT_EQ(version_in_cache("a"), "51");
  EXPECT_EQ(informer_->cache().size(), 2U);
  const Object a = informer_->cache().get({.ns = "n", .name = "a"});
  EXPECT_EQ(find_at(*a, {"metadata", "managedFields"}), nullptr);
  informer_->stop();
}

TEST_F(InformerTest, ExpiredInsideAnErrorEventListsAgainAndReportsTheDifference) {
  ScriptedServer* self = nullptr;
  std::atomic<int> lists{0};
  std::atomic<int> watches{0};
  ScriptedServer server([&](int, const Heard& request, const Send& send) {
    if (!is_watch(request)) {
      const bool first = lists++ == 0;
      EXPECT_FALSE(has(request, "resourceVersion=")) << request.target;
      send(answer(200, first
                           ? list_of({object("a", 1), object("b", 2), object("same", 3)}, "50")
                           : list_of({object("a", 61), object("c", 62), object("same", 3)}, "70")));
      return true;
    }
    send(chunked_head());
    if (watches++ == 0) {
      send(chunk(gone()));
      send("0\r\n\r\n");
      return true;
    }
    EXPECT_TRUE(has(request, "resourceVersion=70")) << request.target;
    self->hold();
    return false;
  });
  self = &server;
  start(server);
  EXPECT_TRUE(eventually_sees("+a +b +same -b ~a +c"));
  EXPECT_EQ(lists.load(), 2);
  EXPECT_NE(registry.text().find(R"(watch_restarts_total{resource="configmaps",why="expired"} 1)"),
            std::string::npos)
      << registry.text();
  informer_->stop();
}

TEST_F(InformerTest, AnyErrorEventListsAgain) {
  ScriptedServer* self = nullptr;
  std::atomic<int> lists{0};
  ScriptedServer server([&](int, const Heard& request, const Send& send) {
    if (!is_watch(request)) {
      send(answer(200, list_of({object("a", 1)}, std::to_string(50 + ++lists))));
      return true;
    }
    send(chunked_head());
    if (has(request, "resourceVersion=51")) {
      const Json error = *parse_json(status_body(500, "InternalError", "no previous value"));
      send(chunk(event("ERROR", error)));
      send("0\r\n\r\n");
      return true;
    }
    self->hold();
    return false;
  });
  self = &server;
  start(server);
  EXPECT_TRUE(eventually([&] { return lists.load() == 2; }));
  informer_->stop();
  EXPECT_EQ(seen(), "+a");
}

TEST_F(InformerTest, GoneAsAnAnswerListsAgain) {
  ScriptedServer* self = nullptr;
  std::atomic<int> lists{0};
  ScriptedServer server([&](int, const Heard& request, const Send& send) {
    if (!is_watch(request)) {
      send(answer(200, list_of({object("a", 1)}, std::to_string(50 + ++lists))));
    } else if (has(request, "resourceVersion=51")) {
      send(answer(410, status_body(410, "Gone", "too old")));
    } else {
      self->hold();
    }
    return true;
  });
  self = &server;
  start(server);
  EXPECT_TRUE(eventually([&] { return lists.load() == 2; }));
  informer_->stop();
  EXPECT_EQ(seen(), "+a");
}

TEST_F(InformerTest, BookmarkMovesTheVersionAndNothingElse) {
  ScriptedServer* self = nullptr;
  std::atomic<int> watches{0};
  ScriptedServer server([&](int, const Heard& request, const Send& send) {
    if (!is_watch(request)) {
      send(answer(200, list_of({object("a", 1)}, "50")));
      return true;
    }
    if (watches++ == 0) {
      send(chunked_head());
      send(chunk(event("BOOKMARK", {{"metadata", {{"resourceVersion", "90"}}}})));
      send("0\r\n\r\n");
      return true;
    }
    EXPECT_TRUE(has(request, "resourceVersion=90")) << request.target;
    self->hold();
    return false;
  });
  self = &server;
  start(server);
  EXPECT_TRUE(eventually([&] { return watches.load() == 2; }));
  informer_->stop();
  EXPECT_EQ(seen(), "+a");
  EXPECT_EQ(informer_->cache().size(), 1U);
}

TEST_F(InformerTest, HalfALineIsNotAnEventAndTheWatchGoesOnFromBeforeIt) {
  ScriptedServer* self = nullptr;
  std::atomic<int> watches{0};
  ScriptedServer server([&](int, const Heard& request, const Send& send) {
    if (!is_watch(request)) {
      send(answer(200, list_of({}, "50")));
      return true;
    }
    send(chunked_head());
    const std::string line = event("ADDED", object("a", 51));
    if (watches++ == 0) {
      send(chunk(line + event("ADDED", object("b", 52)).substr(0, 40)));
      send("0\r\n\r\n");
      return true;
    }
    EXPECT_TRUE(has(request, "resourceVersion=51")) << request.target;
    for (const char byte : event("ADDED", object("b", 52))) {
      send(chunk(std::string_view(&byte, 1)));
    }
    self->hold();
    return false;
  });
  self = &server;
  start(server);
  EXPECT_TRUE(eventually_sees("+a +b"));
  informer_->stop();
}

TEST_F(InformerTest, BrokenChunkInAWatchIsResumed) {
  ScriptedServer* self = nullptr;
  std::atomic<int> watches{0};
  ScriptedServer server([&](int, const Heard& request, const Send& send) {
    if (!is_watch(request)) {
      send(answer(200, list_of({}, "50")));
      return true;
    }
    send(chunked_head());
    if (watches++ == 0) {
      send(chunk(event("ADDED", object("a", 51))));
      send("ffff\r\n{\"type\":");
      return false;
    }
    EXPECT_TRUE(has(request, "resourceVersion=51")) << request.target;
    send(chunk(event("ADDED", object("b", 52))));
    self->hold();
    return false;
  });
  self = &server;
  start(server);
  EXPECT_TRUE(eventually_sees("+a +b"));
  informer_->stop();
}

TEST_F(InformerTest, LineBeyondTheBoundEndsTheWatchAndNeverGrowsMemory) {
  ScriptedServer* self = nullptr;
  std::atomic<int> lists{0};
  ScriptedServer server([&](int, const Heard& request, const Send& send) {
    if (!is_watch(request)) {
      send(answer(200, list_of({}, std::to_string(50 + ++lists))));
      return true;
    }
    send(chunked_head());
    const std::string piece = chunk(std::string(4096, 'x'));
    while (!self->closing() && lists.load() < 2) {
      send(piece);
      if (self->heard().size() > 3) {
        break;
      }
    }
    return false;
  });
  self = &server;
  start(server, [](InformerOptions& options) { options.max_event_bytes = 64 << 10; });
  // After some failures the version itself is doubted, and all is listed again.
  EXPECT_TRUE(eventually([&] { return lists.load() >= 2; }));
  informer_->stop();
}

TEST_F(InformerTest, FailingListIsRetriedAndTheCacheKeepsWhatItHad) {
  ScriptedServer* self = nullptr;
  std::atomic<int> lists{0};
  ScriptedServer server([&](int, const Heard& request, const Send& send) {
    if (is_watch(request)) {
      if (lists.load() == 1) {
        send(chunked_head());
        send(chunk(gone()));
        send("0\r\n\r\n");
        return true;
      }
      self->hold();
      return false;
    }
    const int number = lists++;
    if (number > 0 && number < 12) {
      EXPECT_EQ(informer_->cache().size(), 1U);
      send(answer(500, "boom"));
    } else {
      send(answer(200, list_of({object("a", 1)}, "50")));
    }
    return true;
  });
  self = &server;
  start(server);
  EXPECT_TRUE(eventually([&] { return lists.load() == 13; }));
  EXPECT_EQ(seen(), "+a");
  informer_->stop();
}

TEST_F(InformerTest, StopsWhileTheServerIsSilent) {
  ScriptedServer* self = nullptr;
  ScriptedServer server([&](int, const Heard& request, const Send& send) {
    if (!is_watch(request)) {
      send(answer(200, list_of({}, "50")));
      return true;
    }
    send(chunked_head());
    self->hold();
    return false;
  });
  self = &server;
  start(server);
  ASSERT_TRUE(server.wait_for(2));
  informer_->stop();
  informer_->stop();
}

TEST_F(InformerTest, StopsWhileListing) {
  ScriptedServer* self = nullptr;
  ScriptedServer server([&](int, const Heard&, const Send&) {
    self->hold();
    return false;
  });
  self = &server;
  start(server);
  ASSERT_TRUE(server.wait_for(1));
  informer_->stop();
  EXPECT_FALSE(informer_->has_synced());
}

TEST_F(InformerTest, SelectorsAndNamespaceReachTheServer) {
  ScriptedServer* self = nullptr;
  ScriptedServer server([&](int, const Heard& request, const Send& send) {
    EXPECT_TRUE(has(request, "/api/v1/namespaces/n/configmaps?")) << request.target;
    EXPECT_TRUE(has(request, "labelSelector=a%3Db%2Cc")) << request.target;
    EXPECT_TRUE(has(request, "fieldSelector=metadata.name%3Dx")) << request.target;
    if (is_watch(request)) {
      self->hold();
      return false;
    }
    send(answer(200, list_of({}, "50")));
    return true;
  });
  self = &server;
  start(server, [](InformerOptions& options) {
    options.ns = "n";
    options.label_selector = "a=b,c";
    options.field_selector = "metadata.name=x";
  });
  ASSERT_TRUE(server.wait_for(2));
  informer_->stop();
}

TEST_F(InformerTest, WatchTimesAreSpreadOverTheirRange) {
  ScriptedServer server([](int, const Heard& request, const Send& send) {
    if (!is_watch(request)) {
      send(answer(200, list_of({}, "50")));
      return true;
    }
    send(chunked_head());
    send("0\r\n\r\n");
    return true;
  });
  start(server);
  EXPECT_TRUE(server.wait_for(12));
  informer_->stop();
  std::set<std::string> timeouts;
  for (const Heard& request : server.heard()) {
    if (is_watch(request)) {
      timeouts.insert(request.target.substr(request.target.find("timeoutSeconds=") + 15, 3));
    }
  }
  EXPECT_GE(*timeouts.begin(), "300");
  EXPECT_LE(*timeouts.rbegin(), "600");
  EXPECT_GT(timeouts.size(), 2U);
}

}  // namespace
}  // namespace holdfast::kube
