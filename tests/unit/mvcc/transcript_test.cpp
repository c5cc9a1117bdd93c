#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "datastore/mvcc/history_scan.h"
#include "tests/unit/mvcc/drive.h"

/// Plays testdata/mvcc/*.txt: each command (a line that does not begin with a blank) is followed by
/// what it answers, indented. HOLDFAST_REWRITE_TRANSCRIPTS=1 writes the answers anew; the diff is
/// then for a person to judge.
///
///   put KEY VALUE [lease=N]     del KEY [END]        get KEY|range KEY END [rev=N] [limit=N]
///   begin … end                 compact REV          [order=ascend|descend] [sort=TARGET] [keys]
///   run-compaction              hash REV             [count] [minmod= maxmod= mincreate=
///   maxcreate=] history FROM TO             previous KEY MAIN    drain, reopen, dump
///
/// END is a key, or * for everything from KEY on. Outside begin … end each change is a batch.
namespace holdfast::mvcc {
namespace {

class Player {
 public:
  std::string play(const std::string& line) {
    std::istringstream words(line);
    words_.clear();
    for (std::string word; words >> word;) words_.push_back(word);
    out_.str("");
    run();
    return out_.str();
  }

 private:
  std::string word(std::size_t i) const { return i < words_.size() ? words_[i] : ""; }
  std::int64_t number(std::size_t i) const { return std::strtoll(word(i).c_str(), nullptr, 10); }
  bool flag(const std::string& name) const {
    return std::find(words_.begin(), words_.end(), name) != words_.end();
  }
  std::string option(const std::string& name) const {
    for (const std::string& word : words_) {
      if (word.starts_with(name + "=")) return word.substr(name.size() + 1);
    }
    return "";
  }
  std::int64_t number_option(const std::string& name) const {
    return std::strtoll(option(name).c_str(), nullptr, 10);
  }
  KeyRange interval() {
    key_ = word(1);
    end_ = word(2) == "*" ? Bytes(1, '\0') : word(2);
    return {key_, end_};
  }

  void run() {
    const std::string command = word(0);
    if (command == "begin") {
      txn_.emplace(store_->write());
    } else if (command == "end") {
      out_ << "  revision " << txn_->end() << "\n";
      txn_.reset();
      apply(*store_);
    } else if (command == "put" || command == "del") {
      change();
    } else if (command == "get" || command == "range") {
      range();
    } else if (command == "compact") {
      report(store_->compact(Revision(number(1))));
      apply(*store_);
    } else if (command == "run-compaction") {
      finish_compactions(*store_, backend_, 2);
      out_ << "  compact revision " << store_->compact_revision() << "\n";
    } else if (command == "hash") {
      hash();
    } else if (command == "history") {
      history();
    } else if (command == "previous") {
      previous();
    } else if (command == "drain") {
      while (drain(*store_, backend_)) {
      }
    } else if (command == "reopen") {
      reopen();
    } else if (command == "dump") {
      dump();
    } else {
      ADD_FAILURE() << "unknown command " << command;
    }
  }

  void report(const absl::Status& status) {
    if (!status.ok()) out_ << "  error: " << status.message() << "\n";
  }

  void show(BytesView bytes) {
    const auto kv = parse_key_value(bytes);
    ASSERT_TRUE(kv.has_value());
    out_ << "  " << kv->key;
    if (!kv->value.empty()) out_ << " = " << kv->value;
    out_ << " (create " << kv->create_revision << ", mod " << kv->mod_revision << ", version "
         << kv->version;
    if (kv->lease != 0) out_ << ", lease " << kv->lease;
    out_ << ")\n";
  }

  void change() {
    const bool alone = !txn_.has_value();
    if (alone) txn_.emplace(store_->write());
    const std::size_t before = txn_->changes().size();
    if (word(0) == "put") {
      txn_->put(word(1), word(2), LeaseId(number_option("lease")));
    } else {
      out_ << "  deleted " << txn_->delete_range(interval()) << "\n";
    }
    for (const Change& change : txn_->changes().subspan(before)) {
      out_ << "  " << change.revision.main << "." << change.revision.sub << " "
           << (change.tombstone ? "del " : "put ") << change.key;
      if (change.previous.has_value()) {
        out_ << ", was version " << change.previous->version << " of revision "
             << change.previous->mod_revision.main;
      }
      out_ << "\n";
    }
    if (!alone) return;
    txn_->end();
    txn_.reset();
    apply(*store_);
  }

  void range() {
    RangeQuery query;
    query.range = interval();
    if (word(0) == "get") query.range.end = {};
    query.revision = number_option("rev");
    query.limit = number_option("limit");
    query.keys_only = flag("keys");
    query.count_only = flag("count");
    query.min_mod_revision = number_option("minmod");
    query.max_mod_revision = number_option("maxmod");
    query.min_create_revision = number_option("mincreate");
    query.max_create_revision = number_option("maxcreate");
    if (option("order") == "ascend") query.sort_order = SortOrder::kAscend;
    if (option("order") == "descend") query.sort_order = SortOrder::kDescend;
    const std::string targets[] = {"key", "version", "create", "mod", "value"};
    for (std::size_t i = 0; i < 5; ++i) {
      if (option("sort") == targets[i]) query.sort_target = static_cast<SortTarget>(i);
    }
    Reader reader(store_->views());
    ASSERT_TRUE(reader.refresh().ok());
    const auto result = txn_.has_value() ? txn_->range(query) : reader.range(query);
    report(result.status());
    if (!result.ok()) return;
    for (BytesView kv : result->kvs) show(kv);
    out_ << "  count " << result->count << (result->more ? ", more" : "") << ", revision "
         << result->revision << "\n";
  }

  void hash() {
    const auto answer = hash_kv(*store_, number(1), 2);
    report(answer.status());
    if (!answer.ok()) return;
    out_ << "  " << answer->hash.hash << " at " << answer->hash.revision << ", compacted at "
         << answer->hash.compact_revision << "\n";
  }

  void history() {
    Reader reader(store_->views());
    HistoryScan scan(Revision(number(1)), Revision(number(2)));
    for (bool done = false; !done;) {
      ASSERT_TRUE(reader.refresh().ok());
      const auto step = scan.next(reader, 2, SIZE_MAX);
      report(step.status());
      if (!step.ok()) return;
      for (const HistoryEvent& event : step->events) {
        out_ << "  " << event.revision.main << "." << event.revision.sub
             << (event.tombstone ? " del" : " put");
        show(event.kv);
      }
      done = step->done;
    }
  }

  void previous() {
    Reader reader(store_->views());
    ASSERT_TRUE(reader.refresh().ok());
    const auto kv = reader.previous(word(1), {number(2), 0});
    report(kv.status());
    if (!kv.ok()) return;
    if (kv->has_value()) {
      show(**kv);
    } else {
      out_ << "  nothing\n";
    }
  }

  void reopen() {
    while (drain(*store_, backend_)) {
    }
    store_.reset();
    store_ = open_store(backend_, {.on_lease = [this](BytesView key, LeaseId lease) {
                          out_ << "  lease " << lease << " holds " << key << "\n";
                        }});
    out_ << "  revision " << store_->revision() << ", compact revision "
         << store_->compact_revision() << ", applied " << store_->applied_index() << "\n";
  }

  void dump() {
    const auto buckets = backend_.contents();
    for (const auto& [key, value] : buckets[static_cast<std::size_t>(ports::Bucket::kKey)]) {
      const auto at = parse_bucket_key(key);
      ASSERT_TRUE(at.has_value());
      out_ << "  " << at->revision.main << "." << at->revision.sub << (at->tombstone ? "t" : "");
      show(value);
    }
    for (const char* name : {"scheduledCompactRev", "finishedCompactRev"}) {
      const auto& meta = buckets[static_cast<std::size_t>(ports::Bucket::kMeta)];
      auto it = meta.find(BytesView(name));
      if (it != meta.end()) {
        out_ << "  " << name << " " << parse_bucket_key(it->second)->revision.main << "\n";
      }
    }
  }

  testing::MemoryBackend backend_;
  std::unique_ptr<Store> store_ = open_store(backend_);
  std::optional<WriteTxn> txn_;
  std::vector<std::string> words_;
  std::ostringstream out_;
  Bytes key_;
  Bytes end_;
};

std::string replay(const std::filesystem::path& path) {
  std::ifstream file(path);
  Player player;
  std::string played;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("  ")) continue;  // the old answer
    played += line + "\n";
    if (!line.empty() && line[0] != '#') played += player.play(line);
  }
  return played;
}

std::string contents(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(Transcripts, AnswerAsWritten) {
  int played = 0;
  for (const auto& entry : std::filesystem::directory_iterator(HOLDFAST_TESTDATA "/mvcc")) {
    if (entry.path().filename().string().starts_with("etcd_hashes")) continue;
    SCOPED_TRACE(entry.path());
    const std::string now = replay(entry.path());
    if (std::getenv("HOLDFAST_REWRITE_TRANSCRIPTS") != nullptr) {
      std::ofstream(entry.path()) << now;
    } else {
      EXPECT_EQ(now, contents(entry.path()));
    }
    ++played;
  }
  EXPECT_GE(played, 5);
}

}  // namespace
}  // namespace holdfast::mvcc
