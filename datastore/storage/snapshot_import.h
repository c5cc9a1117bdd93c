#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datastore/base/bytes.h"
#include "datastore/base/ids.h"
#include "datastore/ports/kv_backend.h"
#include "datastore/storage/bbolt_reader.h"

namespace holdfast::storage {

/// What becomes of a snapshot on its way into a store. By default it is taken over as it is, as a
/// follower does with its leader's. Source: etcd-facts 5.4.
struct RestoreOptions {
  /// A restore into a new cluster: buckets members and members_removed are emptied and `members`
  /// written instead. Unset keeps both as they are.
  struct Membership {
    /// Entries of bucket members, encoded by the caller (etcd-facts 3.8).
    std::vector<std::pair<Bytes, Bytes>> members;
  };
  std::optional<Membership> membership;
  /// --bump-revision: the newest revision grows by this much (an empty entry is put there), so
  /// that clients which saw revisions after the snapshot do not see them twice. 0: no bump.
  std::uint64_t bump_revision = 0;
  /// --mark-compacted: revisions up to the bumped one are compacted, so that watches from before
  /// the restore end. Needs bump_revision.
  bool mark_compacted = false;
  /// What bucket meta says afterwards; unset keeps the snapshot's.
  std::optional<Index> consistent_index;
  std::optional<Term> term;
  /// The JSON of meta's confState.
  std::optional<Bytes> conf_state;
};

struct ImportResult {
  std::uint64_t entries = 0;
  /// Newest main revision in the store afterwards; 0 when bucket key is empty.
  Revision latest;
  /// As the store has it afterwards; 0 when absent.
  Index consistent_index;
  /// Buckets of the file that are not etcd's, and were left out.
  std::vector<std::string> ignored_buckets;
};

/// Replaces everything in `backend` by `snapshot` as it is: what a follower does with the state
/// that its leader sent as that of `index` and `term`. All at once (KvBackend::replace), so on any
/// error nothing has changed. Errors: DataLoss when the snapshot is damaged or not of this moment,
/// or lacks members or one of etcd's buckets; the backend's.
absl::StatusOr<ImportResult> install_snapshot(const BboltReader& snapshot,
                                              ports::KvBackend& backend, Index index, Term term);

/// Fills the empty store `backend` from `snapshot`, in commits of bounded size. Bucket meta is
/// written in the last commit, with consistent_index: a store without one is unfinished.
/// Errors: FailedPrecondition when the store is not empty; InvalidArgument for options that
/// contradict each other; OutOfRange when the bump passes the greatest revision; DataLoss from the
/// snapshot, also when it lacks one of etcd's buckets; the backend's.
absl::StatusOr<ImportResult> import_snapshot(const BboltReader& snapshot, ports::KvBackend& backend,
                                             const RestoreOptions& options);

}  // namespace holdfast::storage
