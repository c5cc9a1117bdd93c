#include "operator/backup/exchange.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

/// What a restore does on a volume, each command over again at every point where a Pod may have
/// ended.
namespace holdfast::backup {
namespace {

namespace fs = std::filesystem;

class ExchangeTest : public ::testing::Test {
 protected:
  ExchangeTest() {
    std::string path = ::testing::TempDir() + "exchange-XXXXXX";
    root_ = ::mkdtemp(path.data());
    make("data", "old");
  }
  ~ExchangeTest() override { fs::remove_all(root_); }

  Exchange of(const std::string& uid, std::int64_t needed_bytes = 0) const {
    return {root_, uid, needed_bytes};
  }
  void make(const std::string& folder, const std::string& content) const {
    fs::create_directories(root_ + "/" + folder);
    std::ofstream(root_ + "/" + folder + "/file") << content;
  }
  /// What a folder holds; "-" if there is none.
  std::string in(const std::string& folder) const {
    if (!fs::exists(root_ + "/" + folder)) return "-";
    std::stringstream text;
    text << std::ifstream(root_ + "/" + folder + "/file").rdbuf();
    return text.str();
  }
  void note(const std::string& text) const { std::ofstream(root_ + "/restore-state") << text; }
  void move(const std::string& from, const std::string& to) const {
    fs::rename(root_ + "/" + from, root_ + "/" + to);
  }

  std::string root_;
};

TEST_F(ExchangeTest, TheOldDataIsKeptBesideTheNewAndComesBack) {
  ASSERT_TRUE(put_aside(of("a")).ok());
  EXPECT_EQ(in("data"), "-");
  make("data", "new");
  ASSERT_TRUE(put_aside(of("a")).ok());  // the Pod begins anew
  EXPECT_EQ(in("data") + in("before-a"), "newold");
  ASSERT_TRUE(bring_back(of("a")).ok());
  EXPECT_EQ(in("data") + in("before-a") + in("undone-a"), "old--");
  ASSERT_TRUE(bring_back(of("a")).ok());
  EXPECT_EQ(in("data"), "old");
}

TEST_F(ExchangeTest, APodThatBeginsOnceMoreAfterTheRemovalTouchesNothing) {
  ASSERT_TRUE(put_aside(of("a")).ok());
  make("data", "new");
  ASSERT_TRUE(discard(of("a")).ok());
  EXPECT_EQ(in("before-a"), "-");
  ASSERT_TRUE(put_aside(of("a")).ok());
  EXPECT_EQ(in("data") + in("before-a"), "new-");
  EXPECT_TRUE(absl::IsFailedPrecondition(bring_back(of("a"))));
  EXPECT_EQ(in("data"), "new");
}

TEST_F(ExchangeTest, PuttingAsideGoesOnAfterItsRename) {
  move("data", "before-a");
  ASSERT_TRUE(put_aside(of("a")).ok());
  make("data", "new");
  ASSERT_TRUE(put_aside(of("a")).ok());
  EXPECT_EQ(in("data") + in("before-a"), "newold");
}

TEST_F(ExchangeTest, BringingBackGoesOnAfterEachOfItsRenames) {
  ASSERT_TRUE(put_aside(of("a")).ok());
  make("undone-a", "new");  // the first rename is done
  ASSERT_TRUE(bring_back(of("a")).ok());
  EXPECT_EQ(in("data") + in("undone-a"), "old-");

  ASSERT_TRUE(put_aside(of("b")).ok());
  make("undone-b", "new");
  move("before-b", "data");  // and the second
  ASSERT_TRUE(bring_back(of("b")).ok());
  EXPECT_EQ(in("data") + in("undone-b"), "old-");
}

TEST_F(ExchangeTest, WhatWasNeverPutAsideStays) {
  ASSERT_TRUE(bring_back(of("a")).ok());
  ASSERT_TRUE(discard(of("a")).ok());
  EXPECT_EQ(in("data"), "old");
}

TEST_F(ExchangeTest, AnEmptyVolumeIsNotMistakenForTheOldDataLater) {
  fs::remove_all(root_ + "/data");
  ASSERT_TRUE(put_aside(of("a")).ok());
  make("data", "new");
  ASSERT_TRUE(put_aside(of("a")).ok());
  EXPECT_EQ(in("data"), "new");
}

TEST_F(ExchangeTest, NothingIsRemovedThatNothingHasReplaced) {
  ASSERT_TRUE(put_aside(of("a")).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(discard(of("a"))));
  EXPECT_EQ(in("before-a"), "old");
}

TEST_F(ExchangeTest, NothingIsPutAsideWithoutTheRoom) {
  EXPECT_TRUE(absl::IsResourceExhausted(put_aside(of("a", std::int64_t{1} << 60))));
  EXPECT_EQ(in("data"), "old");
}

TEST_F(ExchangeTest, WhatCannotBeKnownIsNotGuessed) {
  fs::create_directory(root_ + "/restore-state");
  EXPECT_FALSE(put_aside(of("a")).ok());
  EXPECT_FALSE(bring_back(of("a")).ok());
  EXPECT_FALSE(discard(of("a")).ok());
  EXPECT_EQ(in("data"), "old");
}

TEST_F(ExchangeTest, ALaterRestoreHasAWayBackOfItsOwn) {
  ASSERT_TRUE(put_aside(of("a")).ok());
  make("data", "new");
  ASSERT_TRUE(discard(of("a")).ok());
  ASSERT_TRUE(put_aside(of("b")).ok());
  make("data", "newer");
  ASSERT_TRUE(discard(of("a")).ok());  // of one whose Pod comes late
  ASSERT_TRUE(bring_back(of("b")).ok());
  EXPECT_EQ(in("data"), "new");
}

}  // namespace
}  // namespace holdfast::backup
