#include "datastore/archive/segment.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "datastore/codec/raft_messages.h"
#include "datastore/crypto/digest.h"

namespace holdfast::archive {
namespace {

constexpr BytesView kMagic = "HOLDARCH";
constexpr std::uint32_t kVersion = 2;
/// Its batches don't say what is held before them.
constexpr std::uint32_t kVersionWithoutHeld = 1;
constexpr std::size_t kHeaderBytes = 40;
constexpr std::size_t kDigestBytes = 32;
constexpr std::size_t kIndexDigits = 16;

void append_le32(std::uint32_t value, Bytes* out) {
  char bytes[4];
  store_le32(bytes, value);
  out->append(bytes, sizeof(bytes));
}

void append_le64(std::uint64_t value, Bytes* out) {
  char bytes[8];
  store_le64(bytes, value);
  out->append(bytes, sizeof(bytes));
}

/// Why the entry can't come after `end`; OK if it can. Moves `end` on.
absl::Status follow(const raft::Entry& entry, Joint& end) {
  if (entry.index != end.index.next() || entry.term < end.term || !entry.term) {
    return absl::InvalidArgumentError(absl::StrCat("entry ", entry.index.value, " of term ",
                                                   entry.term.value, " does not go on from entry ",
                                                   end.index.value, " of term ", end.term.value));
  }
  end.index = entry.index;
  end.term = entry.term;
  return absl::OkStatus();
}

absl::Status damaged(const std::string& what) {
  return absl::DataLossError(absl::StrCat("archive segment: ", what));
}

std::optional<Index> parse_index(std::string_view text) {
  std::uint64_t value = 0;
  if (text.size() != kIndexDigits || !absl::SimpleHexAtoi(Bytes(text), &value) || value == 0) {
    return std::nullopt;
  }
  return Index(value);
}

}  // namespace

std::string SegmentName::str() const {
  return absl::StrCat(absl::Hex(first.value, absl::kZeroPad16), "-",
                      absl::Hex(last.value, absl::kZeroPad16), std::string(kSegmentSuffix));
}

std::optional<SegmentName> SegmentName::parse(std::string_view name) {
  constexpr std::size_t kLength = 2 * kIndexDigits + 1;
  if (name.size() != kLength + kSegmentSuffix.size() || !name.ends_with(kSegmentSuffix) ||
      name[kIndexDigits] != '-') {
    return std::nullopt;
  }
  const std::optional<Index> first = parse_index(name.substr(0, kIndexDigits));
  const std::optional<Index> last = parse_index(name.substr(kIndexDigits + 1, kIndexDigits));
  if (!first || !last || *last < *first) return std::nullopt;
  const SegmentName parsed{*first, *last};
  return parsed.str() == name ? std::optional(parsed) : std::nullopt;
}

SegmentWriter::SegmentWriter(const Joint& joint) : end_(joint) {
  bytes_ = Bytes(kMagic);
  append_le32(kVersion, &bytes_);
  append_le32(0, &bytes_);
  append_le64(joint.cluster.value, &bytes_);
  append_le64(joint.index.value, &bytes_);
  append_le64(joint.term.value, &bytes_);
}

absl::Status SegmentWriter::add(std::int64_t known_at_ms, const Held& before,
                                absl::Span<const raft::Entry> entries) {
  if (entries.empty()) return absl::OkStatus();
  Joint end = end_;
  for (const raft::Entry& entry : entries) {
    if (absl::Status status = follow(entry, end); !status.ok()) return status;
  }
  end_ = end;
  if (!first_) first_ = entries.front().index;
  last_time_ms_ = std::max(last_time_ms_, known_at_ms);
  append_le64(static_cast<std::uint64_t>(last_time_ms_), &bytes_);
  append_le64(static_cast<std::uint64_t>(std::min(before.until_ms, last_time_ms_)), &bytes_);
  append_le64(static_cast<std::uint64_t>(before.revision), &bytes_);
  append_le32(static_cast<std::uint32_t>(entries.size()), &bytes_);
  for (const raft::Entry& entry : entries) {
    append_le32(static_cast<std::uint32_t>(codec::encoded_size_bytes(entry)), &bytes_);
    codec::append(entry, &bytes_);
  }
  return absl::OkStatus();
}

absl::Status SegmentWriter::add_encoded(std::int64_t known_at_ms, const Held& before,
                                        absl::Span<const BytesView> entries) {
  std::vector<raft::Entry> decoded(entries.size());
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (absl::Status status = codec::decode(entries[i], &decoded[i]); !status.ok()) return status;
  }
  return add(known_at_ms, before, decoded);
}

Bytes SegmentWriter::finish() {
  crypto::Sha256 sum;
  sum.update(bytes_);
  const crypto::Sha256Digest digest = sum.finish();
  bytes_.append(digest.data(), digest.size());
  return std::move(bytes_);
}

absl::StatusOr<SegmentReader> SegmentReader::open(BytesView bytes) {
  if (bytes.size() < kHeaderBytes + kDigestBytes || !bytes.starts_with(kMagic)) {
    return damaged("is none, or was cut off");
  }
  const std::uint32_t version = load_le32(bytes.data() + 8);
  if (version < kVersionWithoutHeld || version > kVersion) {
    return absl::FailedPreconditionError(absl::StrCat("archive segment: of format version ",
                                                      version, ", this release reads up to ",
                                                      kVersion, "; use a newer release"));
  }
  const BytesView content = bytes.substr(0, bytes.size() - kDigestBytes);
  crypto::Sha256 sum;
  sum.update(content);
  const crypto::Sha256Digest digest = sum.finish();
  if (bytes.substr(content.size()) != BytesView(digest.data(), digest.size())) {
    return damaged("its SHA-256 does not match: it was cut off or changed; fetch it again");
  }
  const Joint joint{ClusterId(load_le64(bytes.data() + 16)), Index(load_le64(bytes.data() + 24)),
                    Term(load_le64(bytes.data() + 32))};
  return SegmentReader(version, joint, content.substr(kHeaderBytes));
}

/// The number of entries that follow.
absl::StatusOr<std::uint32_t> SegmentReader::read_batch_header(Batch& batch) {
  const bool says_held = version_ > kVersionWithoutHeld;
  const std::size_t size = says_held ? 28 : 12;
  if (rest_.size() < size) return damaged("a batch is cut off");
  const auto number_at = [this](std::size_t offset) {
    return static_cast<std::int64_t>(load_le64(rest_.data() + offset));
  };
  batch.known_at_ms = number_at(0);
  // Without a word of it, each is taken to have followed the one before at once.
  batch.before = says_held ? Held{number_at(8), number_at(16)} : Held{batch.known_at_ms, 0};
  const std::uint32_t count = load_le32(rest_.data() + size - 4);
  rest_.remove_prefix(size);
  const bool sensible = count > 0 && batch.known_at_ms >= last_time_ms_ &&
                        batch.before.until_ms >= 0 && batch.before.until_ms <= batch.known_at_ms &&
                        batch.before.revision >= 0;
  if (!sensible) return damaged("a batch makes no sense");
  last_time_ms_ = batch.known_at_ms;
  return count;
}

absl::StatusOr<std::optional<Batch>> SegmentReader::next() {
  if (rest_.empty()) return std::nullopt;
  Batch batch;
  const absl::StatusOr<std::uint32_t> header = read_batch_header(batch);
  if (!header.ok()) return header.status();
  for (std::uint32_t count = *header; count > 0; --count) {
    if (rest_.size() < 4) return damaged("an entry is cut off");
    const std::uint32_t size = load_le32(rest_.data());
    rest_.remove_prefix(4);
    if (size > rest_.size()) return damaged("an entry is cut off");
    raft::Entry& entry = batch.entries.emplace_back();
    if (absl::Status status = codec::decode(rest_.substr(0, size), &entry); !status.ok()) {
      return damaged(std::string(status.message()));
    }
    if (absl::Status status = follow(entry, end_); !status.ok()) {
      return damaged(std::string(status.message()));
    }
    rest_.remove_prefix(size);
  }
  return batch;
}

}  // namespace holdfast::archive
