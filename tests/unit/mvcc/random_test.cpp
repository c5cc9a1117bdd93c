#include <gtest/gtest.h>

#include "datastore/base/prng.h"
#include "datastore/mvcc/history_scan.h"
#include "tests/unit/mvcc/drive.h"
#include "tests/unit/mvcc/model.h"

/// The store against the model: random transactions, drains, compactions in interrupted steps and
/// restarts; after each, random questions whose answers must be equal to the byte.
namespace holdfast::mvcc {
namespace {

class RandomRun {
 public:
  explicit RandomRun(std::uint64_t seed) : dice_(seed), keys_(5 + dice_.below(200)) {
    store_ = open_store(backend_);
    reader_ = std::make_unique<Reader>(store_->views());
  }

  void step() {
    const std::uint64_t what = dice_.below(100);
    if (what < 60) {
      transaction();
      if (dice_.chance(1, 2)) apply(*store_);
    } else if (what < 72) {
      apply(*store_);
      drain(*store_, backend_, dice_.below(5000));
    } else if (what < 76) {
      compact();
    } else if (what < 84) {
      compaction_step();
    } else if (what == 84) {
      restart();
    } else if (what < 90) {
      apply(*store_);
      check_hash();
    } else if (what < 93) {
      apply(*store_);
      check_history();
    } else {
      apply(*store_);
      check_reads();
    }
  }

 private:
  Bytes key() {
    // Shared prefixes, keys that are prefixes of keys, and trailing zeroes: hard for an index.
    static const char* const kStems[] = {"", "/registry/pods/default/", "/registry/pods/default-2/",
                                         "a", "\xff\xff"};
    Bytes key = kStems[dice_.below(5)];
    key += std::to_string(dice_.below(keys_));
    if (dice_.chance(1, 10)) key.push_back('\0');
    return key;
  }
  KeyRange interval(Bytes* from, Bytes* to) {
    *from = key();
    switch (dice_.below(4)) {
      case 0:
        return {*from, {}};
      case 1:
        *to = Bytes(1, '\0');
        break;
      default:
        *to = key();
    }
    return {*from, *to};
  }
  std::int64_t past_revision() {
    const std::int64_t first = std::max<std::int64_t>(model_.compact_revision(), 1);
    return first + static_cast<std::int64_t>(
                       dice_.below(static_cast<std::uint64_t>(model_.revision() - first + 1)));
  }

  void transaction() {
    WriteTxn txn = store_->write();
    model_.begin();
    for (std::uint64_t ops = 1 + dice_.below(4); ops > 0; --ops) {
      if (dice_.chance(3, 4)) {
        const Bytes k = key();
        const auto letter = static_cast<char>('a' + dice_.below(26));
        const Bytes value(dice_.below(60), letter);
        const auto lease = static_cast<std::int64_t>(dice_.below(3));
        const Change& change = txn.put(k, value, LeaseId(lease));
        model_.put(k, value, lease);
        EXPECT_EQ(change.key, k);
      } else {
        Bytes from, to;
        const KeyRange range = interval(&from, &to);
        EXPECT_EQ(txn.delete_range(range), model_.delete_range(range));
      }
    }
    for (const Change& change : txn.changes()) {
      EXPECT_EQ(change.kv, model_.encoded(change.revision));
    }
    model_.end();
    EXPECT_EQ(txn.end().value, model_.revision());
  }

  void compact() {
    const std::int64_t at = past_revision();
    const absl::Status status = store_->compact(Revision(at));
    EXPECT_EQ(status.ok(), at > model_.compact_revision());
    if (!status.ok()) return;
    // The model deletes at once; so the hash to expect is taken now, if one will be kept.
    expected_hash_ = model_.compaction_hash(at);
    model_.compact(at);
  }

  void compaction_step() {
    apply(*store_);
    if (job_ == nullptr) job_ = store_->next_compaction();
    if (job_ == nullptr) return;
    ASSERT_TRUE(reader_->refresh().ok());
    for (std::uint64_t steps = 1 + dice_.below(8); steps > 0; --steps) {
      const auto progress = job_->read(*reader_, 1 + dice_.below(40));
      ASSERT_TRUE(progress.ok()) << progress.status();
      if (*progress == CompactionJob::Progress::kWaiting) drain(*store_, backend_);
    }
    if (dice_.chance(1, 20)) {
      store_->abandon_compaction(std::move(job_));
      return;
    }
    if (dice_.chance(1, 2) && job_->write(1 + dice_.below(60)) == CompactionJob::Progress::kDone) {
      job_.reset();
    }
  }

  void restart() {
    apply(*store_);
    while (drain(*store_, backend_)) {
    }
    job_.reset();
    reader_.reset();
    store_.reset();
    std::map<Bytes, std::int64_t> leases;
    store_ = open_store(backend_, {.on_lease = [&leases](BytesView key, LeaseId lease) {
                          leases[Bytes(key)] = lease.value;
                        }});
    reader_ = std::make_unique<Reader>(store_->views());
    EXPECT_EQ(store_->revision().value, model_.revision());
    EXPECT_EQ(store_->compact_revision().value, model_.compact_revision());
    std::map<Bytes, std::int64_t> expected;
    for (const auto& [key, at] : model_.live({Bytes(), Bytes(1, '\0')}, model_.revision())) {
      if (const std::int64_t lease = model_.entries().at(at).lease; lease != 0) {
        expected[key] = lease;
      }
    }
    EXPECT_EQ(leases, expected);
  }

  RangeQuery query(Bytes* from, Bytes* to) {
    RangeQuery query;
    query.range = interval(from, to);
    if (dice_.chance(1, 2)) query.revision = past_revision();
    if (dice_.chance(1, 2)) query.limit = static_cast<std::int64_t>(dice_.below(20));
    query.sort_order = static_cast<SortOrder>(dice_.below(3));
    query.sort_target = static_cast<SortTarget>(dice_.below(5));
    query.keys_only = dice_.chance(1, 4);
    query.count_only = dice_.chance(1, 8);
    if (dice_.chance(1, 4)) query.min_mod_revision = past_revision();
    if (dice_.chance(1, 4)) query.max_mod_revision = past_revision();
    if (dice_.chance(1, 4)) query.min_create_revision = past_revision();
    if (dice_.chance(1, 4)) query.max_create_revision = past_revision();
    return query;
  }

  void check_reads() {
    ASSERT_TRUE(reader_->refresh().ok());
    const RangeQuery everything = {.range = {BytesView("\0", 1), BytesView("\0", 1)}};
    EXPECT_EQ(reader_->view().live_keys, static_cast<std::size_t>(model_.range(everything).count));
    for (int i = 0; i < 5; ++i) {
      Bytes from, to;
      const RangeQuery asked = query(&from, &to);
      const auto expected = model_.range(asked);
      for (const bool by_reader : {true, false}) {
        const auto result = by_reader ? reader_->range(asked) : store_->range(asked);
        ASSERT_TRUE(result.ok()) << result.status();
        EXPECT_EQ(std::vector<Bytes>(result->kvs.begin(), result->kvs.end()), expected.kvs);
        EXPECT_EQ(result->count, expected.count);
        EXPECT_EQ(result->more, expected.more);
        EXPECT_EQ(result->revision.value, model_.revision());
      }
      if (is_streamable(asked)) check_cursor(asked, expected);
    }
    const std::int64_t compacted = model_.compact_revision();
    if (compacted > 1) {
      EXPECT_EQ(reader_->get("a", compacted - 1).status().message(),
                "etcdserver: mvcc: required revision has been compacted");
    }
    EXPECT_EQ(reader_->get("a", model_.revision() + 1).status().message(),
              "etcdserver: mvcc: required revision is a future revision");
  }

  void check_cursor(const RangeQuery& asked, const Model::Answer& expected) {
    RangeCursor cursor(asked);
    const auto count = cursor.total_count(*reader_);
    ASSERT_TRUE(count.ok());
    EXPECT_EQ(*count, expected.count);
    std::vector<Bytes> kvs;
    for (;;) {
      const std::uint64_t max_bytes = 1 + dice_.below(300);
      const auto slice = cursor.next(*reader_, 1 + dice_.below(5), max_bytes);
      ASSERT_TRUE(slice.ok());
      kvs.insert(kvs.end(), slice->kvs.begin(), slice->kvs.end());
      if (!slice->done) continue;
      EXPECT_EQ(slice->more, expected.more);
      break;
    }
    EXPECT_EQ(kvs, expected.kvs);
    check_measure(asked, expected);
  }

  void check_measure(const RangeQuery& asked, const Model::Answer& expected) {
    RangeCursor cursor(asked);
    std::vector<std::size_t> sizes;
    for (;;) {
      const auto step = cursor.measure(*reader_, 1 + dice_.below(5),
                                       [&sizes](std::size_t bytes) { sizes.push_back(bytes); });
      ASSERT_TRUE(step.ok());
      if (!step->done) continue;
      EXPECT_EQ(step->more, expected.more);
      break;
    }
    ASSERT_EQ(sizes.size(), expected.kvs.size());
    for (std::size_t i = 0; i < sizes.size(); ++i) EXPECT_EQ(sizes[i], expected.kvs[i].size());
  }

  void check_hash() {
    const std::int64_t at = past_revision();
    const auto answer = hash_kv(*store_, at, 1 + dice_.below(100));
    ASSERT_TRUE(answer.ok()) << answer.status();
    EXPECT_EQ(answer->current_revision.value, model_.revision());
    bool cached = false;
    for (const KvHash& hash : store_->compaction_hashes()) {
      cached = cached || hash == answer->hash;
      if (hash.revision == expected_hash_.revision) {
        EXPECT_EQ(hash.hash, expected_hash_.hash);
        EXPECT_EQ(hash.compact_revision, expected_hash_.compact_revision);
      }
    }
    if (!cached) {
      const KvHash expected = model_.hash_kv(at);
      EXPECT_EQ(answer->hash.hash, expected.hash) << "at " << at;
      EXPECT_EQ(answer->hash.compact_revision, expected.compact_revision);
      EXPECT_EQ(answer->hash.revision, expected.revision);
    }
  }

  void check_history() {
    const std::int64_t from = past_revision();
    HistoryScan scan(Revision(from), Revision(model_.revision()));
    auto expected = model_.entries().lower_bound({from + 1, 0});
    for (;;) {
      ASSERT_TRUE(reader_->refresh().ok());
      const std::uint64_t max_bytes = 1 + dice_.below(2000);
      const auto step = scan.next(*reader_, 1 + dice_.below(30), max_bytes);
      ASSERT_TRUE(step.ok()) << step.status();
      for (const HistoryEvent& event : step->events) {
        ASSERT_NE(expected, model_.entries().end());
        EXPECT_EQ(event.revision, expected->first);
        EXPECT_EQ(event.tombstone, expected->second.tombstone);
        EXPECT_EQ(event.kv, model_.encoded(expected->first));
        check_previous(expected->second.key, event.revision);
        ++expected;
      }
      if (step->done) break;
    }
    EXPECT_EQ(expected, model_.entries().end());
  }

  void check_previous(BytesView key, BucketRevision at) {
    const auto previous = reader_->previous(key, at);
    ASSERT_TRUE(previous.ok()) << previous.status();
    const auto before = at.main - 1 < std::max<std::int64_t>(model_.compact_revision(), 1)
                            ? std::nullopt
                            : model_.live_at(key, at.main - 1);
    ASSERT_EQ(previous->has_value(), before.has_value());
    if (!before.has_value()) return;
    EXPECT_EQ(**previous, model_.encoded(*before));
  }

  Prng dice_;
  std::uint64_t keys_;
  testing::MemoryBackend backend_;
  Model model_;
  KvHash expected_hash_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Reader> reader_;
  std::unique_ptr<CompactionJob> job_;
};

TEST(Random, StoreAnswersAsTheModelDoes) {
  constexpr int kRuns = 40;
  constexpr int kSteps = 300;
  for (std::uint64_t seed = 1; seed <= kRuns; ++seed) {
    SCOPED_TRACE(::testing::Message() << "seed " << seed);
    RandomRun run(seed);
    for (int step = 0; step < kSteps; ++step) {
      SCOPED_TRACE(::testing::Message() << "step " << step);
      run.step();
      if (::testing::Test::HasFailure()) return;
    }
  }
}

}  // namespace
}  // namespace holdfast::mvcc
