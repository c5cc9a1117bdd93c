#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "datastore/mvcc/compaction.h"
#include "datastore/mvcc/key_index.h"
#include "datastore/mvcc/overlay.h"
#include "datastore/mvcc/staged_writes.h"
#include "datastore/mvcc/store.h"

/// What a Store is made of; for this room's own files.
namespace holdfast::mvcc {

/// An applied batch that the backend does not have yet.
struct PendingBatch {
  Index applied_index;
  Term applied_term;
  Revision last_revision;
  OverlayPosition end;
  std::size_t bytes = 0;
  std::shared_ptr<const StagedWrites> staged;  // null: none
};

/// The index of a content that was replaced, for the views that still reach into it.
struct ReplacedIndex {
  std::uint64_t last_view;
  std::unique_ptr<KeyIndex> index;
};

struct Store::State {
  explicit State(ports::KvBackend& backend_in)
      : backend(backend_in), content(backend_in.content()) {}

  ports::KvBackend& backend;
  std::shared_ptr<ports::BackendContent> content;
  std::unique_ptr<KeyIndex> index = std::make_unique<KeyIndex>();
  Overlay overlay;

  // The open batch.
  bool txn_open = false;
  bool dirty = false;
  std::vector<Change> changes;
  std::shared_ptr<StagedWrites> staged;  // null: none
  std::size_t batch_bytes = 0;

  // Closed batches, oldest first; of these, published ones may be drained and in_flight ones are.
  std::deque<PendingBatch> batches;
  std::size_t published = 0;
  std::size_t in_flight = 0;
  OverlayPosition drained_to;
  Revision floor;

  // For reads by the writer; begun when needed, dropped when the floor moves.
  std::unique_ptr<ports::BackendRead> transaction;
  std::shared_ptr<const OverlayList> working_list;

  std::uint64_t view_number = 0;
  std::deque<std::shared_ptr<ViewPin>> pins;  // of views oldest_view, oldest_view + 1, …
  std::uint64_t oldest_view = 1;
  std::deque<ReplacedIndex> replaced_indexes;  // oldest first

  Revision finished_compaction{-1};
  std::deque<ScheduledCompaction> compactions;
  bool compacting = false;
  std::shared_ptr<const std::vector<KvHash>> hashes = std::make_shared<std::vector<KvHash>>();
};

/// Fills `state` and the revisions from the backend's `key` bucket.
struct Restored {
  Revision revision{1};
  Revision compact_revision{-1};
  Revision scheduled_compaction{-1};
  Index applied_index;
  Term applied_term;
};
absl::StatusOr<Restored> restore(ports::BackendRead& backend, KeyIndex& index,
                                 const OpenOptions& options);

inline constexpr BytesView kConsistentIndexKey = "consistent_index";
inline constexpr BytesView kTermKey = "term";
inline constexpr BytesView kScheduledCompactKey = "scheduledCompactRev";
inline constexpr BytesView kFinishedCompactKey = "finishedCompactRev";

}  // namespace holdfast::mvcc
