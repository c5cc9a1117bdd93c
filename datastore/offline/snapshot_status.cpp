#include "datastore/offline/snapshot_status.h"

#include <memory>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_format.h"
#include "datastore/base/crc32c.h"
#include "datastore/mvcc/key_value.h"
#include "datastore/ports/kv_backend.h"
#include "datastore/statemachine/meta_keys.h"
#include "datastore/storage/bbolt_reader.h"

namespace holdfast::offline {
namespace {

class LiveKeys {
 public:
  absl::Status add(BytesView bucket_key, BytesView value) {
    const absl::StatusOr<mvcc::BucketKey> at = mvcc::stored_bucket_key(bucket_key);
    if (!at.ok()) return at.status();
    const std::optional<mvcc::KeyValueView> kv = mvcc::parse_key_value(value);
    if (!kv) return mvcc::damaged_entry(bucket_key, "not a KeyValue");
    newest_ = Revision(at->revision.main);
    if (at->tombstone) {
      keys_.erase(kv->key);
    } else {
      keys_.insert(kv->key);
    }
    return absl::OkStatus();
  }
  Revision newest() const { return newest_; }
  std::uint64_t size() const { return keys_.size(); }

 private:
  Revision newest_;
  absl::flat_hash_set<BytesView> keys_;  // into the mapped file; its order is never seen
};

}  // namespace

absl::StatusOr<SnapshotStatus> read_snapshot_status(const std::string& path) {
  const absl::StatusOr<std::unique_ptr<storage::BboltReader>> file =
      storage::BboltReader::open(path, {.verify_digest = true});
  if (!file.ok()) return file.status();
  SnapshotStatus status{.size_bytes = (*file)->used_bytes()};
  LiveKeys live;
  storage::BboltCursor buckets = (*file)->buckets();
  for (buckets.seek({}); buckets.valid(); buckets.next()) {
    const bool holds_keys =
        buckets.key() == ports::kBucketNames[static_cast<std::size_t>(ports::Bucket::kKey)];
    status.hash = crc32c(status.hash, buckets.key());
    absl::StatusOr<storage::BboltCursor> entries = (*file)->bucket(buckets.key());
    if (!entries.ok()) return entries.status();
    for (entries->seek({}); entries->valid(); entries->next()) {
      status.hash = crc32c(crc32c(status.hash, entries->key()), entries->value());
      if (!holds_keys) continue;
      if (absl::Status added = live.add(entries->key(), entries->value()); !added.ok()) {
        return added;
      }
    }
    if (!entries->status().ok()) return entries->status();
  }
  if (!buckets.status().ok()) return buckets.status();
  status.revision = live.newest();
  status.keys = live.size();
  const absl::StatusOr<Bytes> version = (*file)->get("meta", statemachine::kStorageVersionKey);
  if (version.ok()) status.version = std::string(*version);
  return status;
}

std::vector<Cell> cells(const SnapshotStatus& status) {
  std::vector<Cell> cells = {
      cell("hash", "Hash", "hash", status.hash),
      cell("revision", "Revision", "revision", status.revision.value),
      cell("total keys", "Keys", "totalKey", status.keys),
      cell("total size", "Size", "totalSize", status.size_bytes),
      cell("version", "Version", "version", status.version),
  };
  cells[0].text = absl::StrFormat("%x", status.hash);
  cells[3].text = human_bytes(status.size_bytes);
  return cells;
}

}  // namespace holdfast::offline
