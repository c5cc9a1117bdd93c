#include "datastore/cli/discovery.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace holdfast::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string why(const absl::Status& status) {
  return std::string(status.message());
}

/// An etcd's keys, in memory.
class FakeRegistry final : public Registry {
 public:
  absl::StatusOr<std::vector<Entry>> read(const std::string& key) override {
    if (fails > 0) return failure();
    const auto found = entries_.find(key);
    return found == entries_.end() ? std::vector<Entry>() : std::vector<Entry>{found->second};
  }
  absl::StatusOr<std::vector<Entry>> read_prefix(const std::string& prefix) override {
    if (fails > 0) return failure();
    std::vector<Entry> out;
    for (const auto& [key, entry] : entries_) {
      if (key.starts_with(prefix)) out.push_back(entry);
    }
    return out;
  }
  absl::Status put(const std::string& key, const std::string& value) override {
    if (fails > 0) return failure();
    const auto [at, added] = entries_.try_emplace(key, Entry{key, value, ++revision_});
    if (!added) at->second.value = value;
    if (on_put) on_put(key);
    return absl::OkStatus();
  }

  int fails = 0;
  absl::Status error = absl::UnavailableError("no answer");
  std::function<void(const std::string&)> on_put;

 private:
  absl::Status failure() {
    --fails;
    return error;
  }
  std::map<std::string, Entry> entries_;
  std::int64_t revision_ = 0;
};

class DiscoveryTest : public ::testing::Test {
 protected:
  DiscoveryTest() : log_(telemetry::Logger::none()) {
    waits_.wait = [this](std::chrono::milliseconds time) {
      waited_.push_back(time.count());
      if (on_wait_) on_wait_();
      return waited_.size() < 20;
    };
  }
  void set_size(const std::string& size) {
    ASSERT_TRUE(registry_.put("/_etcd/registry/tok/_config/size", size).ok());
  }
  void add(const std::string& id, const std::string& value) {
    ASSERT_TRUE(registry_.put("/_etcd/registry/tok/members/" + id, value).ok());
  }
  absl::StatusOr<std::vector<config::ClusterMember>> discover() {
    return discover_cluster({"tok", MemberId(0xab), {"me", {"http://me:1", "http://me:2"}}},
                            registry_, waits_, *log_);
  }
  std::string text() {
    const auto members = discover();
    return members.ok() ? config::initial_cluster_text(*members) : why(members.status());
  }

  FakeRegistry registry_;
  DiscoveryWaits waits_;
  std::vector<std::int64_t> waited_;
  std::function<void()> on_wait_;
  std::unique_ptr<telemetry::Logger> log_;
};

TEST_F(DiscoveryTest, RegistersAndWaitsForTheOthers) {
  set_size("3");
  add("1", "a=http://a:1");
  on_wait_ = [&] { add("2", " b=http://b:1\n"); };
  EXPECT_EQ(text(), "a=http://a:1,b=http://b:1,me=http://me:1,me=http://me:2");
  EXPECT_THAT(waited_, ElementsAre(500));
  EXPECT_EQ(registry_.read("/_etcd/registry/tok/members/ab")->at(0).value,
            "me=http://me:1,me=http://me:2");
}

TEST_F(DiscoveryTest, TheFirstToComeAreTheCluster) {
  set_size("2");
  add("9", "first=http://a:1");
  registry_.on_put = [&](const std::string& key) {
    if (key.ends_with("/ab")) add("0", "late=http://b:1");
  };
  EXPECT_EQ(text(), "first=http://a:1,me=http://me:1,me=http://me:2");
}

TEST_F(DiscoveryTest, AFullClusterTakesNobodyElse) {
  set_size("2");
  add("1", "a=http://a:1");
  add("2", "b=http://b:1");
  EXPECT_THAT(text(), HasSubstr("discovery: cluster is full"));
  EXPECT_TRUE(registry_.read("/_etcd/registry/tok/members/ab")->empty());
}

TEST_F(DiscoveryTest, WhoRegisteredBeforeACrashIsStillIn) {
  set_size("2");
  add("ab", "me=http://me:1,me=http://me:2");
  add("1", "a=http://a:1");
  add("2", "b=http://b:1");
  EXPECT_EQ(text(), "a=http://a:1,me=http://me:1,me=http://me:2");
}

TEST_F(DiscoveryTest, ASizeMustBeThere) {
  EXPECT_THAT(text(), HasSubstr("discovery: size key not found"));
  for (const char* bad : {"0", "three", "-1", ""}) {
    set_size(bad);
    EXPECT_THAT(text(), HasSubstr("discovery: size key is bad")) << bad;
  }
}

TEST_F(DiscoveryTest, WhatOthersRegisteredIsReadWithCare) {
  set_size("2");
  add("1", "nonsense");
  add("2", "b=http://b");
  EXPECT_THAT(text(), HasSubstr("discovery: invalid peer URL: /_etcd/registry/tok/members/2"));
}

TEST_F(DiscoveryTest, NamesAreNotShared) {
  set_size("2");
  add("1", "me=http://other:1");
  EXPECT_THAT(text(), HasSubstr("discovery: two members are called me"));
}

TEST_F(DiscoveryTest, AServiceThatFailsIsAskedAgainMoreAndMoreSlowly) {
  set_size("1");
  registry_.fails = 10;
  EXPECT_EQ(text(), "me=http://me:1,me=http://me:2");
  EXPECT_THAT(waited_,
              ElementsAre(2000, 4000, 8000, 16000, 32000, 64000, 128000, 256000, 256000, 256000));
}

TEST_F(DiscoveryTest, ARefusalIsFinal) {
  set_size("1");
  registry_.error = absl::PermissionDeniedError("etcdserver: permission denied");
  registry_.fails = 1;
  EXPECT_EQ(text(), "etcdserver: permission denied");
  EXPECT_TRUE(waited_.empty());
}

TEST_F(DiscoveryTest, StopsWhenTheProcessDoes) {
  set_size("2");
  EXPECT_TRUE(absl::IsCancelled(discover().status()));
  EXPECT_EQ(waited_.size(), 20u);
}

}  // namespace
}  // namespace holdfast::cli
