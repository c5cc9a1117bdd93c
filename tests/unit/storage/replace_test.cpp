#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/unit/storage/store_fixture.h"

/// LmdbBackend::replace(): all of the content gives way to another, at once.
namespace holdfast::storage {
namespace {

using absl::StatusCode;
using ports::BackendFill;

class ReplaceTest : public StoreTest {
 protected:
  /// Replaces the content by `entries` of bucket key.
  absl::Status replace_by(const Entries& entries) {
    return store_->replace([&](BackendFill& fill) -> absl::Status {
      for (const auto& [key, value] : entries) {
        if (absl::Status s = fill.add(Bucket::kKey, key, value); !s.ok()) return s;
      }
      return absl::OkStatus();
    });
  }
  static Entries revisions(std::uint64_t count, const Bytes& value) {
    Entries entries;
    for (std::uint64_t i = 1; i <= count; ++i) entries.emplace_back(revision_key(i), value);
    return entries;
  }
  std::string draft() const { return file() + ".new"; }
};

TEST_F(ReplaceTest, NothingOfTheOldContentIsLeft) {
  put(Bucket::kMeta, "old", "1");
  put(Bucket::kKey, revision_key(7), "old");
  const Entries entries = revisions(3, "new");
  ASSERT_TRUE(replace_by(entries).ok());
  EXPECT_EQ(scan(*read(), Bucket::kKey), entries);
  EXPECT_TRUE(scan(*read(), Bucket::kMeta).empty());
  EXPECT_TRUE(store_->verify().ok());
}

TEST_F(ReplaceTest, IsThereAfterReopeningAndTakesCommits) {
  ASSERT_TRUE(replace_by(revisions(3, "new")).ok());
  put(Bucket::kKey, revision_key(4), "newer");
  reopen();
  EXPECT_EQ(scan(*read(), Bucket::kKey).size(), 4U);
  EXPECT_FALSE(std::filesystem::exists(draft()));
}

TEST_F(ReplaceTest, ReadsOfTheOldContentStayAsTheyAreAndCanBegin) {
  put(Bucket::kMeta, "k", "old");
  const auto before = read();
  const std::shared_ptr<ports::BackendContent> old = store_->content();
  ASSERT_TRUE(replace_by(revisions(3, "new")).ok());
  put(Bucket::kMeta, "k", "new");
  EXPECT_EQ(*before->get(Bucket::kMeta, "k"), "old");
  EXPECT_EQ(*(*old->begin_read())->get(Bucket::kMeta, "k"), "old");
  EXPECT_EQ(*read()->get(Bucket::kMeta, "k"), "new");
  EXPECT_NE(store_->content(), old);
}

TEST_F(ReplaceTest, TheOldFileIsClosedByTheNextCommitAfterItsLastReader) {
  std::weak_ptr<ports::BackendContent> old = store_->content();
  auto before = read();
  ASSERT_TRUE(replace_by(revisions(1, "new")).ok());
  put(Bucket::kMeta, "k", "1");
  EXPECT_FALSE(old.expired());
  before.reset();
  put(Bucket::kMeta, "k", "2");
  EXPECT_TRUE(old.expired());
}

TEST_F(ReplaceTest, AnErrorOfTheFillChangesNothing) {
  put(Bucket::kMeta, "k", "old");
  const absl::Status failed = store_->replace([](BackendFill& fill) {
    EXPECT_TRUE(fill.add(Bucket::kMeta, "k", "new").ok());
    return absl::DataLossError("the source is damaged");
  });
  EXPECT_EQ(failed.code(), StatusCode::kDataLoss);
  EXPECT_EQ(*read()->get(Bucket::kMeta, "k"), "old");
  EXPECT_FALSE(std::filesystem::exists(draft()));
}

TEST_F(ReplaceTest, KeysOutOfOrderAreRefused) {
  Entries entries = revisions(2, "v");
  std::swap(entries[0], entries[1]);
  EXPECT_EQ(replace_by(entries).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(replace_by({{"a", "1"}, {"a", "2"}}).code(), StatusCode::kInvalidArgument);
}

TEST_F(ReplaceTest, MoreThanTheMapHoldsIsResourceExhaustedAndChangesNothing) {
  LmdbBackend::Options small = options();
  small.map_bytes = 1 << 20;
  reopen(small);
  put(Bucket::kMeta, "k", "old");
  EXPECT_EQ(replace_by(revisions(100, Bytes(100'000, 'v'))).code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(*read()->get(Bucket::kMeta, "k"), "old");
  put(Bucket::kMeta, "k", "still writable");
}

TEST_F(ReplaceTest, ContentOfManyCommitsWithLongKeysAndLargeValuesComesWhole) {
  Entries entries = revisions(200, Bytes(200'000, 'v'));
  Entries users;
  for (int i = 0; i < 5; ++i) users.emplace_back(Bytes(600, 'u') + std::to_string(i), "value");
  users.emplace_back("v", "");
  ASSERT_TRUE(store_
                  ->replace([&](BackendFill& fill) -> absl::Status {
                    for (const auto& [key, value] : users) {
                      EXPECT_TRUE(fill.add(Bucket::kAuthUsers, key, value).ok());
                    }
                    for (const auto& [key, value] : entries) {
                      EXPECT_TRUE(fill.add(Bucket::kKey, key, value).ok());
                    }
                    return absl::OkStatus();
                  })
                  .ok());
  EXPECT_EQ(scan(*read(), Bucket::kKey), entries);
  EXPECT_EQ(scan(*read(), Bucket::kAuthUsers), users);
  EXPECT_TRUE(store_->verify().ok());
}

TEST_F(ReplaceTest, ADraftThatACrashLeftIsRemovedOnOpening) {
  put(Bucket::kMeta, "k", "v");
  store_.reset();
  std::ofstream(draft()) << "half a store";
  reopen();
  EXPECT_FALSE(std::filesystem::exists(draft()));
  EXPECT_EQ(*read()->get(Bucket::kMeta, "k"), "v");
}

TEST_F(ReplaceTest, TheNewFileIsLockedAgainstOtherProcessesToo) {
  ASSERT_TRUE(replace_by(revisions(1, "v")).ok());
  EXPECT_EQ(LmdbBackend::open(options()).status().code(), StatusCode::kFailedPrecondition);
}

TEST_F(ReplaceTest, AReadOnlyStoreIsNotReplaced) {
  LmdbBackend::Options read_only = options();
  read_only.read_only = true;
  reopen(read_only);
  EXPECT_EQ(replace_by({}).code(), StatusCode::kPermissionDenied);
}

// Each content has one value everywhere: a reader must never see two.
TEST_F(ReplaceTest, ReadersOnThreadsSeeOneContentWhole) {
  ASSERT_TRUE(replace_by(revisions(100, "0")).ok());
  std::atomic<bool> stop{false};
  std::atomic<int> torn{0};
  std::vector<std::thread> readers;
  for (int t = 0; t < 3; ++t) {
    readers.emplace_back([&] {
      while (!stop) {
        const auto one = store_->begin_read();
        if (!one.ok()) continue;
        const Entries entries = scan(**one, Bucket::kKey);
        for (const auto& [key, value] : entries) torn += value != entries.front().second;
        torn += entries.size() != 100;
        (void)store_->sizes();
      }
    });
  }
  for (int i = 1; i <= 30; ++i) {
    ASSERT_TRUE(replace_by(revisions(100, std::to_string(i))).ok());
    put(Bucket::kMeta, "k", std::to_string(i));
    ASSERT_TRUE(store_->reclaim(1 << 20).ok());
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(torn, 0);
}

}  // namespace
}  // namespace holdfast::storage
