#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datastore/base/bytes.h"
#include "datastore/base/ids.h"
#include "datastore/mvcc/key_value.h"
#include "datastore/mvcc/range.h"
#include "datastore/ports/kv_backend.h"

/// How other threads read the store without ever waiting for its writer.
namespace holdfast::mvcc {

class IndexNode;
class OverlayList;
struct KvHash;

/// Tells the store's writer that a view is gone, so that what only it could reach may be freed.
struct ViewPin {
  std::atomic<bool> released{false};
};

/// The store after one applied batch, for ever: immutable, shared by all readers. Holding one keeps
/// memory alive (index nodes it can reach, overlay segments), so hold it briefly.
struct ReadView {
  ReadView() = default;
  ReadView(const ReadView&) = delete;
  ReadView& operator=(const ReadView&) = delete;
  ~ReadView() {
    if (pin) pin->released.store(true, std::memory_order_release);
  }

  /// Counts publications from 1.
  std::uint64_t number = 0;
  Revision revision;
  /// -1 on a store that was never compacted.
  Revision compact_revision;
  /// Keys that are not deleted.
  std::size_t live_keys = 0;
  Index applied_index;
  Term applied_term;
  /// Every revision up to here is in the backend; those above are in `overlay`.
  Revision floor;
  /// The node's own: meaningless here (for example "sole voter").
  std::uint64_t flags = 0;

  const IndexNode* index_root = nullptr;
  std::shared_ptr<const OverlayList> overlay;
  /// The backend's content that index and floor speak of.
  std::shared_ptr<ports::BackendContent> content;
  std::shared_ptr<ViewPin> pin;
  /// Of the newest finished compactions, oldest first.
  std::shared_ptr<const std::vector<KvHash>> compaction_hashes;
};

/// Where the newest view is found. The writer sets it, any thread gets it.
class ViewSource {
 public:
  /// The newest view's number; a reader whose view has it need not fetch.
  std::uint64_t number() const { return number_.load(std::memory_order_acquire); }

  /// The newest view. The lock is held for the copy of one pointer.
  std::shared_ptr<const ReadView> get() const;

  /// Replaces the view. Writer only.
  void set(std::shared_ptr<const ReadView> view);

 private:
  std::atomic<std::uint64_t> number_{0};
  mutable std::atomic_flag lock_ = ATOMIC_FLAG_INIT;
  std::shared_ptr<const ReadView> view_;
};

/// What a read consults: an index, the overlay above the floor, the backend below it. Borrowed
/// parts; lives on a stack.
struct Snapshot {
  Revision revision;
  Revision compact_revision;
  const IndexNode* index_root = nullptr;
  const OverlayList* overlay = nullptr;
  ports::BackendRead* backend = nullptr;

  /// The stored bytes of the put or tombstone at `revision`. NotFound when there is none.
  absl::StatusOr<BytesView> stored(const BucketKey& key) const;
  /// And their number, for which the bytes need not be read.
  absl::StatusOr<std::size_t> stored_size_bytes(const BucketKey& key) const;
};

/// One per reading thread: a view and a backend transaction that belong together.
///
/// The order that makes them belong together: note the newest floor F (it was committed before it
/// was published), begin the backend read T, and only then take the view V; if V's floor is above
/// F, again. So everything up to V's floor is in T, and no compaction's deletions are in T that V
/// does not know of, for a compaction is published before its deletions are drained.
///
/// T is of the content that the view names. So a view stays readable after the backend's content
/// was replaced, until the view of the new one is published.
class Reader {
 public:
  /// `views` and the backend under them must outlive the Reader. It holds nothing until refresh().
  explicit Reader(const ViewSource& views) : views_(views) {}

  /// Takes the newest view; the backend transaction is renewed only when the view's floor has
  /// passed it. Bytes handed out before are no longer valid. Errors: the backend's, and Unavailable
  /// before the first publication; the Reader then holds nothing.
  absl::Status refresh();

  /// Renews the backend transaction too, whatever the floor: bounds its age when the store is idle.
  absl::Status renew();

  /// Lets go of view and transaction, for an idle thread. Bytes handed out are no longer valid.
  void release();

  bool holding() const { return view_ != nullptr; }
  /// Requires holding().
  const ReadView& view() const { return *view_; }
  std::shared_ptr<const ReadView> shared_view() const { return view_; }

  /// See mvcc::range. Requires holding().
  absl::StatusOr<RangeResult> range(const RangeQuery& query) const;

  /// The stored bytes of `key` at `revision` (<= 0: the newest), or nothing. Errors as range's.
  absl::StatusOr<std::optional<BytesView>> get(BytesView key, std::int64_t revision = 0) const;

  /// For an event of `key` at `revision` (a put or a tombstone): the stored bytes of the put just
  /// before that main revision, or nothing if there was none or compaction took it, as etcd leaves
  /// prev_kv empty then. Errors: DataLoss.
  absl::StatusOr<std::optional<BytesView>> previous(BytesView key, BucketRevision revision) const;

  /// Releases, but hands the transaction over to who needs no view any more. Requires holding().
  std::unique_ptr<ports::BackendRead> take_transaction();

  /// Requires holding(); valid until the next refresh or release.
  Snapshot snapshot() const;

 private:
  absl::Status begin();

  const ViewSource& views_;
  std::unique_ptr<ports::BackendRead> transaction_;
  Revision transaction_floor_;
  std::shared_ptr<const ReadView> view_;
};

}  // namespace holdfast::mvcc
