#include "datastore/storage/bbolt_writer.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "datastore/base/check.h"
#include "datastore/storage/bbolt_format.h"
#include "datastore/storage/stored_value.h"

namespace holdfast::storage {

namespace {

using namespace bbolt;

constexpr std::size_t kPageBytes = 4096;
constexpr std::uint64_t kFreelistPageId = 2;
constexpr std::uint64_t kFirstDataPage = 3;

std::uint64_t pages_for(std::size_t bytes) {
  return (bytes + kPageBytes - 1) / kPageBytes;
}

/// Walks entries in memory as if they were a bucket.
class ListCursor final : public ports::BackendCursor {
 public:
  explicit ListCursor(const std::vector<std::pair<Bytes, Bytes>>& entries) : entries_(entries) {}
  void seek(BytesView key) override {
    at_ = 0;
    while (valid() && entries_[at_].first < key) ++at_;
  }
  bool valid() const override { return at_ < entries_.size(); }
  void next() override { ++at_; }
  BytesView key() const override { return entries_[at_].first; }
  BytesView value() const override { return entries_[at_].second; }
  absl::Status status() const override { return absl::OkStatus(); }

 private:
  const std::vector<std::pair<Bytes, Bytes>>& entries_;
  std::size_t at_ = 0;
};

}  // namespace

void BboltPacker::add(BytesView key, BytesView value, std::uint32_t flags) {
  const std::size_t bytes = kElementBytes + key.size() + value.size();
  const bool full = kPageHeaderBytes + leaf_bytes_ + bytes > kPageBytes;
  if (!leaf_.empty() && (full || leaf_.size() == kMaxPageElements)) flush_leaf();
  leaf_.push_back({key, value.size(), flags});
  if (out_ != nullptr) leaf_values_.append(value);
  leaf_bytes_ += bytes;
}

std::uint64_t BboltPacker::finish_bucket() {
  if (!leaf_.empty() || levels_.empty()) flush_leaf();  // an empty bucket is one empty leaf
  std::uint64_t root = 0;
  for (std::size_t level = 0; level < levels_.size(); ++level) {
    Branch held = std::move(levels_[level].held);
    Branch last = std::move(levels_[level].current);
    if (held.children.empty() && last.children.size() == 1) {
      root = last.children.front().page;
      break;
    }
    if (last.children.size() == 1) {
      // Two children each; only if `held` has no third to give do all go into one (larger) page.
      if (held.children.size() > 2) {
        last.children.insert(last.children.begin(), held.children.back());
        held.children.pop_back();
      } else {
        held.push(last.children.front());
        last = {};
      }
    }
    if (!held.children.empty()) flush_branch(level, held);
    if (!last.children.empty()) flush_branch(level, last);
  }
  levels_.clear();
  return root;
}

void BboltPacker::Branch::push(const Child& child) {
  children.push_back(child);
  bytes += kElementBytes + child.key.size();
}

char* BboltPacker::begin_page(std::uint16_t flags, std::size_t count, std::size_t bytes) {
  const std::uint64_t pages = pages_for(kPageHeaderBytes + bytes);
  const std::uint64_t id = next_page_;
  next_page_ += pages;
  if (out_ == nullptr) return nullptr;
  const std::size_t at = out_->size();
  out_->resize(at + pages * kPageBytes, '\0');
  char* page = out_->data() + at;
  store_page_header(
      page, {id, flags, static_cast<std::uint16_t>(count), static_cast<std::uint32_t>(pages - 1)});
  return page;
}

void BboltPacker::flush_leaf() {
  const std::uint64_t id = next_page_;
  char* page = begin_page(kLeafPage, leaf_.size(), leaf_bytes_);
  if (page != nullptr) {
    char* element = page + kPageHeaderBytes;
    char* data = element + leaf_.size() * kElementBytes;
    const char* value = leaf_values_.data();
    for (const Item& item : leaf_) {
      store_le32(element, item.flags);
      store_le32(element + 4, static_cast<std::uint32_t>(data - element));
      store_le32(element + 8, static_cast<std::uint32_t>(item.key.size()));
      store_le32(element + 12, static_cast<std::uint32_t>(item.value_bytes));
      element += kElementBytes;
      data = std::copy(item.key.begin(), item.key.end(), data);
      data = std::copy_n(value, item.value_bytes, data);
      value += item.value_bytes;
    }
  }
  const Child child{leaf_.empty() ? BytesView() : leaf_.front().key, id};
  leaf_.clear();
  leaf_values_.clear();
  leaf_bytes_ = 0;
  add_child(0, child);
}

void BboltPacker::flush_branch(std::size_t level, Branch& branch) {
  const std::uint64_t id = next_page_;
  std::size_t bytes = 0;
  for (const Child& child : branch.children) bytes += kElementBytes + child.key.size();
  char* page = begin_page(kBranchPage, branch.children.size(), bytes);
  if (page != nullptr) {
    char* element = page + kPageHeaderBytes;
    char* data = element + branch.children.size() * kElementBytes;
    for (const Child& child : branch.children) {
      store_le32(element, static_cast<std::uint32_t>(data - element));
      store_le32(element + 4, static_cast<std::uint32_t>(child.key.size()));
      store_le64(element + 8, child.page);
      element += kElementBytes;
      data = std::copy(child.key.begin(), child.key.end(), data);
    }
  }
  add_child(level + 1, {branch.children.front().key, id});
}

void BboltPacker::add_child(std::size_t level, Child child) {
  if (levels_.size() == level) levels_.emplace_back();
  const std::size_t bytes = kElementBytes + child.key.size();
  if (levels_[level].current.children.size() >= 2 &&
      kPageHeaderBytes + levels_[level].current.bytes + bytes > kPageBytes) {
    Branch held = std::exchange(levels_[level].held, {});
    if (!held.children.empty()) flush_branch(level, held);  // may grow levels_
    levels_[level].held = std::exchange(levels_[level].current, {});
  }
  levels_[level].current.push(child);
}

absl::StatusOr<BboltWriter> BboltWriter::plan(ports::BackendRead& read, const Options& options) {
  BboltWriter writer(read, options.chunk_bytes);
  if (absl::Status s = writer.load_meta(options.meta_overrides); !s.ok()) return s;
  BboltPacker counter(kFirstDataPage, nullptr);
  for (std::size_t i = 0; i < ports::kBucketCount; ++i) {
    const std::unique_ptr<ports::BackendCursor> cursor = writer.open_bucket(i, kSizes);
    for (cursor->seek({}); cursor->valid(); cursor->next()) {
      if (cursor->key().size() > kMaxKeyBytes) {
        return absl::OutOfRangeError(absl::StrCat(
            "a snapshot in etcd's format cannot hold a key of more than ", kMaxKeyBytes,
            " bytes: ", describe_entry(static_cast<ports::Bucket>(i), cursor->key())));
      }
      counter.add(cursor->key(), cursor->value());
    }
    if (absl::Status s = cursor->status(); !s.ok()) return s;
    counter.finish_bucket();
  }
  writer.page_count_ = counter.next_page() + 1;  // and the root leaf
  return writer;
}

std::uint64_t BboltWriter::size_bytes() const {
  return page_count_ * kPageBytes;
}

absl::StatusOr<BytesView> BboltWriter::next() {
  out_->clear();
  if (absl::Status s = fill(); !s.ok()) return s;
  return BytesView(*out_);
}

absl::Status BboltWriter::next_into(Bytes* chunk) {
  // What packs writes to *out_: the caller's memory stands there meanwhile.
  chunk->clear();
  out_->swap(*chunk);
  absl::Status status = fill();
  out_->swap(*chunk);
  return status;
}

/// Appends the next chunk to out_.
absl::Status BboltWriter::fill() {
  if (packer_ == nullptr) {
    packer_ = std::make_unique<BboltPacker>(kFirstDataPage, out_.get());
    append_front_pages();
  }
  while (roots_.size() < ports::kBucketCount && out_->size() < chunk_bytes_) {
    if (cursor_ == nullptr) {
      cursor_ = open_bucket(roots_.size(), kValues);
      cursor_->seek({});
    }
    if (cursor_->valid()) {
      packer_->add(cursor_->key(), cursor_->value());
      cursor_->next();
      continue;
    }
    if (absl::Status s = cursor_->status(); !s.ok()) return s;
    roots_.push_back(packer_->finish_bucket());
    cursor_.reset();
    if (roots_.size() == ports::kBucketCount) append_root();
  }
  return absl::OkStatus();
}

absl::Status BboltWriter::write(const std::function<absl::Status(BytesView)>& sink) {
  while (true) {
    const absl::StatusOr<BytesView> chunk = next();
    if (!chunk.ok()) return chunk.status();
    if (chunk->empty()) return absl::OkStatus();
    if (absl::Status s = sink(*chunk); !s.ok()) return s;
  }
}

absl::Status BboltWriter::load_meta(const std::map<Bytes, std::optional<Bytes>>& overrides) {
  std::map<Bytes, Bytes> merged;
  const std::unique_ptr<ports::BackendCursor> cursor = read_->cursor(ports::Bucket::kMeta);
  for (cursor->seek({}); cursor->valid(); cursor->next()) {
    merged.emplace(cursor->key(), cursor->value());
  }
  for (const auto& [key, value] : overrides) {
    if (value) {
      merged[key] = *value;
    } else {
      merged.erase(key);
    }
  }
  meta_.assign(merged.begin(), merged.end());
  return cursor->status();
}

std::unique_ptr<ports::BackendCursor> BboltWriter::open_bucket(std::size_t bucket,
                                                               Wanted wanted) const {
  const auto which = static_cast<ports::Bucket>(bucket);
  if (which == ports::Bucket::kMeta) return std::make_unique<ListCursor>(meta_);
  return wanted == kSizes ? read_->cursor_over_sizes(which) : read_->cursor(which);
}

void BboltWriter::append_front_pages() {
  out_->resize(kFirstDataPage * kPageBytes, '\0');
  for (std::uint64_t id = 0; id < 2; ++id) {
    char* page = out_->data() + id * kPageBytes;
    store_page_header(page, {id, kMetaPage, 0, 0});
    char* meta = page + kPageHeaderBytes;
    store_le32(meta, kMagic);
    store_le32(meta + 4, kVersion);
    store_le32(meta + 8, kPageBytes);
    store_le64(meta + 16, page_count_ - 1);  // the root leaf is the last page
    store_le64(meta + 32, kFreelistPageId);
    store_le64(meta + 40, page_count_);
    store_le64(meta + 48, id);  // transaction
    store_le64(meta + kMetaChecksumAt, fnv1a(BytesView(meta, kMetaChecksumAt)));
  }
  store_page_header(out_->data() + kFreelistPageId * kPageBytes,
                    {kFreelistPageId, kFreelistPage, 0, 0});
}

void BboltWriter::append_root() {
  char headers[ports::kBucketCount][kBucketHeaderBytes] = {};
  for (std::size_t i = 0; i < ports::kBucketCount; ++i) {
    store_le64(headers[i], roots_[i]);
    packer_->add(ports::kBucketNames[i], BytesView(headers[i], kBucketHeaderBytes), kBucketElement);
  }
  packer_->finish_bucket();
  HOLDFAST_CHECK(packer_->next_page() == page_count_);
}

}  // namespace holdfast::storage
