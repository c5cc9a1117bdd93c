#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datastore/base/bytes.h"
#include "datastore/ports/disk.h"

namespace holdfast::storage {

class BboltReader;

/// Walks one bucket of a bbolt database in ascending key order. Keys and values live as long as the
/// reader of a mapped file, and until the cursor moves if the file is read page by page. Visits
/// each page at most once, so it ends on any input.
class BboltCursor {
 public:
  /// Moves to the first entry with key >= `key`.
  void seek(BytesView key);
  bool valid() const { return valid_; }
  void next();
  BytesView key() const { return key_; }
  BytesView value() const { return value_; }
  /// The entry is a nested bucket; value() is its header.
  bool is_bucket() const { return is_bucket_; }
  /// OK, or DataLoss naming the page that makes no sense.
  const absl::Status& status() const { return status_; }

 private:
  friend class BboltReader;

  /// A page and how far into its elements the walk is. `data` runs from the page's header to the
  /// end of its overflow pages (or of the inline bucket).
  struct Frame {
    std::uint64_t id = 0;
    BytesView data;
    bool leaf = false;
    std::size_t count = 0;
    std::size_t at = 0;
    /// Of `data`; null if the file is mapped.
    std::shared_ptr<const Bytes> owner;
  };
  struct Element {
    BytesView key;
    BytesView value;
    std::uint64_t child = 0;
    std::uint32_t flags = 0;
  };

  BboltCursor(const BboltReader& reader, std::uint64_t root, BytesView inline_page,
              std::shared_ptr<const Bytes> inline_owner)
      : reader_(&reader),
        root_(root),
        inline_page_(inline_page),
        inline_owner_(std::move(inline_owner)) {}

  bool push_root();
  bool push_page(std::uint64_t id);
  bool push_frame(std::uint64_t id, BytesView data, std::shared_ptr<const Bytes> owner);
  bool load_element(const Frame& frame, std::size_t index, Element& element);
  bool find_in_frame(Frame& frame, BytesView key);
  void settle();
  bool fail(std::uint64_t page, const std::string& what);
  bool fail_reading(const absl::Status& why);

  const BboltReader* reader_;
  std::uint64_t root_;
  BytesView inline_page_;
  std::shared_ptr<const Bytes> inline_owner_;
  std::vector<Frame> path_;
  std::vector<bool> visited_;
  bool valid_ = false;
  bool is_bucket_ = false;
  bool has_previous_ = false;
  BytesView key_;
  BytesView value_;
  /// Of both; the page may have been left already.
  std::shared_ptr<const Bytes> owner_;
  absl::Status status_;
};

/// Reads a bbolt database: etcd's `db` file, or a snapshot saved by etcdctl with its SHA-256 at the
/// end. Trusts nothing in it: every offset, count and page number is checked before it is used.
/// Never writes. The file must not change meanwhile. Threads may share it, each with own cursors.
class BboltReader {
 public:
  struct Options {
    /// Compare a saved snapshot with its SHA-256. A file without one is accepted either way:
    /// see has_digest().
    bool verify_digest = true;
  };

  /// Maps the file. Errors: NotFound, PermissionDenied; DataLoss when it is no bbolt database, when
  /// neither meta page is sound, when it is shorter than it says or when its digest is wrong.
  static absl::StatusOr<std::unique_ptr<BboltReader>> open(const std::string& path,
                                                           const Options& options);
  /// The same for bytes in memory, which must outlive the reader. `name` is for messages.
  static absl::StatusOr<std::unique_ptr<BboltReader>> from_bytes(BytesView bytes,
                                                                 const std::string& name,
                                                                 const Options& options);
  /// The same for a file that can't be mapped, read page by page: `file` must outlive the reader,
  /// and one thread uses both. A page that says it is larger than kMaxReadPageBytes is damage.
  static absl::StatusOr<std::unique_ptr<BboltReader>> from_file(ports::File& file,
                                                                const std::string& name,
                                                                const Options& options);
  static constexpr std::uint64_t kMaxReadPageBytes = std::uint64_t{1} << 30;
  ~BboltReader();
  BboltReader(const BboltReader&) = delete;
  BboltReader& operator=(const BboltReader&) = delete;

  /// The file ends with a SHA-256, as those that etcdctl saves do and those copied from a data
  /// directory do not.
  bool has_digest() const { return has_digest_; }
  std::uint64_t database_bytes() const { return database_bytes_; }
  /// Of the pages in use: what bbolt calls its size.
  std::uint64_t used_bytes() const { return page_count_ * page_bytes_; }
  std::uint64_t transaction() const { return transaction_; }

  /// A cursor over the bucket, not yet on an entry: seek() it.
  /// Errors: NotFound when there is none of that name; DataLoss.
  absl::StatusOr<BboltCursor> bucket(BytesView name) const;
  /// A cursor over the top level, whose entries are the buckets.
  BboltCursor buckets() const;
  /// One value. Errors: NotFound; DataLoss.
  absl::StatusOr<Bytes> get(BytesView bucket_name, BytesView key) const;

 private:
  friend class BboltCursor;

  explicit BboltReader(std::string name) : name_(std::move(name)) {}
  /// Bytes of the file, and who owns them if the file is not mapped.
  struct Piece {
    BytesView bytes;
    std::shared_ptr<const Bytes> owner;
  };

  absl::Status attach(std::uint64_t file_bytes, const Options& options);
  absl::Status check_digest(std::uint64_t file_bytes, const Options& options);
  absl::Status choose_meta();
  bool read_meta(BytesView front, std::size_t at, std::size_t page_bytes);
  /// [offset, offset + size), or less at the end of the file.
  absl::StatusOr<Piece> read(std::uint64_t offset, std::uint64_t size) const;
  absl::Status damaged(const std::string& what) const;

  const std::string name_;
  BytesView mapped_;  // owned, to unmap; empty when the bytes are the caller's
  BytesView bytes_;   // the whole, unless it is read from file_
  ports::File* file_ = nullptr;
  std::uint64_t database_bytes_ = 0;  // without the digest
  bool has_digest_ = false;
  bool has_meta_ = false;
  std::size_t page_bytes_ = 0;
  std::uint64_t root_ = 0;
  std::uint64_t page_count_ = 0;
  std::uint64_t transaction_ = 0;
};

}  // namespace holdfast::storage
