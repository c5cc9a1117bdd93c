#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datastore/base/bytes.h"
#include "datastore/ports/kv_backend.h"

namespace holdfast::storage {

/// Puts ascending entries of one bucket into bbolt pages, in the order of the file: a branch page
/// follows its last child, so that a bucket of any size needs two pages of memory per level. With
/// no output it only counts pages. Sealed inside BboltWriter.
class BboltPacker {
 public:
  /// Pages get numbers from `first_page` on and are appended to `out` unless it is null. Keys must
  /// live until finish_bucket().
  BboltPacker(std::uint64_t first_page, Bytes* out) : next_page_(first_page), out_(out) {}

  void add(BytesView key, BytesView value, std::uint32_t flags = 0);
  /// Ends the bucket and returns its root page; the next add() begins another bucket.
  std::uint64_t finish_bucket();
  std::uint64_t next_page() const { return next_page_; }

 private:
  struct Item {
    BytesView key;
    std::size_t value_bytes;
    std::uint32_t flags;
  };
  struct Child {
    BytesView key;
    std::uint64_t page;
  };
  struct Branch {
    std::vector<Child> children;
    std::size_t bytes = 0;
    void push(const Child& child);
  };
  /// A full branch is held back until the next one has two children: every branch needs two.
  struct Level {
    Branch held;
    Branch current;
  };

  void flush_leaf();
  void flush_branch(std::size_t level, Branch& branch);
  void add_child(std::size_t level, Child child);
  char* begin_page(std::uint16_t flags, std::size_t count, std::size_t bytes);

  std::uint64_t next_page_;
  Bytes* const out_;
  std::vector<Item> leaf_;
  /// Their values, one after the other; none if pages are only counted.
  Bytes leaf_values_;
  std::size_t leaf_bytes_ = 0;
  std::vector<Level> levels_;
};

/// Turns a snapshot of the store into a bbolt database, as etcd's tools and peers read it: all ten
/// buckets, values without our header. Two passes: plan() walks the snapshot to learn the size
/// without looking at values, then next() yields the file from front to back, so that neither a
/// seekable file nor memory beyond a chunk and the largest value is needed. Used by one thread at a
/// time.
class BboltWriter {
 public:
  struct Options {
    /// Entries of bucket `meta` to write instead of, or beside, the snapshot's: consistent_index,
    /// term, confState. Without a value the entry is left out.
    std::map<Bytes, std::optional<Bytes>> meta_overrides;
    /// next() returns about this much at a time.
    std::size_t chunk_bytes = std::size_t{1} << 20;
  };

  /// First pass. `read` must outlive the writer.
  /// Errors: DataLoss from the snapshot; OutOfRange for a key that bbolt cannot hold.
  static absl::StatusOr<BboltWriter> plan(ports::BackendRead& read, const Options& options);

  /// Of the whole file, without a digest; known before the first byte.
  std::uint64_t size_bytes() const;

  /// The next bytes of the file, valid until the next call; empty at the end.
  absl::StatusOr<BytesView> next();
  /// The same into `chunk`, whose content goes and whose memory is used.
  absl::Status next_into(Bytes* chunk);

  /// All of it into `sink`, whose first error ends it.
  absl::Status write(const std::function<absl::Status(BytesView)>& sink);

 private:
  BboltWriter(ports::BackendRead& read, std::size_t chunk_bytes)
      : read_(&read), chunk_bytes_(chunk_bytes), out_(std::make_unique<Bytes>()) {}

  absl::Status load_meta(const std::map<Bytes, std::optional<Bytes>>& overrides);
  enum Wanted : std::uint8_t { kSizes, kValues };
  std::unique_ptr<ports::BackendCursor> open_bucket(std::size_t bucket, Wanted wanted) const;
  absl::Status fill();
  void append_front_pages();
  void append_root();

  ports::BackendRead* read_;
  std::size_t chunk_bytes_;
  // Bucket meta with its overrides, which is small.
  std::vector<std::pair<Bytes, Bytes>> meta_;
  std::uint64_t page_count_ = 0;
  // The second pass: where next() goes on.
  std::unique_ptr<Bytes> out_;
  std::unique_ptr<BboltPacker> packer_;
  std::unique_ptr<ports::BackendCursor> cursor_;
  std::vector<std::uint64_t> roots_;
};

}  // namespace holdfast::storage
