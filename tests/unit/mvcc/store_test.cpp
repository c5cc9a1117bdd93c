#include "datastore/mvcc/store.h"

#include <gtest/gtest.h>

#include "datastore/mvcc/history_scan.h"
#include "tests/unit/mvcc/drive.h"

namespace holdfast::mvcc {
namespace {

Revision put(Store& store, BytesView key, BytesView value) {
  WriteTxn txn = store.write();
  txn.put(key, value, LeaseId());
  return txn.end();
}

Bytes value_of(const Reader& reader, BytesView key, std::int64_t revision = 0) {
  const auto kv = reader.get(key, revision);
  EXPECT_TRUE(kv.ok()) << kv.status();
  if (!kv.ok() || !kv->has_value()) return "(none)";
  return Bytes(parse_key_value(**kv)->value);
}

Bytes be64(std::uint64_t number) {
  Bytes bytes(8, '\0');
  store_be64(bytes.data(), number);
  return bytes;
}

class StoreTest : public ::testing::Test {
 protected:
  testing::MemoryBackend backend_;
  std::unique_ptr<Store> store_ = open_store(backend_);
};

TEST_F(StoreTest, BeginsAtRevisionOneNeverCompacted) {
  EXPECT_EQ(store_->revision(), Revision(1));
  EXPECT_EQ(store_->compact_revision(), Revision(-1));
  EXPECT_TRUE(store_->take_drain(SIZE_MAX).empty());
}

TEST_F(StoreTest, ReadersSeeNothingBeforePublication) {
  Reader reader(store_->views());
  ASSERT_TRUE(reader.refresh().ok());
  put(*store_, "k", "1");
  store_->set_applied(Index(5), Term(2));
  ASSERT_TRUE(reader.refresh().ok());
  EXPECT_EQ(value_of(reader, "k"), "(none)");
  store_->publish();
  EXPECT_EQ(value_of(reader, "k"), "(none)") << "a view does not change under its reader";
  ASSERT_TRUE(reader.refresh().ok());
  EXPECT_EQ(value_of(reader, "k"), "1");
  EXPECT_EQ(reader.view().applied_index, Index(5));
  EXPECT_EQ(reader.view().applied_term, Term(2));
}

TEST_F(StoreTest, ViewsCarryTheNodesFlags) {
  store_->set_flags(42);
  apply(*store_);
  EXPECT_EQ(store_->views().get()->flags, 42U);
}

TEST_F(StoreTest, OnlyPublishedBatchesAreDrainedAndWhole) {
  put(*store_, "a", "1");
  store_->stage(ports::Bucket::kLease, "lease", "granted");
  store_->set_applied(Index(1), Term(1));
  EXPECT_TRUE(store_->take_drain(SIZE_MAX).empty());
  store_->publish();
  put(*store_, "b", "2");
  store_->set_applied(Index(2), Term(1));
  store_->publish();

  DrainBatch first = store_->take_drain(1);
  EXPECT_EQ(first.batches, 1U) << "at least one, whatever its size";
  EXPECT_EQ(first.applied_index, Index(1));
  EXPECT_EQ(first.last_revision, Revision(2));
  ASSERT_TRUE(backend_.commit(first.writes()).ok());
  store_->drained(std::move(first));
  const auto buckets = backend_.contents();
  EXPECT_EQ(buckets[static_cast<std::size_t>(ports::Bucket::kKey)].size(), 1U);
  EXPECT_EQ(buckets[static_cast<std::size_t>(ports::Bucket::kLease)].at("lease"), "granted");
  const auto& meta = buckets[static_cast<std::size_t>(ports::Bucket::kMeta)];
  EXPECT_EQ(meta.at("consistent_index"), be64(1));
  EXPECT_EQ(meta.at("term"), be64(1));

  EXPECT_GT(store_->pending_bytes(), 0U);
  EXPECT_TRUE(drain(*store_, backend_));
  EXPECT_EQ(store_->pending_bytes(), 0U);
  EXPECT_FALSE(drain(*store_, backend_));
}

TEST_F(StoreTest, AnEmptyBatchStillMovesTheConsistentIndex) {
  store_->set_applied(Index(9), Term(3));
  store_->publish();
  EXPECT_TRUE(drain(*store_, backend_));
  auto reopened = open_store(backend_);
  EXPECT_EQ(reopened->applied_index(), Index(9));
  EXPECT_EQ(reopened->applied_term(), Term(3));
}

TEST_F(StoreTest, AFailedCommitIsOfferedAgain) {
  put(*store_, "a", "1");
  store_->stage(ports::Bucket::kAlarm, "alarm", "");
  apply(*store_);
  backend_.fail_commits(absl::ResourceExhaustedError("the disk is full"));
  DrainBatch batch = store_->take_drain(SIZE_MAX);
  const std::size_t count = batch.writes().size();
  EXPECT_FALSE(backend_.commit(batch.writes()).ok());
  store_->drain_failed(std::move(batch));

  put(*store_, "b", "2");
  apply(*store_);
  Reader reader(store_->views());
  ASSERT_TRUE(reader.refresh().ok());
  EXPECT_EQ(value_of(reader, "a"), "1");

  backend_.fail_commits(absl::OkStatus());
  DrainBatch again = store_->take_drain(1);
  EXPECT_EQ(again.writes().size(), count);
  ASSERT_TRUE(backend_.commit(again.writes()).ok());
  store_->drained(std::move(again));
  EXPECT_TRUE(drain(*store_, backend_));
  EXPECT_EQ(open_store(backend_)->revision(), Revision(3));
}

TEST_F(StoreTest, StagedWritesAreFoundBeforeAndAfterTheDrain) {
  store_->stage(ports::Bucket::kMembers, "m", "1");
  store_->stage(ports::Bucket::kMembers, "m", "2");
  EXPECT_EQ(store_->staged_or_stored(ports::Bucket::kMembers, "m").value(), "2");
  apply(*store_);
  EXPECT_EQ(store_->staged_or_stored(ports::Bucket::kMembers, "m").value(), "2");
  EXPECT_TRUE(drain(*store_, backend_));
  EXPECT_EQ(store_->staged_or_stored(ports::Bucket::kMembers, "m").value(), "2");
  store_->stage(ports::Bucket::kMembers, "m", std::nullopt);
  EXPECT_TRUE(absl::IsNotFound(store_->staged_or_stored(ports::Bucket::kMembers, "m").status()));
  apply(*store_);
}

TEST_F(StoreTest, ChangesOutliveTheDrainWhileOwned) {
  BytesView kv;
  std::shared_ptr<const void> owner;
  {
    WriteTxn txn = store_->write();
    const Change& change = txn.put("key", "value", LeaseId(4));
    kv = change.kv;
    owner = change.owner();
    EXPECT_EQ(change.lease, LeaseId(4));
    EXPECT_FALSE(change.previous.has_value());
    txn.end();
  }
  apply(*store_);
  // Enough to leave the segment behind.
  for (int i = 0; i < 5000; ++i) put(*store_, "other", "x");
  apply(*store_);
  EXPECT_TRUE(drain(*store_, backend_));
  for (int i = 0; i < 5000; ++i) put(*store_, "other", "y");
  apply(*store_);
  EXPECT_EQ(parse_key_value(kv)->value, "value");
}

TEST_F(StoreTest, AnOldViewReadsAcrossDrainsAndCompaction) {
  put(*store_, "k", "1");
  put(*store_, "k", "2");
  apply(*store_);
  Reader old(store_->views());
  ASSERT_TRUE(old.refresh().ok());
  for (int i = 0; i < 3000; ++i) put(*store_, "k", "3");
  apply(*store_);
  EXPECT_TRUE(drain(*store_, backend_));
  ASSERT_TRUE(store_->compact(store_->revision()).ok());
  apply(*store_);
  finish_compactions(*store_, backend_);
  EXPECT_TRUE(drain(*store_, backend_));

  EXPECT_EQ(value_of(old, "k"), "2");
  EXPECT_EQ(value_of(old, "k", 2), "1");
  ASSERT_TRUE(old.refresh().ok());
  EXPECT_EQ(value_of(old, "k"), "3");
  EXPECT_EQ(old.get("k", 2).status().message(),
            "etcdserver: mvcc: required revision has been compacted");
}

TEST_F(StoreTest, MemoryIsFreedOnceViewsAreGone) {
  std::size_t settled = 0;
  for (int round = 0; round < 6; ++round) {
    for (int i = 0; i < 2000; ++i) {
      put(*store_, std::to_string(i % 500), "v");
      if (i % 10 == 0) apply(*store_);
    }
    apply(*store_);
    EXPECT_TRUE(drain(*store_, backend_));
    ASSERT_TRUE(store_->compact(store_->revision()).ok());
    apply(*store_);
    finish_compactions(*store_, backend_);
    EXPECT_TRUE(drain(*store_, backend_));
    apply(*store_);
    if (round == 2) settled = store_->index_bytes();
  }
  EXPECT_EQ(store_->index_bytes(), settled);
}

TEST_F(StoreTest, ACursorEndsWhenCompactionPassesItsRevision) {
  for (int i = 0; i < 10; ++i) put(*store_, "k" + std::to_string(i), "v");
  apply(*store_);
  Reader reader(store_->views());
  ASSERT_TRUE(reader.refresh().ok());
  RangeCursor cursor({.range = {"k", "l"}});
  auto slice = cursor.next(reader, 3, SIZE_MAX);
  ASSERT_TRUE(slice.ok());
  EXPECT_EQ(slice->kvs.size(), 3U);
  EXPECT_EQ(cursor.revision(), Revision(11));

  // Later writes do not show; the fixed revision stays readable while it is not compacted.
  put(*store_, "k3", "changed");
  apply(*store_);
  ASSERT_TRUE(reader.refresh().ok());
  slice = cursor.next(reader, 1, SIZE_MAX);
  ASSERT_TRUE(slice.ok());
  EXPECT_EQ(parse_key_value(slice->kvs.at(0))->value, "v");

  ASSERT_TRUE(store_->compact(Revision(12)).ok());
  apply(*store_);
  ASSERT_TRUE(reader.refresh().ok());
  EXPECT_EQ(cursor.next(reader, 1, SIZE_MAX).status().message(),
            "etcdserver: mvcc: required revision has been compacted");
}

TEST_F(StoreTest, QueuedCompactionsRunInOrderAndOnlyAnUninterruptedOneKeepsItsHash) {
  for (int i = 0; i < 10; ++i) put(*store_, "k", std::to_string(i));
  ASSERT_TRUE(store_->compact(Revision(4)).ok());
  ASSERT_TRUE(store_->compact(Revision(8)).ok());
  apply(*store_);
  auto job = store_->next_compaction();
  ASSERT_NE(job, nullptr);
  EXPECT_EQ(job->revision(), Revision(4));
  EXPECT_EQ(store_->next_compaction(), nullptr) << "one at a time";
  store_->abandon_compaction(std::move(job));
  finish_compactions(*store_, backend_);
  EXPECT_TRUE(store_->compaction_hashes().empty());

  ASSERT_TRUE(store_->compact(Revision(9)).ok());
  apply(*store_);
  finish_compactions(*store_, backend_);
  ASSERT_EQ(store_->compaction_hashes().size(), 1U);
  EXPECT_EQ(store_->compaction_hashes()[0].revision, Revision(9));
  EXPECT_EQ(store_->compaction_hashes()[0].compact_revision, Revision(8));
}

TEST_F(StoreTest, KeepsTheTenNewestCompactionHashes) {
  for (int i = 0; i < 20; ++i) put(*store_, "k", "v");
  apply(*store_);
  for (std::int64_t at = 2; at <= 15; ++at) {
    ASSERT_TRUE(store_->compact(Revision(at)).ok());
    apply(*store_);
    finish_compactions(*store_, backend_);
  }
  const auto hashes = store_->compaction_hashes();
  ASSERT_EQ(hashes.size(), kMaxCompactionHashes);
  EXPECT_EQ(hashes.front().revision, Revision(6));
  EXPECT_EQ(hashes.back().revision, Revision(15));
}

TEST_F(StoreTest, CompactionToZeroIsAcceptedOnceAndDoesNotPoisonHashes) {
  put(*store_, "k", "v");
  apply(*store_);
  const auto before = hash_kv(*store_, 0);
  ASSERT_TRUE(store_->compact(Revision(0)).ok());
  EXPECT_FALSE(store_->compact(Revision(0)).ok());
  apply(*store_);
  finish_compactions(*store_, backend_);
  const auto after = hash_kv(*store_, 0);
  ASSERT_TRUE(before.ok() && after.ok());
  EXPECT_EQ(after->hash.hash, before->hash.hash);
  EXPECT_EQ(after->hash.revision, Revision(2));
}

TEST_F(StoreTest, KeepsAValuePutAgainInTheCompactedTransaction) {
  put(*store_, "k", "old");
  WriteTxn txn = store_->write();
  txn.delete_range({"k", {}});
  txn.put("k", "new", LeaseId());
  EXPECT_EQ(txn.end(), Revision(3));
  ASSERT_TRUE(store_->compact(Revision(3)).ok());
  apply(*store_);
  finish_compactions(*store_, backend_);
  EXPECT_TRUE(drain(*store_, backend_));
  Reader reader(store_->views());
  ASSERT_TRUE(reader.refresh().ok());
  EXPECT_EQ(value_of(reader, "k"), "new");
}

TEST_F(StoreTest, ValuesLargerThanASegmentAreKept) {
  const Bytes large(3 << 20, 'x');
  put(*store_, "large", large);
  put(*store_, "small", "s");
  apply(*store_);
  Reader reader(store_->views());
  ASSERT_TRUE(reader.refresh().ok());
  EXPECT_EQ(value_of(reader, "large"), large);
  EXPECT_EQ(value_of(reader, "small"), "s");
  EXPECT_TRUE(drain(*store_, backend_));
  ASSERT_TRUE(reader.refresh().ok());
  EXPECT_EQ(value_of(reader, "large"), large);
}

// ---- Opening -----------------------------------------------------------------------------------

absl::Status open_with(BytesView bucket_key, BytesView value,
                       ports::Bucket bucket = ports::Bucket::kKey) {
  testing::MemoryBackend backend;
  const ports::BackendWrite write{bucket, bucket_key, value};
  EXPECT_TRUE(backend.commit(absl::MakeConstSpan(&write, 1)).ok());
  return Store::open(backend).status();
}

TEST(StoreOpen, RefusesDamageAndSaysWhere) {
  const EncodedBucketKey good({{3, 0}, false});
  EXPECT_TRUE(absl::IsDataLoss(open_with(good.view(), "\xff\xff")));
  EXPECT_TRUE(absl::IsDataLoss(open_with(Bytes(good.view()) + "x", "")));
  EXPECT_TRUE(absl::IsDataLoss(open_with("term", "short", ports::Bucket::kMeta)));
  EXPECT_TRUE(absl::IsDataLoss(open_with("finishedCompactRev", "5", ports::Bucket::kMeta)));
  const std::string message(open_with(good.view(), "\x0a\x09").message());
  EXPECT_NE(message.find("00000000000000035f0000000000000000"), std::string::npos) << message;
}

TEST(StoreOpen, ToleratesTheEmptyValueOfARevisionBump) {
  testing::MemoryBackend backend;
  const EncodedBucketKey bump({{1000000, 0}, false});
  const ports::BackendWrite write{ports::Bucket::kKey, bump.view(), BytesView()};
  ASSERT_TRUE(backend.commit(absl::MakeConstSpan(&write, 1)).ok());
  auto store = open_store(backend);
  EXPECT_EQ(store->revision(), Revision(1000000));
  EXPECT_EQ(put(*store, "k", "v"), Revision(1000001));
  apply(*store);
  ASSERT_TRUE(store->compact(Revision(1000001)).ok());
  apply(*store);
  finish_compactions(*store, backend);
  EXPECT_TRUE(drain(*store, backend));
  // It is the newest revision of the empty key, so compaction keeps it, as in etcd.
  EXPECT_EQ(backend.contents()[static_cast<std::size_t>(ports::Bucket::kKey)].size(), 2U);
}

TEST(StoreOpen, ReaderBeforeAnyViewIsUnavailable) {
  ViewSource views;
  Reader reader(views);
  EXPECT_TRUE(absl::IsUnavailable(reader.refresh()));
  EXPECT_FALSE(reader.holding());
}

TEST(StoreHistory, SaysCompactedAndFuture) {
  testing::MemoryBackend backend;
  auto store = open_store(backend);
  for (int i = 0; i < 5; ++i) put(*store, "k", "v");
  ASSERT_TRUE(store->compact(Revision(4)).ok());
  apply(*store);
  Reader reader(store->views());
  ASSERT_TRUE(reader.refresh().ok());
  EXPECT_TRUE(absl::IsOutOfRange(
      HistoryScan(Revision(2), Revision(6)).next(reader, 10, SIZE_MAX).status()));
  EXPECT_TRUE(absl::IsOutOfRange(
      HistoryScan(Revision(4), Revision(7)).next(reader, 10, SIZE_MAX).status()));
  EXPECT_TRUE(HistoryScan(Revision(3), Revision(6)).next(reader, 10, SIZE_MAX).ok());
}

}  // namespace
}  // namespace holdfast::mvcc
