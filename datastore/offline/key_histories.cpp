#include "datastore/offline/key_histories.h"

#include <optional>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace holdfast::offline {
namespace {

absl::Status wrong(const mvcc::BucketRevision& at, BytesView key, const char* what) {
  return absl::DataLossError(absl::StrCat("revision ", at.main, ".", at.sub, ", key \"",
                                          absl::CHexEscape(Bytes(key)), "\": ", what));
}

}  // namespace

absl::Status KeyHistories::add(BytesView bucket_key, BytesView value) {
  const absl::StatusOr<mvcc::BucketKey> at = mvcc::stored_bucket_key(bucket_key);
  if (!at.ok()) return at.status();
  const std::optional<mvcc::KeyValueView> kv = mvcc::parse_key_value(value);
  if (!kv) return mvcc::damaged_entry(bucket_key, "not a KeyValue");
  ++entries_;
  if (!at->tombstone) return add_put(at->revision, *kv);
  last_.erase(Bytes(kv->key));
  return absl::OkStatus();
}

absl::Status KeyHistories::add_put(const mvcc::BucketRevision& at, const mvcc::KeyValueView& kv) {
  if (kv.mod_revision != at.main) {
    return wrong(at, kv.key, "has another mod_revision than its place");
  }
  if (kv.create_revision > at.main || kv.version < 1) {
    return wrong(at, kv.key, "has a create_revision after it, or no version");
  }
  const Last now{kv.create_revision, kv.version};
  const auto [found, is_first] = last_.try_emplace(Bytes(kv.key), now);
  // Earlier ones may be compacted.
  if (is_first) return absl::OkStatus();
  if (now.create_revision != found->second.create_revision ||
      now.version != found->second.version + 1) {
    return wrong(at, kv.key, "does not go on from the key's earlier entry");
  }
  found->second = now;
  return absl::OkStatus();
}

}  // namespace holdfast::offline
