#include "datastore/offline/defragment.h"

#include <memory>

#include "datastore/offline/existing_store.h"

namespace holdfast::offline {
namespace {

constexpr std::size_t kStepEntries = 10'000;
constexpr std::uint64_t kStepBytes = std::uint64_t{256} << 20;

absl::Status merge_pages(storage::LmdbBackend& store) {
  Bytes from;
  do {
    absl::StatusOr<Bytes> next = store.compact_step(ports::Bucket::kKey, from, kStepEntries);
    if (!next.ok()) return next.status();
    from = *std::move(next);
  } while (!from.empty());
  return absl::OkStatus();
}

/// One more commit, of what is there: pages that the last one freed are free only for the next.
absl::Status commit_once_more(storage::LmdbBackend& store) {
  Bytes key;
  Bytes value;
  {
    const absl::StatusOr<std::unique_ptr<ports::BackendRead>> read = store.begin_read();
    if (!read.ok()) return read.status();
    const std::unique_ptr<ports::BackendCursor> cursor = (*read)->cursor(ports::Bucket::kMeta);
    cursor->seek({});
    if (!cursor->valid()) return cursor->status();
    key = cursor->key();
    value = cursor->value();
  }
  const ports::BackendWrite write{ports::Bucket::kMeta, key, value};
  return store.commit(absl::MakeConstSpan(&write, 1));
}

absl::Status release_free_pages(storage::LmdbBackend& store) {
  while (true) {
    const absl::StatusOr<std::uint64_t> released = store.reclaim(kStepBytes);
    if (!released.ok()) return released.status();
    if (*released == 0) return absl::OkStatus();
  }
}

}  // namespace

absl::StatusOr<Defragmented> defragment(ports::Disk& disk, const DataPaths& paths) {
  absl::StatusOr<ExistingStore> existing = ExistingStore::open(disk, paths);
  if (!existing.ok()) return existing.status();
  storage::LmdbBackend& store = existing->store();
  Defragmented result{.bytes_before = store.sizes().allocated_bytes};
  if (absl::Status status = merge_pages(store); !status.ok()) return status;
  if (absl::Status status = commit_once_more(store); !status.ok()) return status;
  if (absl::Status status = release_free_pages(store); !status.ok()) return status;
  result.bytes_after = store.sizes().allocated_bytes;
  return result;
}

}  // namespace holdfast::offline
