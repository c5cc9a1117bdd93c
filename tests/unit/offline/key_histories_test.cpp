#include "datastore/offline/key_histories.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace holdfast::offline {
namespace {

using testing::HasSubstr;

class KeyHistoriesTest : public testing::Test {
 protected:
  absl::Status put(std::int64_t main, mvcc::KeyValueView kv) {
    kv.key = "k";
    Bytes value(mvcc::key_value_size(kv), '\0');
    mvcc::encode_key_value(kv, value.data());
    return histories_.add(mvcc::EncodedBucketKey({{main, 0}, false}).view(), value);
  }
  absl::Status remove(std::int64_t main) {
    const mvcc::KeyValueView kv{.key = "k"};
    Bytes value(mvcc::key_value_size(kv), '\0');
    mvcc::encode_key_value(kv, value.data());
    return histories_.add(mvcc::EncodedBucketKey({{main, 0}, true}).view(), value);
  }
  void expect_wrong(const absl::Status& status, const char* words) {
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(words));
  }

  KeyHistories histories_;
};

TEST_F(KeyHistoriesTest, AHistoryMayBeginAnywhereAndBeginAgain) {
  EXPECT_TRUE(put(7, {.create_revision = 3, .mod_revision = 7, .version = 4}).ok());
  EXPECT_TRUE(put(9, {.create_revision = 3, .mod_revision = 9, .version = 5}).ok());
  EXPECT_EQ(histories_.live_keys(), 1U);
  EXPECT_TRUE(remove(10).ok());
  EXPECT_EQ(histories_.live_keys(), 0U);
  EXPECT_TRUE(put(11, {.create_revision = 11, .mod_revision = 11, .version = 1}).ok());
  EXPECT_EQ(histories_.entries(), 4U);
}

TEST_F(KeyHistoriesTest, AnEntryInAnothersPlaceIsFound) {
  expect_wrong(put(7, {.create_revision = 3, .mod_revision = 6, .version = 4}), "revision 7.0");
}

TEST_F(KeyHistoriesTest, AMissingEntryIsFound) {
  ASSERT_TRUE(put(7, {.create_revision = 3, .mod_revision = 7, .version = 4}).ok());
  expect_wrong(put(9, {.create_revision = 3, .mod_revision = 9, .version = 6}), "does not go on");
}

TEST_F(KeyHistoriesTest, AMissingTombstoneIsFound) {
  ASSERT_TRUE(put(7, {.create_revision = 3, .mod_revision = 7, .version = 4}).ok());
  expect_wrong(put(9, {.create_revision = 9, .mod_revision = 9, .version = 1}), "does not go on");
}

TEST_F(KeyHistoriesTest, NoVersionIsFound) {
  expect_wrong(put(9, {.create_revision = 9, .mod_revision = 9, .version = 0}), "no version");
}

}  // namespace
}  // namespace holdfast::offline
