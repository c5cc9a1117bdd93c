#include "datastore/storage/snapshot_import.h"

#include <algorithm>
#include <limits>
#include <map>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"

namespace holdfast::storage {

namespace {

using ports::BackendWrite;
using ports::Bucket;

constexpr std::size_t kBatchBytes = std::size_t{16} << 20;
constexpr std::size_t kBatchEntries = 50000;
/// etcd's main part of a revision key, and the whole: 8 bytes, '_', 8 bytes.
constexpr std::size_t kMainBytes = 8;
constexpr std::size_t kRevisionBytes = 17;

BytesView name_of(Bucket bucket) {
  return ports::kBucketNames[static_cast<std::size_t>(bucket)];
}

Bytes revision_bytes(std::uint64_t main) {
  Bytes bytes(kRevisionBytes, '\0');
  store_be64(bytes.data(), main);
  bytes[kMainBytes] = '_';
  return bytes;
}

Bytes number_bytes(std::uint64_t number) {
  Bytes bytes(8, '\0');
  store_be64(bytes.data(), number);
  return bytes;
}

/// Collects writes and commits them in bounded batches. The bytes belong to the snapshot, or to
/// the caller until flush().
class Batches {
 public:
  explicit Batches(ports::KvBackend& backend) : backend_(backend) {}

  absl::Status add(Bucket bucket, BytesView key, BytesView value) {
    writes_.push_back({bucket, key, value});
    bytes_ += key.size() + value.size();
    ++entries_;
    const bool full = bytes_ >= kBatchBytes || writes_.size() >= kBatchEntries;
    return full ? flush() : absl::OkStatus();
  }
  absl::Status flush() {
    if (writes_.empty()) return absl::OkStatus();
    absl::Status status = backend_.commit(writes_);
    writes_.clear();
    bytes_ = 0;
    return status;
  }
  std::uint64_t entries() const { return entries_; }

 private:
  ports::KvBackend& backend_;
  std::vector<BackendWrite> writes_;
  std::size_t bytes_ = 0;
  std::uint64_t entries_ = 0;
};

absl::Status check_options(const RestoreOptions& options) {
  if (options.mark_compacted && options.bump_revision == 0) {
    return absl::InvalidArgumentError("mark-compacted needs a bump-revision greater than 0");
  }
  return absl::OkStatus();
}

absl::Status check_empty(ports::KvBackend& backend) {
  const auto read = backend.begin_read();
  if (!read.ok()) return read.status();
  for (std::size_t i = 0; i < ports::kBucketCount; ++i) {
    const auto cursor = (*read)->cursor(static_cast<Bucket>(i));
    cursor->seek({});
    if (!cursor->status().ok()) return cursor->status();
    if (cursor->valid()) {
      return absl::FailedPreconditionError(
          "a snapshot is restored into an empty store only: choose a new data directory");
    }
  }
  return absl::OkStatus();
}

absl::Status unexpected_nested(Bucket bucket) {
  return absl::DataLossError(absl::StrCat("the snapshot has a bucket inside bucket ",
                                          std::string(name_of(bucket)), ": it is not etcd's"));
}

/// Where entries go, one after the other.
using Sink = absl::FunctionRef<absl::Status(Bucket, BytesView, BytesView)>;

/// One of etcd's buckets. Errors: DataLoss, also when it is not there.
absl::StatusOr<BboltCursor> open_bucket(const BboltReader& snapshot, Bucket bucket) {
  absl::StatusOr<BboltCursor> cursor = snapshot.bucket(name_of(bucket));
  if (absl::IsNotFound(cursor.status())) {
    return absl::DataLossError(
        absl::StrCat(cursor.status().message(), ": it is no snapshot of etcd's state"));
  }
  return cursor;
}

absl::Status copy_bucket(const BboltReader& snapshot, Bucket bucket, Sink sink, Revision& latest) {
  absl::StatusOr<BboltCursor> cursor = open_bucket(snapshot, bucket);
  if (!cursor.ok()) return cursor.status();
  for (cursor->seek({}); cursor->valid(); cursor->next()) {
    if (cursor->is_bucket()) return unexpected_nested(bucket);
    if (bucket == Bucket::kKey) {
      if (cursor->key().size() < kRevisionBytes) {
        return absl::DataLossError("the snapshot has a key in bucket key that is no revision");
      }
      // Keys ascend, so the last is the newest.
      latest = Revision(static_cast<std::int64_t>(load_be64(cursor->key().begin())));
    }
    if (absl::Status s = sink(bucket, cursor->key(), cursor->value()); !s.ok()) return s;
  }
  return cursor->status();
}

absl::StatusOr<std::map<Bytes, Bytes>> read_meta(const BboltReader& snapshot) {
  std::map<Bytes, Bytes> meta;
  absl::StatusOr<BboltCursor> cursor = open_bucket(snapshot, Bucket::kMeta);
  if (!cursor.ok()) return cursor.status();
  for (cursor->seek({}); cursor->valid(); cursor->next()) {
    if (cursor->is_bucket()) return unexpected_nested(Bucket::kMeta);
    meta.emplace(cursor->key(), cursor->value());
  }
  if (!cursor->status().ok()) return cursor->status();
  return meta;
}

absl::StatusOr<std::vector<std::string>> foreign_buckets(const BboltReader& snapshot) {
  std::vector<std::string> foreign;
  BboltCursor top = snapshot.buckets();
  for (top.seek({}); top.valid(); top.next()) {
    const auto& names = ports::kBucketNames;
    if (std::find(names.begin(), names.end(), top.key()) == names.end()) {
      foreign.emplace_back(top.key());
    }
  }
  if (!top.status().ok()) return top.status();
  return foreign;
}

/// The number of 8 bytes under one of meta's keys. Errors: DataLoss when it is not there.
absl::StatusOr<std::uint64_t> meta_number(const std::map<Bytes, Bytes>& meta, const Bytes& name) {
  const auto found = meta.find(name);
  if (found == meta.end() || found->second.size() != 8) {
    return absl::DataLossError(absl::StrCat("the snapshot does not say its ", name));
  }
  return load_be64(found->second.data());
}

/// What makes a member fail later, or apply entries twice, if it is not so (etcd-facts, appendix
/// A).
absl::Status check_moment(const BboltReader& snapshot, const std::map<Bytes, Bytes>& meta,
                          Index index, Term term) {
  const absl::StatusOr<std::uint64_t> has_index = meta_number(meta, "consistent_index");
  if (!has_index.ok()) return has_index.status();
  const absl::StatusOr<std::uint64_t> has_term = meta_number(meta, "term");
  if (!has_term.ok()) return has_term.status();
  if (*has_index != index.value || *has_term != term.value) {
    return absl::DataLossError(absl::StrCat("the snapshot is of entry ", *has_index, " and term ",
                                            *has_term, ", but was sent as of ", index.value,
                                            " and ", term.value));
  }
  absl::StatusOr<BboltCursor> members = open_bucket(snapshot, Bucket::kMembers);
  if (!members.ok()) return members.status();
  members->seek({});
  if (members->valid()) return absl::OkStatus();
  return members->status().ok() ? absl::DataLossError("the snapshot knows no members")
                                : members->status();
}

}  // namespace

absl::StatusOr<ImportResult> install_snapshot(const BboltReader& snapshot,
                                              ports::KvBackend& backend, Index index, Term term) {
  ImportResult result;
  result.consistent_index = index;
  absl::StatusOr<std::vector<std::string>> foreign = foreign_buckets(snapshot);
  if (!foreign.ok()) return foreign.status();
  result.ignored_buckets = *std::move(foreign);
  const absl::StatusOr<std::map<Bytes, Bytes>> meta = read_meta(snapshot);
  if (!meta.ok()) return meta.status();
  if (absl::Status s = check_moment(snapshot, *meta, index, term); !s.ok()) return s;
  const absl::Status replaced = backend.replace([&](ports::BackendFill& fill) -> absl::Status {
    const auto add = [&](Bucket to, BytesView key, BytesView value) {
      ++result.entries;
      return fill.add(to, key, value);
    };
    for (std::size_t i = 0; i < ports::kBucketCount; ++i) {
      const auto bucket = static_cast<Bucket>(i);
      if (absl::Status s = copy_bucket(snapshot, bucket, add, result.latest); !s.ok()) return s;
    }
    return absl::OkStatus();
  });
  if (!replaced.ok()) return replaced;
  return result;
}

absl::StatusOr<ImportResult> import_snapshot(const BboltReader& snapshot, ports::KvBackend& backend,
                                             const RestoreOptions& options) {
  if (absl::Status s = check_options(options); !s.ok()) return s;
  if (absl::Status s = check_empty(backend); !s.ok()) return s;
  ImportResult result;
  absl::StatusOr<std::vector<std::string>> foreign = foreign_buckets(snapshot);
  if (!foreign.ok()) return foreign.status();
  result.ignored_buckets = *std::move(foreign);
  absl::StatusOr<std::map<Bytes, Bytes>> meta = read_meta(snapshot);
  if (!meta.ok()) return meta.status();

  Batches batches(backend);
  for (std::size_t i = 0; i < ports::kBucketCount; ++i) {
    const auto bucket = static_cast<Bucket>(i);
    const bool membership = bucket == Bucket::kMembers || bucket == Bucket::kMembersRemoved;
    if (bucket == Bucket::kMeta || (membership && options.membership)) continue;
    const auto add = [&](Bucket to, BytesView key, BytesView value) {
      return batches.add(to, key, value);
    };
    if (absl::Status s = copy_bucket(snapshot, bucket, add, result.latest); !s.ok()) return s;
  }
  if (options.membership) {
    for (const auto& [key, value] : options.membership->members) {
      if (absl::Status s = batches.add(Bucket::kMembers, key, value); !s.ok()) return s;
    }
  }

  Bytes bumped;
  if (options.bump_revision != 0) {
    const auto room =
        static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max() - result.latest.value);
    if (options.bump_revision > room) {
      return absl::OutOfRangeError("bump-revision passes the greatest revision: use a smaller one");
    }
    result.latest.value += static_cast<std::int64_t>(options.bump_revision);
    bumped = revision_bytes(static_cast<std::uint64_t>(result.latest.value));
    if (absl::Status s = batches.add(Bucket::kKey, bumped, {}); !s.ok()) return s;
    if (options.mark_compacted) (*meta)["scheduledCompactRev"] = bumped;
  }
  if (absl::Status s = batches.flush(); !s.ok()) return s;

  if (options.consistent_index) {
    (*meta)["consistent_index"] = number_bytes(options.consistent_index->value);
  }
  if (options.term) (*meta)["term"] = number_bytes(options.term->value);
  if (options.conf_state) (*meta)["confState"] = *options.conf_state;
  for (const auto& [key, value] : *meta) {
    if (absl::Status s = batches.add(Bucket::kMeta, key, value); !s.ok()) return s;
  }
  if (absl::Status s = batches.flush(); !s.ok()) return s;
  const auto index = meta->find("consistent_index");
  if (index != meta->end() && index->second.size() == 8) {
    result.consistent_index = Index(load_be64(index->second.data()));
  }
  result.entries = batches.entries();
  return result;
}

}  // namespace holdfast::storage
