#pragma once

#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "datastore/ports/kv_backend.h"

namespace holdfast::testing {

/// A KvBackend in memory: ordered maps, copied on each commit that a snapshot may still see, so
/// commits are atomic and reads stay where they began. commit() can be told to fail.
class MemoryBackend : public ports::KvBackend {
 public:
  using Map = std::map<Bytes, Bytes, std::less<>>;
  using Buckets = std::array<Map, ports::kBucketCount>;

  absl::Status commit(absl::Span<const ports::BackendWrite> writes) override {
    std::lock_guard guard(mutex_);
    if (!commit_status_.ok()) return commit_status_;
    // Nobody else holds the state: change it in place. begin_read() also takes the mutex, so the
    // count cannot rise meanwhile; a fall that is missed only costs a copy.
    if (buckets_.use_count() != 1) buckets_ = std::make_shared<Buckets>(*buckets_);
    for (const ports::BackendWrite& write : writes) {
      Map& map = (*buckets_)[static_cast<std::size_t>(write.bucket)];
      if (write.value.has_value()) {
        map.insert_or_assign(Bytes(write.key), Bytes(*write.value));
      } else if (auto it = map.find(write.key); it != map.end()) {
        map.erase(it);
      }
    }
    ++commits_;
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<ports::BackendRead>> begin_read() override {
    std::lock_guard guard(mutex_);
    return std::make_unique<Read>(this, buckets_);
  }

  ports::BackendSizes sizes() const override { return {}; }
  absl::StatusOr<std::uint64_t> reclaim(std::uint64_t) override { return 0; }

  /// Makes later commits fail with `status`, until it is OK again.
  void fail_commits(absl::Status status) {
    std::lock_guard guard(mutex_);
    commit_status_ = std::move(status);
  }
  int commits() const {
    std::lock_guard guard(mutex_);
    return commits_;
  }
  /// A copy of the committed state: what a crash would leave.
  Buckets contents() const {
    std::lock_guard guard(mutex_);
    return *buckets_;
  }
  void restore(Buckets contents) {
    std::lock_guard guard(mutex_);
    buckets_ = std::make_shared<Buckets>(std::move(contents));
  }

 private:
  class Cursor : public ports::BackendCursor {
   public:
    explicit Cursor(const Map& map) : map_(map), it_(map.end()) {}
    void seek(BytesView key) override { it_ = map_.lower_bound(key); }
    bool valid() const override { return it_ != map_.end(); }
    void next() override { ++it_; }
    BytesView key() const override { return it_->first; }
    BytesView value() const override { return it_->second; }
    absl::Status status() const override { return absl::OkStatus(); }

   private:
    const Map& map_;
    Map::const_iterator it_;
  };

  class Read : public ports::BackendRead {
   public:
    Read(const MemoryBackend* backend, std::shared_ptr<const Buckets> held)
        : backend_(backend), held_(std::move(held)) {}
    ~Read() override {
      // Under the mutex, so that commit() sees this thread's reads as finished when it sees the
      // count fall.
      std::lock_guard guard(backend_->mutex_);
      held_.reset();
    }
    absl::StatusOr<BytesView> get(ports::Bucket bucket, BytesView key) override {
      const Map& map = (*held_)[static_cast<std::size_t>(bucket)];
      auto it = map.find(key);
      if (it == map.end()) return absl::NotFoundError("no such key in the bucket");
      return BytesView(it->second);
    }
    std::unique_ptr<ports::BackendCursor> cursor(ports::Bucket bucket) override {
      return std::make_unique<Cursor>((*held_)[static_cast<std::size_t>(bucket)]);
    }

   private:
    const MemoryBackend* backend_;
    std::shared_ptr<const Buckets> held_;
  };

  mutable std::mutex mutex_;
  std::shared_ptr<Buckets> buckets_ = std::make_shared<Buckets>();
  absl::Status commit_status_;
  int commits_ = 0;
};

}  // namespace holdfast::testing
