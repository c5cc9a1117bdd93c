#include "datastore/node/hashing.h"

#include <memory>

#include "datastore/base/crc32c.h"
#include "datastore/mvcc/hash.h"

namespace holdfast::node {

namespace {
/// Entries between two moments at which the job could be stopped.
constexpr std::size_t kHashStep = 10'000;

bool differs_between_equal_members(ports::Bucket bucket, BytesView key) {
  return bucket == ports::Bucket::kMeta &&
         (key == "consistent_index" || key == "term" || key == "storageVersion");
}
}  // namespace

absl::StatusOr<HashResult> hash_all_buckets(ports::BackendRead& read) {
  HashResult result;
  for (std::size_t i = 0; i < ports::kBucketCount; ++i) {
    const auto bucket = static_cast<ports::Bucket>(i);
    result.hash = crc32c(result.hash, ports::kBucketNames[i]);
    const std::unique_ptr<ports::BackendCursor> cursor = read.cursor(bucket);
    for (cursor->seek({}); cursor->valid(); cursor->next()) {
      if (differs_between_equal_members(bucket, cursor->key())) continue;
      result.hash = crc32c(crc32c(result.hash, cursor->key()), cursor->value());
    }
    if (!cursor->status().ok()) return cursor->status();
  }
  return result;
}

absl::StatusOr<HashResult> hash_keys(const mvcc::ViewSource& views, std::int64_t revision) {
  mvcc::HashKvJob job(views, Revision(revision));
  while (true) {
    const absl::StatusOr<std::optional<mvcc::HashKvJob::Answer>> answer = job.step(kHashStep);
    if (!answer.ok()) return answer.status();
    if (!answer->has_value()) continue;
    const mvcc::HashKvJob::Answer& found = **answer;
    return HashResult{found.hash.hash, found.hash.compact_revision, found.hash.revision,
                      found.current_revision};
  }
}

}  // namespace holdfast::node
