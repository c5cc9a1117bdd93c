#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "tests/unit/mvcc/drive.h"

/// HashKV against a real etcd: testdata/mvcc/etcd_hashes*.txt hold commands that etcd 3.7.1
/// was given and the hashes it answered on the way.
namespace holdfast::mvcc {
namespace {

Bytes text(const std::string& word) {
  if (word == "-") return {};
  if (word == "*") return Bytes(1, '\0');
  return word;
}

class Replay {
 public:
  void line(const std::string& line) {
    std::istringstream words(line);
    std::string command, a, b;
    words >> command >> a >> b;
    if (command == "txn") {
      open_ops_ = std::stoi(a);
      txn_.emplace(store_->write());
    } else if (command == "put" || command == "del") {
      if (!txn_.has_value()) {
        open_ops_ = 1;
        txn_.emplace(store_->write());
      }
      change(command, a, b, words);
      if (--open_ops_ == 0) {
        txn_->end();
        txn_.reset();
        apply(*store_);
        if (store_->revision().value % 7 == 0) drain(*store_, backend_);
      }
    } else if (command == "compact") {
      ASSERT_TRUE(store_->compact(Revision(std::stoll(a))).ok());
      apply(*store_);
      finish_compactions(*store_, backend_, 50);
    } else {
      ASSERT_EQ(command, "hash");
      check_hash(std::stoll(a), std::stoul(b), words);
    }
  }

  int hashes() const { return hashes_; }

 private:
  void change(const std::string& command, const std::string& a, const std::string& b,
              std::istringstream& words) {
    if (command == "del") {
      txn_->delete_range({text(a), text(b)});
      return;
    }
    std::int64_t lease = 0;
    words >> lease;
    txn_->put(text(a), text(b), LeaseId(lease));
  }

  void check_hash(std::int64_t at, std::uint32_t expected, std::istringstream& words) {
    std::int64_t compact_revision = 0, hash_revision = 0;
    words >> compact_revision >> hash_revision;
    const auto answer = hash_kv(*store_, at, 100);
    ASSERT_TRUE(answer.ok()) << answer.status();
    EXPECT_EQ(answer->hash.hash, expected);
    EXPECT_EQ(answer->hash.compact_revision.value, compact_revision);
    EXPECT_EQ(answer->hash.revision.value, hash_revision);
    ++hashes_;
  }

  testing::MemoryBackend backend_;
  std::unique_ptr<Store> store_ = open_store(backend_);
  std::optional<WriteTxn> txn_;
  int open_ops_ = 0;
  int hashes_ = 0;
};

void replay(const std::string& name) {
  std::ifstream file(HOLDFAST_TESTDATA "/mvcc/" + name);
  ASSERT_TRUE(file.is_open());
  Replay replay;
  int number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    if (line.empty() || line[0] == '#') continue;
    SCOPED_TRACE(::testing::Message() << name << ", line " << number << ": " << line);
    replay.line(line);
    if (::testing::Test::HasFailure()) return;
  }
  EXPECT_GT(replay.hashes(), 100);
}

TEST(EtcdHashes, EqualOurs) {
  replay("etcd_hashes.txt");
}

TEST(EtcdHashes, EqualOursWhenCompactionKeepsNothing) {
  replay("etcd_hashes_sparse.txt");
}

}  // namespace
}  // namespace holdfast::mvcc
