#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "datastore/base/bytes.h"

namespace holdfast::ports {

/// etcd's buckets, in the order of their names (etcd-facts 3.8): Hash and snapshot files walk them
/// in this order.
enum class Bucket : std::uint8_t {
  kAlarm,
  kAuth,
  kAuthRoles,
  kAuthUsers,
  kCluster,
  kKey,
  kLease,
  kMembers,
  kMembersRemoved,
  kMeta,
};
inline constexpr std::size_t kBucketCount = 10;
inline constexpr std::array<std::string_view, kBucketCount> kBucketNames = {
    "alarm", "auth",  "authRoles", "authUsers",       "cluster",
    "key",   "lease", "members",   "members_removed", "meta",
};

/// One change of one bucket; without a value the key is removed (removing what is not there is no
/// error). Owns nothing: the bytes must live until commit() returns.
struct BackendWrite {
  Bucket bucket;
  BytesView key;
  std::optional<BytesView> value;
};

/// Walks one bucket in ascending byte order. Keys stay valid while the cursor is there, values
/// until it moves; not beyond its transaction.
class BackendCursor {
 public:
  virtual ~BackendCursor() = default;
  /// Moves to the first entry with key >= `key`.
  virtual void seek(BytesView key) = 0;
  virtual bool valid() const = 0;
  virtual void next() = 0;
  virtual BytesView key() const = 0;
  virtual BytesView value() const = 0;
  /// OK, or why valid() turned false before the end: DataLoss names the bucket and key whose
  /// checksum is wrong.
  virtual absl::Status status() const = 0;
};

/// A view of the last commit before it began, unmoved by later commits. Used by one thread at a
/// time. A long-lived one keeps freed pages from being reused: bound its age.
class BackendRead {
 public:
  virtual ~BackendRead() = default;
  /// NotFound; DataLoss for a wrong checksum. The bytes live until forget(), or as long as this
  /// object.
  virtual absl::StatusOr<BytesView> get(Bucket bucket, BytesView key) = 0;
  /// The size of what get() returns, without a look at the bytes if the engine can. NotFound.
  virtual absl::StatusOr<std::size_t> size(Bucket bucket, BytesView key) {
    const absl::StatusOr<BytesView> value = get(bucket, key);
    if (!value.ok()) return value.status();
    return value->size();
  }
  virtual std::unique_ptr<BackendCursor> cursor(Bucket bucket) = 0;
  /// As cursor(), but values have their right size and any bytes: for whoever wants no more.
  virtual std::unique_ptr<BackendCursor> cursor_over_sizes(Bucket bucket) { return cursor(bucket); }
  /// What one of its cursors stands on, to live as long as what get() answers. This one is for
  /// engines whose cursors' values live that long anyway; another copies.
  virtual BytesView keep(BytesView cursor_value) { return cursor_value; }
  /// What get() has answered is not needed any more: an engine that had to copy it frees it. For
  /// those that keep one read for many questions.
  virtual void forget() {}
};

/// What a backend holds between two calls of replace(): commits change it, a replace() leaves it as
/// it is. Whoever keeps it can go on to begin reads of it. Any thread; not beyond its backend.
class BackendContent {
 public:
  virtual ~BackendContent() = default;
  virtual absl::StatusOr<std::unique_ptr<BackendRead>> begin_read() = 0;
};

struct BackendSizes {
  /// Bytes allocated on disk, and bytes of them in use.
  std::uint64_t allocated_bytes = 0;
  std::uint64_t used_bytes = 0;
};

/// Takes the content of an engine that begins anew.
class BackendFill {
 public:
  virtual ~BackendFill() = default;
  /// Each bucket in strictly ascending byte order of its keys. The bytes are copied.
  /// Errors: InvalidArgument for a key out of order; the engine's, all of them final.
  virtual absl::Status add(Bucket bucket, BytesView key, BytesView value) = 0;
};

/// The engine under the store: ordered buckets, atomic durable commits, snapshot reads.
/// commit(), replace(), reclaim() and compact_step() are called by one thread at a time; content(),
/// begin_read() and sizes() by any. No BackendRead or BackendContent outlives its backend.
class KvBackend {
 public:
  virtual ~KvBackend() = default;
  /// Applies all writes, in order, atomically and durably; on error nothing is applied.
  /// ResourceExhausted when the disk or the map is full. Unknown when the disk failed: what it
  /// holds is then unknown and the process must end.
  virtual absl::Status commit(absl::Span<const BackendWrite> writes) = 0;
  /// Replaces everything by what `fill` adds, atomically and durably: from its return on content()
  /// is another; reads of the old one, begun or to begin, stay as they are. On error, `fill`'s own
  /// among them, nothing has changed. As commit() in threads and errors.
  virtual absl::Status replace(absl::FunctionRef<absl::Status(BackendFill&)> fill) = 0;
  /// What it holds now.
  virtual std::shared_ptr<BackendContent> content() = 0;
  virtual absl::StatusOr<std::unique_ptr<BackendRead>> begin_read() {
    return content()->begin_read();
  }
  virtual BackendSizes sizes() const = 0;
  /// Gives at least some free pages back to the file system, at most `max_bytes` of work, without
  /// disturbing readers; returns the bytes released, 0 when there is nothing left.
  virtual absl::StatusOr<std::uint64_t> reclaim(std::uint64_t max_bytes) = 0;
  /// Looks at up to `max_entries` entries of a bucket from key `from` on and, where they lie
  /// thinly, rewrites them in one commit, so that reclaim() finds more. Returns where to go on;
  /// empty at the end of the bucket. Changes no content.
  virtual absl::StatusOr<Bytes> compact_step(Bucket, BytesView /*from*/,
                                             std::size_t /*max_entries*/) {
    return Bytes();
  }
};

}  // namespace holdfast::ports
