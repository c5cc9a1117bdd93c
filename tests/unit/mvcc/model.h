#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "datastore/base/bytes.h"
#include "datastore/base/crc32c.h"
#include "datastore/mvcc/hash.h"
#include "datastore/mvcc/key_value.h"
#include "datastore/mvcc/range.h"

namespace holdfast::mvcc {

/// What the store should do, as simply as it can be said: all revisions in one map, every question
/// answered by walking all of it. Written from etcd's rules (etcd-facts 3.4 to 3.7) with
/// generations spelled out, unlike the store's own code.
class Model {
 public:
  struct Entry {
    Bytes key;
    bool tombstone = false;
    std::int64_t create = 0;
    std::int64_t version = 0;
    Bytes value;
    std::int64_t lease = 0;
  };

  std::int64_t revision() const { return revision_; }
  std::int64_t compact_revision() const { return compact_revision_; }
  const std::map<BucketRevision, Entry>& entries() const { return entries_; }

  void begin() { sub_ = 0; }
  void put(BytesView key, BytesView value, std::int64_t lease) {
    const auto before = live_at(key, revision_ + 1);
    Entry entry{Bytes(key), false, revision_ + 1, 1, Bytes(value), lease};
    if (before.has_value()) {
      entry.create = entries_.at(*before).create;
      entry.version = entries_.at(*before).version + 1;
    }
    entries_[{revision_ + 1, sub_++}] = entry;
  }
  std::int64_t delete_range(const KeyRange& range) {
    std::int64_t deleted = 0;
    for (const auto& [key, position] : live(range, revision_ + 1)) {
      entries_[{revision_ + 1, sub_++}] = {.key = key, .tombstone = true};
      ++deleted;
    }
    return deleted;
  }
  void end() {
    if (sub_ != 0) ++revision_;
  }

  Bytes encoded(BucketRevision at) const {
    const Entry& entry = entries_.at(at);
    return encode_key_value({.key = entry.key,
                             .create_revision = entry.create,
                             .mod_revision = entry.tombstone ? 0 : at.main,
                             .version = entry.version,
                             .value = entry.value,
                             .lease = entry.lease});
  }

  /// Keys live at main revision `at` with the position of their newest put.
  std::map<Bytes, BucketRevision> live(const KeyRange& range, std::int64_t at) const {
    std::map<Bytes, BucketRevision> keys;
    for (const auto& [position, entry] : entries_) {
      if (position.main > at) break;
      if (!range.contains(entry.key)) continue;
      if (entry.tombstone) {
        keys.erase(entry.key);
      } else {
        keys[entry.key] = position;
      }
    }
    return keys;
  }

  std::optional<BucketRevision> live_at(BytesView key, std::int64_t at) const {
    const auto keys = live({key, {}}, at);
    if (keys.empty()) return std::nullopt;
    return keys.begin()->second;
  }

  struct Answer {
    std::vector<Bytes> kvs;
    std::int64_t count = 0;
    bool more = false;
  };
  /// A valid query: the revision is neither compacted nor in the future.
  Answer range(const RangeQuery& query) const {
    Answer answer;
    std::vector<BucketRevision> rows;
    for (const auto& [key, position] :
         live(query.range, query.revision <= 0 ? revision_ : query.revision)) {
      rows.push_back(position);
    }
    answer.count = static_cast<std::int64_t>(rows.size());
    if (query.count_only) return answer;
    const bool filters = query.min_mod_revision != 0 || query.max_mod_revision != 0 ||
                         query.min_create_revision != 0 || query.max_create_revision != 0;
    const bool early =
        !filters &&
        (query.sort_order == SortOrder::kNone ||
         (query.sort_target == SortTarget::kKey && query.sort_order == SortOrder::kAscend));
    const auto limit = static_cast<std::size_t>(query.limit);
    if (early && limit != 0 && rows.size() > limit + 1) rows.resize(limit + 1);
    std::erase_if(rows, [&](BucketRevision at) {
      const std::int64_t create = entries_.at(at).create;
      return (query.max_mod_revision != 0 && at.main > query.max_mod_revision) ||
             (query.min_mod_revision != 0 && at.main < query.min_mod_revision) ||
             (query.max_create_revision != 0 && create > query.max_create_revision) ||
             (query.min_create_revision != 0 && create < query.min_create_revision);
    });
    sort(query, &rows);
    if (limit != 0 && rows.size() > limit) {
      rows.resize(limit);
      answer.more = true;
    }
    for (const BucketRevision& at : rows) answer.kvs.push_back(row_bytes(query, at));
    return answer;
  }

  /// Deletes at once what a compaction deletes in the end.
  void compact(std::int64_t at) {
    const std::set<BucketRevision> kept = keep(at, /*for_hash=*/false);
    std::erase_if(entries_, [&](const auto& item) {
      return item.first.main <= at && !kept.contains(item.first);
    });
    compact_revision_ = at;
  }

  /// What a compaction to `at` hashes before it deletes; call before compact().
  KvHash compaction_hash(std::int64_t at) const {
    return hash(compact_revision_, at, keep(at, /*for_hash=*/false));
  }
  KvHash hash_kv(std::int64_t at) const {
    return hash(compact_revision_, at, keep(at, /*for_hash=*/true));
  }

 private:
  void sort(const RangeQuery& query, std::vector<BucketRevision>* rows) const {
    auto rank = [&](BucketRevision at) -> std::int64_t {
      switch (query.sort_target) {
        case SortTarget::kVersion:
          return entries_.at(at).version;
        case SortTarget::kCreate:
          return entries_.at(at).create;
        case SortTarget::kMod:
          return at.main;
        default:
          return 0;
      }
    };
    auto less = [&](BucketRevision a, BucketRevision b) {
      if (query.sort_target == SortTarget::kKey) return entries_.at(a).key < entries_.at(b).key;
      if (query.sort_target == SortTarget::kValue) {
        return entries_.at(a).value < entries_.at(b).value;
      }
      return rank(a) < rank(b);
    };
    if (query.sort_order == SortOrder::kDescend) {
      std::stable_sort(rows->begin(), rows->end(), [&](auto a, auto b) { return less(b, a); });
    } else {
      std::stable_sort(rows->begin(), rows->end(), less);
    }
  }

  Bytes row_bytes(const RangeQuery& query, BucketRevision at) const {
    if (!query.keys_only) return encoded(at);
    const Entry& entry = entries_.at(at);
    return encode_key_value({.key = entry.key,
                             .create_revision = entry.create,
                             .mod_revision = at.main,
                             .version = entry.version,
                             .lease = query.sort_target == SortTarget::kValue ? entry.lease : 0});
  }

  /// etcd's keep rule by generations: of the first that is not closed before `at`, the newest
  /// revision up to `at`.
  std::set<BucketRevision> keep(std::int64_t at, bool for_hash) const {
    std::map<Bytes, std::vector<std::vector<BucketRevision>>> generations;
    for (const auto& [position, entry] : entries_) {
      auto& of_key = generations[entry.key];
      if (of_key.empty()) of_key.emplace_back();
      of_key.back().push_back(position);
      if (entry.tombstone) of_key.emplace_back();
    }
    std::set<BucketRevision> kept;
    for (const auto& [key, of_key] : generations) {
      std::size_t chosen = 0;
      while (chosen + 1 < of_key.size() && of_key[chosen].back().main < at) ++chosen;
      std::optional<BucketRevision> newest;
      for (const BucketRevision& position : of_key[chosen]) {
        if (position.main <= at) newest = position;
      }
      if (!newest.has_value()) continue;
      if (for_hash && entries_.at(*newest).tombstone) continue;
      kept.insert(*newest);
      if (for_hash) continue;
      // Where we differ: a put after that tombstone in the same main revision stays.
      if (const auto put = live_at(key, at); put.has_value()) kept.insert(*put);
    }
    return kept;
  }

  KvHash hash(std::int64_t compacted, std::int64_t at, const std::set<BucketRevision>& kept) const {
    std::uint32_t sum = crc32c(0, "key");
    for (const auto& [position, entry] : entries_) {
      if (position.main > at) break;
      // The model deletes at once: what is left below is what that compaction kept.
      if (position.main <= compacted && !kept.empty() && !kept.contains(position)) continue;
      if (position.main == compacted && entry.tombstone) continue;
      sum = crc32c(sum, EncodedBucketKey({position, entry.tombstone}).view());
      sum = crc32c(sum, encoded(position));
    }
    return {sum, Revision(compacted), Revision(at)};
  }

  std::map<BucketRevision, Entry> entries_;
  std::int64_t revision_ = 1;
  std::int64_t compact_revision_ = -1;
  std::int64_t sub_ = 0;
};

}  // namespace holdfast::mvcc
