#include "datastore/storage/bbolt_reader.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "datastore/crypto/digest.h"
#include "datastore/storage/bbolt_format.h"
#include "datastore/storage/lmdb_error.h"

namespace holdfast::storage {

namespace {

using namespace bbolt;

constexpr std::size_t kDigestBytes = 32;
constexpr std::size_t kDigestAlignment = 512;
constexpr std::size_t kDigestStepBytes = std::size_t{1} << 20;
constexpr std::size_t kMinPageBytes = 512;
constexpr std::size_t kMaxPageBytes = 65536;
/// A tree of two children per page would need 2^48 pages to be deeper.
constexpr std::size_t kMaxDepth = 48;

}  // namespace

absl::StatusOr<std::unique_ptr<BboltReader>> BboltReader::open(const std::string& path,
                                                               const Options& options) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return lmdb_error(errno, "open a snapshot", path);
  struct stat file{};
  absl::Status failed;
  void* bytes = MAP_FAILED;
  if (fstat(fd, &file) != 0 || !S_ISREG(file.st_mode) || file.st_size == 0) {
    failed = absl::DataLossError(absl::StrCat(path, ": is empty or no regular file"));
  } else {
    bytes = mmap(nullptr, static_cast<std::size_t>(file.st_size), PROT_READ, MAP_SHARED, fd, 0);
    if (bytes == MAP_FAILED) failed = lmdb_error(errno, "map a snapshot", path);
  }
  close(fd);
  if (!failed.ok()) return failed;
  std::unique_ptr<BboltReader> reader(new BboltReader(path));
  reader->mapped_ =
      BytesView(static_cast<const char*>(bytes), static_cast<std::size_t>(file.st_size));
  reader->bytes_ = reader->mapped_;
  if (absl::Status s = reader->attach(reader->bytes_.size(), options); !s.ok()) return s;
  return reader;
}

absl::StatusOr<std::unique_ptr<BboltReader>> BboltReader::from_bytes(BytesView bytes,
                                                                     const std::string& name,
                                                                     const Options& options) {
  std::unique_ptr<BboltReader> reader(new BboltReader(name));
  reader->bytes_ = bytes;
  if (absl::Status s = reader->attach(bytes.size(), options); !s.ok()) return s;
  return reader;
}

absl::StatusOr<std::unique_ptr<BboltReader>> BboltReader::from_file(ports::File& file,
                                                                    const std::string& name,
                                                                    const Options& options) {
  const absl::StatusOr<std::uint64_t> size = file.size();
  if (!size.ok()) return size.status();
  std::unique_ptr<BboltReader> reader(new BboltReader(name));
  reader->file_ = &file;
  if (absl::Status s = reader->attach(*size, options); !s.ok()) return s;
  return reader;
}

BboltReader::~BboltReader() {
  if (!mapped_.empty()) munmap(const_cast<char*>(mapped_.data()), mapped_.size());
}

absl::Status BboltReader::attach(std::uint64_t file_bytes, const Options& options) {
  if (absl::Status s = check_digest(file_bytes, options); !s.ok()) return s;
  return choose_meta();
}

absl::StatusOr<BboltReader::Piece> BboltReader::read(std::uint64_t offset,
                                                     std::uint64_t size) const {
  if (file_ == nullptr) {
    return Piece{offset < bytes_.size() ? bytes_.substr(offset, size) : BytesView(), nullptr};
  }
  auto bytes = std::make_shared<Bytes>();
  if (absl::Status s = file_->read(offset, size, *bytes); !s.ok()) return s;
  const BytesView view(*bytes);
  return Piece{view, std::move(bytes)};
}

absl::Status BboltReader::check_digest(std::uint64_t file_bytes, const Options& options) {
  has_digest_ = file_bytes % kDigestAlignment == kDigestBytes;
  database_bytes_ = file_bytes - (has_digest_ ? kDigestBytes : 0);
  if (!has_digest_ || !options.verify_digest) return absl::OkStatus();
  crypto::Sha256 sum;
  for (std::uint64_t at = 0; at < database_bytes_; at += kDigestStepBytes) {
    const absl::StatusOr<Piece> piece =
        read(at, std::min<std::uint64_t>(kDigestStepBytes, database_bytes_ - at));
    if (!piece.ok()) return piece.status();
    sum.update(piece->bytes);
  }
  const crypto::Sha256Digest digest = sum.finish();
  const absl::StatusOr<Piece> stored = read(database_bytes_, kDigestBytes);
  if (!stored.ok()) return stored.status();
  if (stored->bytes == BytesView(digest.data(), digest.size())) return absl::OkStatus();
  return damaged(
      "its SHA-256 does not match: the snapshot was cut off or changed; take or fetch it again");
}

absl::Status BboltReader::choose_meta() {
  // The page size is inside the meta. The first is at 0 whatever the size; the second follows it,
  // so if the first is damaged every size is tried for the second.
  const absl::StatusOr<Piece> front =
      read(0, std::min<std::uint64_t>(database_bytes_, 2 * kMaxPageBytes));
  if (!front.ok()) return front.status();
  const bool first = read_meta(front->bytes, 0, 0);
  const std::size_t known = page_bytes_;
  for (std::size_t size = kMinPageBytes; size <= kMaxPageBytes; size *= 2) {
    if (!first || size == known) read_meta(front->bytes, size, size);
  }
  if (!has_meta_) return damaged("is no bbolt database, or both its meta pages are damaged");
  if (page_count_ > database_bytes_ / page_bytes_) {
    return damaged(absl::StrCat("is ", database_bytes_, " bytes long but has ", page_count_,
                                " pages of ", page_bytes_, ": it was cut off"));
  }
  return absl::OkStatus();
}

bool BboltReader::read_meta(BytesView front, std::size_t at, std::size_t page_bytes) {
  if (front.size() < at + kPageHeaderBytes + kMetaBytes) return false;
  const char* meta = front.data() + at + kPageHeaderBytes;
  const std::uint64_t size = load_le32(meta + 8);
  const std::uint64_t pages = load_le64(meta + 40);
  const std::uint64_t transaction = load_le64(meta + 48);
  const bool sound = load_le32(meta) == kMagic && load_le32(meta + 4) == kVersion &&
                     load_le64(meta + kMetaChecksumAt) == fnv1a(BytesView(meta, kMetaChecksumAt)) &&
                     size >= kMinPageBytes && size <= kMaxPageBytes && (size & (size - 1)) == 0 &&
                     (page_bytes == 0 || size == page_bytes);
  if (!sound || (has_meta_ && transaction < transaction_)) return false;
  has_meta_ = true;
  page_bytes_ = size;
  root_ = load_le64(meta + 16);
  page_count_ = pages;
  transaction_ = transaction;
  return true;
}

absl::Status BboltReader::damaged(const std::string& what) const {
  return absl::DataLossError(absl::StrCat(name_, ": ", what));
}

BboltCursor BboltReader::buckets() const {
  return BboltCursor(*this, root_, {}, nullptr);
}

absl::StatusOr<BboltCursor> BboltReader::bucket(BytesView name) const {
  BboltCursor top = buckets();
  top.seek(name);
  if (!top.status().ok()) return top.status();
  if (!top.valid() || top.key() != name || !top.is_bucket()) {
    return absl::NotFoundError(absl::StrCat(name_, ": has no bucket ", std::string(name)));
  }
  if (top.value().size() < kBucketHeaderBytes) {
    return damaged(absl::StrCat("bucket ", std::string(name), " has no header"));
  }
  const std::uint64_t root = load_le64(top.value().begin());
  return BboltCursor(*this, root, root == 0 ? top.value().substr(kBucketHeaderBytes) : BytesView(),
                     top.owner_);
}

absl::StatusOr<Bytes> BboltReader::get(BytesView bucket_name, BytesView key) const {
  absl::StatusOr<BboltCursor> cursor = bucket(bucket_name);
  if (!cursor.ok()) return cursor.status();
  cursor->seek(key);
  if (!cursor->status().ok()) return cursor->status();
  if (!cursor->valid() || cursor->key() != key || cursor->is_bucket()) {
    return absl::NotFoundError("no such entry");
  }
  return Bytes(cursor->value());
}

void BboltCursor::seek(BytesView key) {
  status_ = absl::OkStatus();
  valid_ = false;
  has_previous_ = false;
  path_.clear();
  visited_.assign(reader_->page_count_, false);
  if (!push_root()) return;
  while (!path_.back().leaf) {
    if (!find_in_frame(path_.back(), key)) return;
    Element element;
    if (!load_element(path_.back(), path_.back().at, element)) return;
    ++path_.back().at;
    if (!push_page(element.child)) return;
  }
  if (!find_in_frame(path_.back(), key)) return;
  settle();
}

void BboltCursor::next() {
  if (valid_) settle();
}

/// Moves to the next element in order, from wherever the path's frames stand.
void BboltCursor::settle() {
  valid_ = false;
  while (!path_.empty()) {
    Frame& frame = path_.back();
    if (frame.at == frame.count) {
      path_.pop_back();
      continue;
    }
    Element element;
    if (!load_element(frame, frame.at, element)) return;
    ++frame.at;
    if (!frame.leaf) {
      if (!push_page(element.child)) return;
      continue;
    }
    if (has_previous_ && element.key <= key_) {
      fail(frame.id, "its keys do not ascend");
      return;
    }
    has_previous_ = true;
    key_ = element.key;
    value_ = element.value;
    owner_ = frame.owner;
    is_bucket_ = (element.flags & kBucketElement) != 0;
    valid_ = true;
    return;
  }
}

/// Points the frame at the first element >= key in a leaf, at the last one <= key (or the first) in
/// a branch, by binary search. On unsorted input the answer is arbitrary but within bounds.
bool BboltCursor::find_in_frame(Frame& frame, BytesView key) {
  std::size_t low = 0;
  std::size_t high = frame.count;
  while (low < high) {
    const std::size_t middle = low + (high - low) / 2;
    Element element;
    if (!load_element(frame, middle, element)) return false;
    const bool before = frame.leaf ? element.key < key : element.key <= key;
    if (before) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  frame.at = !frame.leaf && low > 0 ? low - 1 : low;
  return true;
}

bool BboltCursor::push_root() {
  return root_ == 0 ? push_frame(0, inline_page_, inline_owner_) : push_page(root_);
}

bool BboltCursor::push_page(std::uint64_t id) {
  if (id < 2 || id >= reader_->page_count_) return fail(id, "is outside the file");
  if (visited_[id]) return fail(id, "is reached twice");
  visited_[id] = true;
  if (path_.size() >= kMaxDepth) return fail(id, "is nested too deeply");
  const std::uint64_t at = id * reader_->page_bytes_;
  // Most pages have no overflow: one read of these is all.
  absl::StatusOr<BboltReader::Piece> page = reader_->read(at, reader_->page_bytes_);
  if (!page.ok()) return fail_reading(page.status());
  if (page->bytes.size() < reader_->page_bytes_) return fail(id, "is outside the file");
  const PageHeader header = load_page_header(page->bytes.data());
  if (header.id != id) return fail(id, absl::StrCat("says it is page ", header.id));
  if (header.overflow >= reader_->page_count_ - id) return fail(id, "overflows the file");
  if (header.overflow > 0) {
    const std::uint64_t bytes = (header.overflow + std::uint64_t{1}) * reader_->page_bytes_;
    if (reader_->file_ != nullptr && bytes > BboltReader::kMaxReadPageBytes) {
      return fail(id, "is larger than any that is written");
    }
    page = reader_->read(at, bytes);
    if (!page.ok()) return fail_reading(page.status());
  }
  return push_frame(id, page->bytes, std::move(page->owner));
}

bool BboltCursor::push_frame(std::uint64_t id, BytesView data, std::shared_ptr<const Bytes> owner) {
  if (data.size() < kPageHeaderBytes) return fail(id, "has no header");
  const PageHeader header = load_page_header(data.begin());
  const bool leaf = header.flags == kLeafPage;
  if (!leaf && header.flags != kBranchPage) {
    return fail(id, absl::StrCat("has flags ", header.flags, ", not of a branch or leaf"));
  }
  if (!leaf && header.count == 0) return fail(id, "is a branch without children");
  if (header.count * kElementBytes > data.size() - kPageHeaderBytes) {
    return fail(id, "has more elements than fit");
  }
  path_.push_back({id, data, leaf, header.count, 0, std::move(owner)});
  return true;
}

bool BboltCursor::load_element(const Frame& frame, std::size_t index, Element& element) {
  const std::size_t at = kPageHeaderBytes + index * kElementBytes;
  const char* raw = frame.data.data() + at;
  const std::uint64_t position = load_le32(raw + (frame.leaf ? 4 : 0));
  const std::uint64_t key_bytes = load_le32(raw + (frame.leaf ? 8 : 4));
  const std::uint64_t value_bytes = frame.leaf ? load_le32(raw + 12) : 0;
  if (position < kElementBytes || position + key_bytes + value_bytes > frame.data.size() - at) {
    return fail(frame.id, absl::StrCat("has element ", index, " outside of it"));
  }
  element.key = frame.data.substr(at + position, key_bytes);
  element.value = frame.data.substr(at + position + key_bytes, value_bytes);
  element.flags = frame.leaf ? load_le32(raw) : 0;
  element.child = frame.leaf ? 0 : load_le64(raw + 8);
  return true;
}

bool BboltCursor::fail_reading(const absl::Status& why) {
  valid_ = false;
  path_.clear();
  status_ = why;
  return false;
}

bool BboltCursor::fail(std::uint64_t page, const std::string& what) {
  valid_ = false;
  path_.clear();
  status_ = reader_->damaged(root_ == 0 ? absl::StrCat("is damaged: an inline bucket ", what)
                                        : absl::StrCat("is damaged: page ", page, " ", what));
  return false;
}

}  // namespace holdfast::storage
