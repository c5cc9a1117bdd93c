#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <utility>

#include "datastore/mvcc/compaction.h"
#include "datastore/mvcc/hash.h"
#include "datastore/mvcc/store.h"
#include "tests/unit/mvcc/memory_backend.h"

namespace holdfast::mvcc {

/// Closes and publishes the batch under the next index.
inline void apply(Store& store) {
  store.set_applied(store.applied_index().next(), Term(1));
  store.publish();
}

/// One drain round, as node and its background thread have it. False if there was nothing.
inline bool drain(Store& store, ports::KvBackend& backend, std::size_t max_bytes = SIZE_MAX) {
  DrainBatch batch = store.take_drain(max_bytes);
  if (batch.empty()) return false;
  EXPECT_TRUE(backend.commit(batch.writes()).ok());
  store.drained(std::move(batch));
  return true;
}

/// Runs the queued compactions to their ends, draining as they ask.
inline void finish_compactions(Store& store, ports::KvBackend& backend, std::size_t step = 1000) {
  Reader reader(store.views());
  while (auto job = store.next_compaction()) {
    auto progress = CompactionJob::Progress::kMore;
    while (progress != CompactionJob::Progress::kDone) {
      ASSERT_TRUE(reader.refresh().ok());
      const auto read = job->read(reader, step);
      ASSERT_TRUE(read.ok()) << read.status();
      progress = *read;
      if (progress == CompactionJob::Progress::kWaiting) {
        ASSERT_TRUE(drain(store, backend));
      }
    }
    while (job->write(step) != CompactionJob::Progress::kDone) {
    }
  }
}

inline absl::StatusOr<HashKvJob::Answer> hash_kv(Store& store, std::int64_t revision,
                                                 std::size_t step = 1000) {
  HashKvJob job(store.views(), Revision(revision));
  for (;;) {
    auto answer = job.step(step);
    if (!answer.ok()) return answer.status();
    if (answer->has_value()) return **answer;
  }
}

inline std::unique_ptr<Store> open_store(ports::KvBackend& backend,
                                         const OpenOptions& options = {}) {
  auto store = Store::open(backend, options);
  EXPECT_TRUE(store.ok()) << store.status();
  return store.ok() ? *std::move(store) : nullptr;
}

}  // namespace holdfast::mvcc
