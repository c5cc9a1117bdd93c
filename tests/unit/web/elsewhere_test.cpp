#include "operator/web/elsewhere.h"

#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <set>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "operator/web/page.h"
#include "tests/unit/web/fake_reviews.h"

#include <httplib.h>

namespace holdfast::web {
namespace {

using testing::HasSubstr;
using testing::Not;

bool eventually(const std::function<bool()>& holds) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

/// The API of another Kubernetes: one cluster with one event, or nobody there.
class FakeElsewhere final : public kube::Client {
 public:
  std::atomic<bool> reachable = true;
  std::atomic<int> changes = 0;

  absl::StatusOr<kube::Json> call(const kube::Request& request) override {
    if (request.method != "GET") ++changes;
    if (!reachable) return absl::UnavailableError("connection refused");
    if (request.path.find("events") != std::string::npos) {
      return kube::parse_json(R"({"metadata":{"resourceVersion":"1"},"items":[
        {"reason":"Grown","note":"n","type":"Normal","eventTime":"2026-01-01T00:00:00.000000Z",
         "regarding":{"namespace":"shop","name":"carts"}}]})");
    }
    return kube::parse_json(R"({"metadata":{"resourceVersion":"1"},"items":[
      {"apiVersion":"holdfast.dev/v1alpha1","kind":"HoldfastCluster",
       "metadata":{"name":"carts","namespace":"shop"},"spec":{},"status":{"clusterID":"1f"}}]})");
  }
  absl::Status stream(const kube::Request&, const std::function<bool(std::string_view)>&) override {
    return absl::UnimplementedError("nothing is watched");
  }
};

OtherKubernetes::Connect to(const std::shared_ptr<FakeElsewhere>& api) {
  return [api]() -> absl::StatusOr<std::shared_ptr<kube::Client>> { return api; };
}

TEST(OtherKubernetes, IsNotAskedBeforeSomebodyLooks) {
  std::atomic<int> asked = 0;
  OtherKubernetes other("east", [&]() -> absl::StatusOr<std::shared_ptr<kube::Client>> {
    ++asked;
    return absl::UnavailableError("no");
  });
  EXPECT_EQ(asked, 0);
  EXPECT_FALSE(other.known()->seen_at || other.known()->failing_since);
  other.look();
  EXPECT_TRUE(eventually([&] { return asked == 1; }));
}

TEST(OtherKubernetes, IsSeenAndNeverChanged) {
  const auto api = std::make_shared<FakeElsewhere>();
  OtherKubernetes other("east", to(api));
  other.look();
  ASSERT_TRUE(eventually([&] { return other.known()->seen_at.has_value(); }));
  const auto seen = other.known();
  ASSERT_TRUE(seen->clusters.contains({"shop", "carts"}));
  ASSERT_EQ(seen->events.at({"shop", "carts"}).size(), 1U);
  EXPECT_EQ(seen->events.at({"shop", "carts"}).front().reason, "Grown");
  EXPECT_EQ(api->changes, 0);
}

TEST(OtherKubernetes, OneThatIsNotReachedSaysSinceWhenAndWhy) {
  const auto api = std::make_shared<FakeElsewhere>();
  api->reachable = false;
  OtherKubernetes other("east", to(api));
  const absl::Time before = absl::Now();
  other.look();
  ASSERT_TRUE(eventually([&] { return other.known()->failing_since.has_value(); }));
  EXPECT_GE(*other.known()->failing_since, before);
  EXPECT_THAT(other.known()->why, HasSubstr("connection refused"));
  EXPECT_FALSE(other.known()->seen_at.has_value());
}

TEST(OtherKubernetes, EndsWhileACallIsUnderWay) {
  std::atomic<bool> waits = false;
  auto other = std::make_unique<OtherKubernetes>(
      "east", [&]() -> absl::StatusOr<std::shared_ptr<kube::Client>> {
        waits = true;
        return absl::StatusOr<std::shared_ptr<kube::Client>>(std::make_shared<FakeElsewhere>());
      });
  other->look();
  ASSERT_TRUE(eventually([&] { return waits.load(); }));
  other.reset();
}

/// A folder of kubeconfigs, as a Secret is mounted.
class Folder : public testing::Test {
 protected:
  Folder() : path_(testing::TempDir() + "/elsewhere-" + std::to_string(::getpid())) {
    std::filesystem::create_directories(path_);
  }
  ~Folder() override { std::filesystem::remove_all(path_); }

  void put(const std::string& name) { std::ofstream(path_ + "/" + name) << "kubeconfig"; }
  ElsewhereFolder::Connector connector() {
    return [this](const std::string& file) {
      const std::lock_guard<std::mutex> lock(mutex_);
      files_.insert(file);
      return to(api_);
    };
  }
  static std::set<std::string> names(const ElsewhereFolder& folder) {
    std::set<std::string> all;
    for (const auto& other : folder.known()) all.insert(other->name);
    return all;
  }

  const std::string path_;
  std::mutex mutex_;
  std::set<std::string> files_;
  std::shared_ptr<FakeElsewhere> api_ = std::make_shared<FakeElsewhere>();
};

TEST_F(Folder, EachFileIsAKubernetesByItsName) {
  for (const char* name : {"east", "west.example.org", "..data", "Not a name"}) put(name);
  ElsewhereFolder folder(path_, connector());
  EXPECT_TRUE(names(folder).empty()) << "nobody looks";
  folder.look();
  EXPECT_EQ(names(folder), (std::set<std::string>{"east", "west.example.org"}));
  EXPECT_EQ(folder.find("north"), nullptr);
}

TEST_F(Folder, NoMoreAreReadThanTheBound) {
  for (int i = 0; i < 50; ++i) put("k-" + std::to_string(100 + i));
  ElsewhereFolder folder(path_, connector());
  folder.look();
  EXPECT_EQ(names(folder).size(), ElsewhereFolder::kMost);
}

TEST_F(Folder, OneThatIsNotThereIsNoKubernetes) {
  ElsewhereFolder folder(path_ + "/absent", connector());
  folder.look();
  EXPECT_TRUE(folder.known().empty());
  EXPECT_FALSE(folder.has_any());
  ElsewhereFolder none("", connector());
  none.look();
  EXPECT_FALSE(none.has_any());
}

/// The page of one cluster here and those of one other Kubernetes.
class PageOfTwo : public Folder {
 protected:
  void SetUp() override {
    reviews_.everywhere = {"alice"};
    reviews_.in_namespace = {{"bob", "apps"}};
    put("east");
    folder_ = std::make_unique<ElsewhereFolder>(path_, connector());
    page_ = std::make_unique<FleetPage>(
        Sources{[] { return std::vector<kube::ObjectKey>{{"apps", "db"}}; },
                [](const kube::ObjectKey& key) {
                  api::HoldfastCluster cluster;
                  cluster.metadata.ns = key.ns;
                  cluster.metadata.name = key.name;
                  return std::optional(view_of(std::move(cluster), {}, absl::Now()));
                },
                [](const std::optional<kube::ObjectKey>&) {}, "1.2.3", folder_.get(), "home"},
        access_, events_);
    ASSERT_TRUE(page_->start("127.0.0.1", 0).ok());
  }

  std::string get(const std::string& path, const std::string& user, int status = 200) {
    httplib::Client client("127.0.0.1", page_->port());
    const auto answer = client.Get(path, {{"Authorization", "Bearer " + user}});
    EXPECT_TRUE(answer);
    if (!answer) return "";
    EXPECT_EQ(answer->status, status) << path << " for " << user;
    return answer->body;
  }

  FakeReviews reviews_;
  Access access_{reviews_};
  RecentEvents events_{reviews_, {}};
  std::unique_ptr<ElsewhereFolder> folder_;
  std::unique_ptr<FleetPage> page_;
};

TEST_F(PageOfTwo, BothAreShownToWhoMaySeeAllHere) {
  ASSERT_TRUE(eventually(
      [&] { return get("/api/v1/clusters", "alice").find("carts") != std::string::npos; }));
  const kube::Json json = *kube::parse_json(get("/api/v1/clusters", "alice"));
  ASSERT_EQ(json["kubernetes"].size(), 2U);
  EXPECT_EQ(json["kubernetes"][0]["name"], "home");
  EXPECT_EQ(json["kubernetes"][1]["name"], "east");
  EXPECT_EQ(json["kubernetes"][1]["reached"], true);
  EXPECT_EQ(json["clusters"][0]["kubernetes"], "home");
  EXPECT_EQ(json["clusters"][1]["kubernetes"], "east");
  const kube::Json one = *kube::parse_json(get("/api/v1/clusters/east/shop/carts", "alice"));
  EXPECT_EQ(one["events"][0]["reason"], "Grown");
  EXPECT_EQ((*kube::parse_json(get("/api/v1/clusters/home/apps/db", "alice")))["name"], "db");
}

TEST_F(PageOfTwo, WhoMaySeeLessHereSeesNothingOfTheOther) {
  ASSERT_TRUE(eventually(
      [&] { return get("/api/v1/clusters", "alice").find("carts") != std::string::npos; }));
  const std::string all = get("/api/v1/clusters", "bob");
  EXPECT_THAT(all, HasSubstr("\"db\""));
  EXPECT_THAT(all, Not(HasSubstr("carts")));
  EXPECT_THAT(all, Not(HasSubstr("east")));
  get("/api/v1/clusters/east/shop/carts", "bob", 404);
  get("/api/v1/clusters/home/apps/db", "bob", 200);
}

TEST_F(PageOfTwo, OneThatIsNotReachedIsSaidAndHidesNothing) {
  api_->reachable = false;
  ASSERT_TRUE(eventually([&] {
    return get("/api/v1/clusters", "alice").find("connection refused") != std::string::npos;
  }));
  const kube::Json json = *kube::parse_json(get("/api/v1/clusters", "alice"));
  EXPECT_EQ(json["kubernetes"][1]["reached"], false);
  EXPECT_FALSE(json["kubernetes"][1]["failingSince"].is_null());
  EXPECT_EQ(json["clusters"].size(), 1U);
  get("/api/v1/clusters/east/shop/carts", "alice", 404);
}

}  // namespace
}  // namespace holdfast::web
