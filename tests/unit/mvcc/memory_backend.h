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
    std::shared_ptr<Buckets>& buckets = content_->buckets;
    if (buckets.use_count() != 1) buckets = std::make_shared<Buckets>(*buckets);
    for (const ports::BackendWrite& write : writes) {
      Map& map = (*buckets)[static_cast<std::size_t>(write.bucket)];
      if (write.value.has_value()) {
        map.insert_or_assign(Bytes(write.key), Bytes(*write.value));
      } else if (auto it = map.find(write.key); it != map.end()) {
        map.erase(it);
      }
    }
    ++commits_;
    return absl::OkStatus();
  }

  absl::Status replace(absl::FunctionRef<absl::Status(ports::BackendFill&)> fill) override {
    Fill filled;
    if (absl::Status status = fill(filled); !status.ok()) return status;
    std::lock_guard guard(mutex_);
    if (!commit_status_.ok()) return commit_status_;
    content_ = std::make_shared<Content>(this, std::move(filled.buckets));
    return absl::OkStatus();
  }

  std::shared_ptr<ports::BackendContent> content() override {
    std::lock_guard guard(mutex_);
    return content_;
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
    return *content_->buckets;
  }
  void restore(Buckets contents) {
    std::lock_guard guard(mutex_);
    content_->buckets = std::make_shared<Buckets>(std::move(contents));
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

  /// `buckets` is guarded by the backend's mutex.
  struct Content : public ports::BackendContent {
    explicit Content(const MemoryBackend* owner, Buckets contents = {})
        : backend(owner), buckets(std::make_shared<Buckets>(std::move(contents))) {}
    absl::StatusOr<std::unique_ptr<ports::BackendRead>> begin_read() override {
      std::lock_guard guard(backend->mutex_);
      return std::make_unique<Read>(backend, buckets);
    }
    const MemoryBackend* backend;
    std::shared_ptr<Buckets> buckets;
  };

  struct Fill : public ports::BackendFill {
    absl::Status add(ports::Bucket bucket, BytesView key, BytesView value) override {
      Map& map = buckets[static_cast<std::size_t>(bucket)];
      if (!map.empty() && map.rbegin()->first >= key) {
        return absl::InvalidArgumentError("keys must be added in ascending order");
      }
      map.emplace_hint(map.end(), key, value);
      return absl::OkStatus();
    }
    Buckets buckets;
  };

  mutable std::mutex mutex_;
  std::shared_ptr<Content> content_ = std::make_shared<Content>(this);
  absl::Status commit_status_;  // of commit() and replace()
  int commits_ = 0;
};

/// `backend` gets what `source` holds, as when a leader's state has arrived.
inline absl::Status replace_with(ports::KvBackend& backend, ports::KvBackend& source) {
  const auto read = source.begin_read();
  if (!read.ok()) return read.status();
  return backend.replace([&](ports::BackendFill& fill) -> absl::Status {
    for (std::size_t i = 0; i < ports::kBucketCount; ++i) {
      const auto bucket = static_cast<ports::Bucket>(i);
      const auto cursor = (*read)->cursor(bucket);
      for (cursor->seek({}); cursor->valid(); cursor->next()) {
        const absl::Status added = fill.add(bucket, cursor->key(), cursor->value());
        if (!added.ok()) return added;
      }
    }
    return absl::OkStatus();
  });
}

}  // namespace holdfast::testing
