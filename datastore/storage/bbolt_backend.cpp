#include "datastore/storage/bbolt_backend.h"

#include <deque>
#include <optional>
#include <utility>

namespace holdfast::storage {
namespace {

BytesView name_of(ports::Bucket bucket) {
  return ports::kBucketNames[static_cast<std::size_t>(bucket)];
}

class Cursor final : public ports::BackendCursor {
 public:
  explicit Cursor(absl::StatusOr<BboltCursor> bucket) {
    if (bucket.ok()) {
      cursor_ = *std::move(bucket);
    } else if (!absl::IsNotFound(bucket.status())) {
      failure_ = bucket.status();
    }
  }

  void seek(BytesView key) override {
    if (cursor_) cursor_->seek(key);
  }
  bool valid() const override { return cursor_ && cursor_->valid(); }
  void next() override { cursor_->next(); }
  BytesView key() const override { return cursor_->key(); }
  BytesView value() const override { return cursor_->value(); }
  absl::Status status() const override { return cursor_ ? cursor_->status() : failure_; }

 private:
  std::optional<BboltCursor> cursor_;
  absl::Status failure_;
};

class Read final : public ports::BackendRead {
 public:
  explicit Read(const BboltReader& file) : file_(file) {}

  absl::StatusOr<BytesView> get(ports::Bucket bucket, BytesView key) override {
    absl::StatusOr<Bytes> value = file_.get(name_of(bucket), key);
    if (!value.ok()) return value.status();
    return BytesView(values_.emplace_back(*std::move(value)));
  }
  BytesView keep(BytesView cursor_value) override {
    return BytesView(values_.emplace_back(cursor_value));
  }
  void forget() override { values_.clear(); }
  std::unique_ptr<ports::BackendCursor> cursor(ports::Bucket bucket) override {
    return std::make_unique<Cursor>(file_.bucket(name_of(bucket)));
  }

 private:
  const BboltReader& file_;
  std::deque<Bytes> values_;  // that get() has answered, or that are kept
};

class Content final : public ports::BackendContent {
 public:
  explicit Content(const BboltReader& file) : file_(file) {}

  absl::StatusOr<std::unique_ptr<ports::BackendRead>> begin_read() override {
    return std::make_unique<Read>(file_);
  }

 private:
  const BboltReader& file_;
};

absl::Status read_only() {
  return absl::UnimplementedError("a snapshot file is only read");
}

}  // namespace

BboltBackend::BboltBackend(std::unique_ptr<BboltReader> file)
    : file_(std::move(file)), content_(std::make_shared<Content>(*file_)) {
}

absl::Status BboltBackend::commit(absl::Span<const ports::BackendWrite> /*writes*/) {
  return read_only();
}

absl::Status BboltBackend::replace(absl::FunctionRef<absl::Status(ports::BackendFill&)> /*fill*/) {
  return read_only();
}

ports::BackendSizes BboltBackend::sizes() const {
  return {file_->database_bytes(), file_->used_bytes()};
}

absl::StatusOr<std::uint64_t> BboltBackend::reclaim(std::uint64_t /*max_bytes*/) {
  return 0;
}

}  // namespace holdfast::storage
