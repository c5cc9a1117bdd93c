#include "datastore/mvcc/view.h"

#include "absl/strings/str_cat.h"
#include "datastore/base/check.h"
#include "datastore/base/errors.h"
#include "datastore/mvcc/key_index.h"
#include "datastore/mvcc/overlay.h"

namespace holdfast::mvcc {
namespace {

/// A lock for the copy of one pointer; whoever finds it taken sleeps until it is free.
class PointerLock {
 public:
  explicit PointerLock(std::atomic_flag& flag) : flag_(flag) {
    while (flag_.test_and_set(std::memory_order_acquire)) {
      flag_.wait(true, std::memory_order_relaxed);
    }
  }
  ~PointerLock() {
    flag_.clear(std::memory_order_release);
    flag_.notify_one();
  }
  PointerLock(const PointerLock&) = delete;
  PointerLock& operator=(const PointerLock&) = delete;

 private:
  std::atomic_flag& flag_;
};

absl::Status missing(const BucketKey& key) {
  return absl::DataLossError(absl::StrCat(
      "the store's index knows revision ", key.revision.main, ".", key.revision.sub,
      " but the backend has no such entry; restore this member from a peer or a snapshot"));
}

}  // namespace

std::shared_ptr<const ReadView> ViewSource::get() const {
  PointerLock lock(lock_);
  return view_;
}

void ViewSource::set(std::shared_ptr<const ReadView> view) {
  const std::uint64_t number = view->number;
  {
    PointerLock lock(lock_);
    view_.swap(view);
  }
  number_.store(number, std::memory_order_release);
  // The old view, if it was the last of its references, dies here, outside the lock.
}

absl::StatusOr<BytesView> Snapshot::stored(const BucketKey& key) const {
  if (const OverlayRecord* record = overlay->find(key.revision); record != nullptr) {
    return record->value();
  }
  auto value = backend->get(ports::Bucket::kKey, EncodedBucketKey(key).view());
  if (absl::IsNotFound(value.status())) return missing(key);
  return value;
}

absl::StatusOr<std::size_t> Snapshot::stored_size_bytes(const BucketKey& key) const {
  if (const OverlayRecord* record = overlay->find(key.revision); record != nullptr) {
    return record->value().size();
  }
  auto size = backend->size(ports::Bucket::kKey, EncodedBucketKey(key).view());
  if (absl::IsNotFound(size.status())) return missing(key);
  return size;
}

absl::Status Reader::begin() {
  // A drain between the two views is rare, and a second one at once rarer still.
  constexpr int kMaxTries = 100;
  for (int attempt = 0; attempt < kMaxTries; ++attempt) {
    const auto before = views_.get();
    if (before == nullptr) return absl::UnavailableError("the store has not published a view yet");
    auto transaction = before->content->begin_read();
    if (!transaction.ok()) return transaction.status();
    auto view = views_.get();
    if (view->content != before->content || view->floor > before->floor) continue;
    transaction_ = *std::move(transaction);
    transaction_floor_ = before->floor;
    view_ = std::move(view);
    return absl::OkStatus();
  }
  return absl::UnavailableError("the store drains faster than a backend read can begin; retry");
}

absl::Status Reader::refresh() {
  if (transaction_ != nullptr) transaction_->forget();
  if (view_ != nullptr && views_.number() == view_->number) return absl::OkStatus();
  auto view = views_.get();
  if (transaction_ != nullptr && view->content == view_->content &&
      view->floor <= transaction_floor_) {
    view_ = std::move(view);
    return absl::OkStatus();
  }
  return renew();
}

absl::Status Reader::renew() {
  release();
  return begin();
}

void Reader::release() {
  transaction_.reset();
  view_.reset();
}

std::unique_ptr<ports::BackendRead> Reader::take_transaction() {
  HOLDFAST_CHECK(view_ != nullptr);
  view_.reset();
  return std::move(transaction_);
}

Snapshot Reader::snapshot() const {
  HOLDFAST_CHECK(view_ != nullptr);
  return {view_->revision, view_->compact_revision, view_->index_root, view_->overlay.get(),
          transaction_.get()};
}

absl::StatusOr<RangeResult> Reader::range(const RangeQuery& query) const {
  return mvcc::range(snapshot(), query);
}

absl::StatusOr<std::optional<BytesView>> Reader::get(BytesView key, std::int64_t revision) const {
  return mvcc::get(snapshot(), key, revision);
}

absl::StatusOr<std::optional<BytesView>> Reader::previous(BytesView key,
                                                          BucketRevision revision) const {
  const Snapshot state = snapshot();
  const std::int64_t before = revision.main - 1;
  if (before < 1 || before < state.compact_revision.value) return std::nullopt;
  return mvcc::get(state, key, before);
}

}  // namespace holdfast::mvcc
