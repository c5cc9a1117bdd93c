#include "datastore/wal/segment_scan.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "datastore/base/crc32c.h"
#include "datastore/wal/segment_seal.h"

namespace holdfast::wal {

namespace {

/// True if one of the sectors over which [begin, end) reaches holds only zeros of it, or lies past
/// the end of the file: it may never have been written.
bool lacks_a_sector(BytesView segment, std::uint64_t begin, std::uint64_t end) {
  if (end > segment.size()) return true;
  while (begin < end) {
    const std::uint64_t next = std::min(end, (begin / kSectorBytes + 1) * kSectorBytes);
    if (all_zero(segment.substr(begin, next - begin))) return true;
    begin = next;
  }
  return false;
}

std::uint64_t last_nonzero_end(BytesView segment, std::uint64_t from) {
  constexpr std::uint64_t kStride = 4096;
  std::uint64_t end = segment.size();
  while (end > from) {
    const std::uint64_t begin = end - from > kStride ? end - kStride : from;
    if (!all_zero(segment.substr(begin, end - begin))) break;
    end = begin;
  }
  while (end > from && segment[end - 1] == '\0') --end;
  return end;
}

std::string describe(std::uint64_t offset, const BatchHeader& header) {
  std::string text = absl::StrCat("offset ", offset, ", batch ", header.sequence);
  if (header.entry_count == 1) {
    absl::StrAppend(&text, " (entry ", header.first_index.value, ")");
  } else if (header.entry_count > 1) {
    absl::StrAppend(&text, " (entries ", header.first_index.value, " to ",
                    header.first_index.value + header.entry_count - 1, ")");
  }
  return text;
}

class SegmentScanner {
 public:
  SegmentScanner(BytesView segment, std::uint64_t marker, SegmentSeal* seal, ChainPosition& chain,
                 Replay& replay)
      : segment_(segment), marker_(marker), seal_(seal), chain_(chain), replay_(replay) {}

  absl::StatusOr<SegmentEnd> scan() {
    end_.offset = kSegmentHeaderBytes;
    while (true) {
      const absl::StatusOr<bool> more = read_batch();
      if (!more.ok()) return more.status();
      if (*more) continue;
      end_.unproven_offset = unproven_.empty() ? end_.offset : unproven_.front().offset;
      return end_;
    }
  }

 private:
  std::uint64_t expected_sequence() const { return chain_.last_sequence + 1; }

  std::string place() const {
    if (!chain_.begun) return absl::StrCat("offset ", end_.offset, ", the log's first batch");
    return absl::StrCat("offset ", end_.offset, ", batch ", expected_sequence());
  }

  /// False at the end of the segment's batches.
  absl::StatusOr<bool> read_batch() {
    const std::uint64_t at = end_.offset;
    if (at + kBatchHeaderBytes > segment_.size()) {
      if (chain_.begun) return false;
      return unwritten(place());
    }
    const char* bytes = segment_.data() + at;
    const BatchHeader header = decode_batch_header(bytes);
    if (header.marker == 0) return unwritten(place());
    if (header.marker != marker_) {
      return absl::DataLossError(absl::StrCat(place(), ": no batch begins as these bytes do"));
    }
    if (header.header_crc != batch_header_crc(bytes)) {
      if (lacks_a_sector(segment_, at, at + kBatchHeaderBytes)) return unwritten(place());
      return absl::DataLossError(absl::StrCat(place(), ": its header has a wrong checksum"));
    }
    if (absl::Status follows = check_follows(header); !follows.ok()) return follows;
    return read_records(header);
  }

  absl::Status check_follows(const BatchHeader& header) const {
    if (!chain_.begun) return absl::OkStatus();
    if (header.sequence != expected_sequence()) {
      const bool first = end_.offset == kSegmentHeaderBytes;
      return absl::DataLossError(
          absl::StrCat(place(), ": batch ", header.sequence, " is in its place",
                       first ? "; the end of the segment before this one was lost" : ""));
    }
    if (header.previous_crc != chain_.crc) {
      return absl::DataLossError(
          absl::StrCat(describe(end_.offset, header), ": it does not follow the batch before it"));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<bool> read_records(const BatchHeader& header) {
    const std::uint64_t at = end_.offset;
    const std::uint64_t begin = at + kBatchHeaderBytes;
    const std::uint64_t end = begin + header.records_bytes;
    const bool whole = end <= segment_.size();
    const BytesView records = whole ? segment_.substr(begin, header.records_bytes) : BytesView();
    if (!whole || crc32c(0, records) != header.records_crc) {
      if (lacks_a_sector(segment_, at, end)) return unwritten(describe(at, header));
      return absl::DataLossError(
          absl::StrCat(describe(at, header), ": its records have a wrong checksum"));
    }
    if (header.records_bytes % kWordBytes != 0) {
      return absl::DataLossError(
          absl::StrCat(describe(at, header), ": its length is no multiple of ", kWordBytes));
    }
    const absl::StatusOr<BytesView> opened = open(header, records);
    if (!opened.ok()) return opened.status();
    if (absl::Status applied = replay_.apply(header, *opened); !applied.ok()) {
      return absl::DataLossError(
          absl::StrCat(describe(at, header), ": ", std::string(applied.message())));
    }
    chain_ = {true, header.sequence, header.header_crc};
    while (!unproven_.empty() && unproven_.front().sequence <= header.synced_through) {
      unproven_.pop_front();
    }
    unproven_.push_back({header.sequence, at});
    if (header.entry_count > 0) {
      end_.max_index =
          std::max(end_.max_index, Index(header.first_index.value + header.entry_count - 1));
    }
    end_.offset = end;
    return true;
  }

  /// The records as they were before they were sealed. They are whole by their checksum: a tear it
  /// can't be any more.
  absl::StatusOr<BytesView> open(const BatchHeader& header, BytesView records) {
    if (seal_ == nullptr) return records;
    const std::uint64_t at = end_.offset;
    if (records.size() >= SegmentSeal::kTagBytes) {
      opened_.resize(records.size() - SegmentSeal::kTagBytes);
      if (seal_->open(at, segment_.data() + at, records.size(), opened_.data())) return opened_;
    }
    return absl::DataLossError(absl::StrCat(
        describe(at, header), ": it is not what this member sealed there: somebody changed it"));
  }

  /// The batch at the end is not there, or not whole: damage if something proves that it was.
  absl::StatusOr<bool> unwritten(const std::string& what) {
    end_.leftover_bytes = last_nonzero_end(segment_, end_.offset) - end_.offset;
    if (!chain_.begun) {
      return absl::DataLossError(absl::StrCat(what, ": it is not whole, though it was synced"));
    }
    if (const std::optional<BatchHeader> proof = find_proof()) {
      return absl::DataLossError(absl::StrCat(what, ": it is not whole, though batch ",
                                              proof->sequence,
                                              " after it proves that it was synced"));
    }
    return false;
  }

  /// A batch after the end that was written when the missing one had been synced.
  std::optional<BatchHeader> find_proof() const {
    const std::uint64_t stop = end_.offset + end_.leftover_bytes;
    for (std::uint64_t at = end_.offset + kWordBytes; at < stop; at += kWordBytes) {
      if (at + kBatchHeaderBytes > segment_.size()) break;
      const char* bytes = segment_.data() + at;
      if (load_le64(bytes) != marker_) continue;
      const BatchHeader header = decode_batch_header(bytes);
      if (header.header_crc == batch_header_crc(bytes) && header.sequence > expected_sequence() &&
          header.synced_through >= expected_sequence()) {
        return header;
      }
    }
    return std::nullopt;
  }

  struct Unproven {
    std::uint64_t sequence;
    std::uint64_t offset;
  };

  const BytesView segment_;
  const std::uint64_t marker_;
  SegmentSeal* const seal_;
  Bytes opened_;
  ChainPosition& chain_;
  Replay& replay_;
  SegmentEnd end_;
  /// Batches after the last one known to be synced.
  std::deque<Unproven> unproven_;
};

}  // namespace

absl::StatusOr<SegmentEnd> scan_segment(BytesView segment, std::uint64_t marker, SegmentSeal* seal,
                                        ChainPosition& chain, Replay& replay) {
  return SegmentScanner(segment, marker, seal, chain, replay).scan();
}

bool all_zero(BytesView bytes) {
  // Equal to itself one byte on: every byte is the first one.
  return bytes.empty() ||
         (bytes[0] == '\0' && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

}  // namespace holdfast::wal
