#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "datastore/base/bytes.h"
#include "datastore/base/ids.h"
#include "datastore/mvcc/key_value.h"
#include "datastore/mvcc/range.h"
#include "datastore/mvcc/view.h"
#include "datastore/ports/kv_backend.h"

namespace holdfast::mvcc {

class CompactionJob;
class KeyEntry;
class KeyIndex;
class OverlaySegment;
class Store;
struct KvHash;
struct HistoryItem;
struct StagedWrites;

/// One change of a write transaction.
struct Change {
  /// Into `kv`.
  BytesView key;
  /// The stored bytes: a whole KeyValue, or for a tombstone one with the key alone. Valid while
  /// owner() or a view of this revision that has not drained it is held; without either, until the
  /// batch is drained.
  BytesView kv;
  bool tombstone = false;
  BucketRevision revision;
  LeaseId lease;
  /// Where the key stood before this change, if it was live.
  std::optional<KeyPosition> previous;
  const OverlaySegment* segment = nullptr;

  /// Keeps `kv` alive wherever it is held, on any thread.
  std::shared_ptr<const void> owner() const;
};

/// One main revision in the making. Writer thread; one at a time; ended before the next begins.
/// There is no way back: what was put is put.
class WriteTxn {
 public:
  WriteTxn(WriteTxn&& other) noexcept
      : store_(other.store_), ended_(std::exchange(other.ended_, true)) {}
  WriteTxn& operator=(WriteTxn&&) = delete;
  /// end() must have been called.
  ~WriteTxn();

  /// Where `key` stands now, this transaction's changes included; nothing if it is not live.
  std::optional<KeyPosition> find(BytesView key) const;

  /// The stored bytes of `key` now, or nothing. Errors: DataLoss. Valid until end().
  absl::StatusOr<std::optional<BytesView>> get(BytesView key) const;

  /// See mvcc::range. Without a revision it sees this transaction's changes; the header's revision
  /// is then already the new one, as etcd has it.
  absl::StatusOr<RangeResult> range(const RangeQuery& query) const;

  /// Sets `key`. The value's bytes are copied once, to where they stay until they are drained.
  /// Returns the new change, valid until the next one.
  const Change& put(BytesView key, BytesView value, LeaseId lease);

  /// Deletes the live keys of `range`, in byte order, each its own sub revision. Returns how many;
  /// they are the last of changes().
  std::int64_t delete_range(const KeyRange& range);

  /// So far, in sub order. Valid until the next change, and after end() until the next write().
  absl::Span<const Change> changes() const;

  /// Closes it. Returns the store's revision: one more than before if anything changed.
  Revision end();

 private:
  friend class Store;
  explicit WriteTxn(Store* store) : store_(store) {}

  Store* store_;
  bool ended_ = false;
};

/// A compaction that was accepted and not yet carried out.
struct ScheduledCompaction {
  Revision revision;
  Revision previous;
  /// Whether its hash covers every revision since `previous`: not if `previous` was interrupted.
  bool keeps_hash = false;
};

/// What one backend commit takes over: whole applied batches. Made by the writer, committed by the
/// background thread, handed back to the writer.
class DrainBatch {
 public:
  bool empty() const { return batches == 0; }
  /// In order, ending with meta's consistent_index and term. Built on the first call, on the
  /// calling thread; valid as long as the batch.
  absl::Span<const ports::BackendWrite> writes();

  std::size_t batches = 0;
  std::size_t bytes = 0;
  Index applied_index;
  Term applied_term;
  Revision last_revision;

 private:
  friend class Store;
  struct Records {  // [first, last) of one overlay segment
    std::shared_ptr<const OverlaySegment> segment;
    std::size_t first = 0;
    std::size_t last = 0;
  };
  std::vector<Records> records_;
  std::vector<std::shared_ptr<const StagedWrites>> staged_;
  std::vector<ports::BackendWrite> writes_;
  std::unique_ptr<char[]> applied_bytes_;
};

struct OpenOptions {
  /// Called once for each live key with a lease, in key order, during open() or reload().
  std::function<void(BytesView key, LeaseId lease)> on_lease;
};

/// etcd's multi-version store: every put and delete makes a revision; old revisions stay readable
/// until compacted. Owns the key index and the overlay of revisions the backend does not have yet.
/// It never starts a thread, reads a clock, opens a file or logs. Everything here is called by the
/// one writer thread, except views(), which any Reader may use.
///
/// A round of the writer:
///
///   for each command: write() … end(), stage() …, compact()
///   set_applied(index, term)         closes the applied batch
///   publish()                        readers see it
///   take_drain() → background thread: backend.commit(batch.writes()) → drained(batch)
class Store {
 public:
  /// Rebuilds the index from one scan of the backend's `key` bucket. `backend` must outlive the
  /// store. A compaction that was scheduled but not finished is queued again (next_compaction()).
  /// Publishes the first view. Errors: DataLoss naming the damaged key; the backend's own.
  static absl::StatusOr<std::unique_ptr<Store>> open(ports::KvBackend& backend,
                                                     const OpenOptions& options = {});
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  /// Takes over what the backend holds since its content was replaced, in place of everything here,
  /// and publishes that. Batches not yet drained are dropped: the new content has them in it. Views
  /// taken before stay readable, and what they reach is freed after them, as always.
  ///
  /// Requires that all batches are closed, that no drain is out (drained() or drain_failed() has
  /// come) and no compaction job either (done or abandoned; queued ones are forgotten): checked.
  /// Errors: DataLoss naming the damaged key, and if the new content is older than this store's;
  /// the backend's own. Nothing new is published then, but old and new do not fit together any
  /// more: the member must stop.
  absl::Status reload(const OpenOptions& options = {});

  Revision revision() const { return revision_; }
  /// -1 on a store that was never compacted.
  Revision compact_revision() const { return compact_revision_; }
  Index applied_index() const { return applied_index_; }
  Term applied_term() const { return applied_term_; }
  /// Live keys and tombstoned ones that compaction has not yet forgotten.
  std::size_t indexed_keys() const;
  /// Bytes held by the index; for metrics.
  std::size_t index_bytes() const;

  /// Begins a write transaction at revision() + 1.
  WriteTxn write();

  /// The state now, this batch's changes included, outside a transaction. See mvcc::range.
  absl::StatusOr<RangeResult> range(const RangeQuery& query);

  /// Stages a change of another bucket for the drain; without a value the key is removed. The bytes
  /// are copied. The `key` bucket and meta's consistent_index and term are the store's own.
  void stage(ports::Bucket bucket, BytesView key, std::optional<BytesView> value);

  /// The newest staged value of `key`, or else the backend's. NotFound. Slow: for rare state.
  absl::StatusOr<Bytes> staged_or_stored(ports::Bucket bucket, BytesView key);

  /// Closes the applied batch: everything since the last call becomes durable together with this
  /// index. The index may equal the last one (work of the store's own, such as compaction steps).
  void set_applied(Index index, Term term);

  /// The node's flag word for the views to come.
  void set_flags(std::uint64_t flags) { flags_ = flags; }

  /// Shows readers everything up to the last set_applied(), which nothing may have followed; frees
  /// what no view can reach any more.
  void publish();

  /// Where readers find the newest view. Lives as long as the store.
  const ViewSource& views() const { return views_; }

  /// Bytes staged or in the overlay and not yet drained: push back when this grows past a bound.
  std::size_t pending_bytes() const { return pending_bytes_; }

  /// Takes published batches, in order, up to max_bytes but at least one; empty when there is none.
  /// One at a time: drained() or drain_failed() comes before the next.
  DrainBatch take_drain(std::size_t max_bytes);
  /// The batch is durable in the backend: moves the floor and publishes. Between applied batches,
  /// as publish().
  void drained(DrainBatch batch);
  /// The commit failed and nothing was applied: the next take_drain() gives the same again.
  void drain_failed(DrainBatch batch);

  /// The apply-time part of a compaction: makes revisions below `revision` unreadable, persists
  /// the intent and queues the deletion. Errors: errors::compacted if `revision` is not above
  /// compact_revision(), errors::future_revision if it is above revision(); nothing changes then.
  /// Revision 0 is accepted on a store never compacted, as etcd does.
  absl::Status compact(Revision revision);

  /// The oldest queued compaction, or null; one at a time. See compaction.h.
  std::unique_ptr<CompactionJob> next_compaction();
  /// Gives up on a job that is not done: next_compaction() will begin it anew.
  void abandon_compaction(std::unique_ptr<CompactionJob> job);

  /// Hashes of the newest finished compactions, at most ten, oldest first.
  std::vector<KvHash> compaction_hashes() const;

 private:
  friend class WriteTxn;
  friend class CompactionJob;
  struct State;

  explicit Store(ports::KvBackend& backend);

  absl::Status load(const OpenOptions& options);
  const Change& add_change(KeyEntry* entry, const KeyValueView& kv, const HistoryItem& item);
  Snapshot working_snapshot();
  Revision working_revision() const;
  void free_unreachable();
  void finish_compaction(const std::optional<KvHash>& hash);

  Revision revision_;
  Revision compact_revision_;
  Index applied_index_;
  Term applied_term_;
  std::uint64_t flags_ = 0;
  std::size_t pending_bytes_ = 0;
  ViewSource views_;
  std::unique_ptr<State> state_;
};

}  // namespace holdfast::mvcc
