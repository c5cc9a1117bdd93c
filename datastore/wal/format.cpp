#include "datastore/wal/format.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "datastore/base/check.h"
#include "datastore/base/crc32c.h"
#include "datastore/wal/segment_seal.h"

namespace holdfast::wal {

namespace {

constexpr std::uint64_t kMagic = 0x4c415746444c4f48;  // "HOLDFWAL", little-endian
constexpr std::size_t kSegmentCrcOffset = 508;
constexpr std::size_t kBatchCrcOffset = 52;
constexpr std::size_t kBatchRecordsCrcOffset = 44;
constexpr std::size_t kKeyIdOffset = 48;
constexpr std::size_t kSaltOffset = 64;
constexpr std::uint32_t kCipherNone = 0;
constexpr std::uint32_t kCipherAes256Gcm = 1;
constexpr std::size_t kHardStateBytes = 24;
constexpr std::size_t kSnapshotFixedBytes = 24;
constexpr std::size_t kTermBytes = 8;

std::size_t padded(std::size_t size) {
  return (size + kWordBytes - 1) & ~(kWordBytes - 1);
}
std::size_t record_bytes(std::size_t payload) {
  return kRecordHeaderBytes + padded(payload);
}

char* put_record_header(char* out, RecordKind kind, std::uint8_t detail, std::size_t payload) {
  store_le64(out, static_cast<std::uint64_t>(payload) | static_cast<std::uint64_t>(kind) << 32 |
                      static_cast<std::uint64_t>(detail) << 40);
  return out + kRecordHeaderBytes;
}

char* put_word(char* out, std::uint64_t word) {
  store_le64(out, word);
  return out + kWordBytes;
}

std::size_t snapshot_payload_bytes(const raft::SnapshotMetadata& snapshot) {
  return kSnapshotFixedBytes +
         kWordBytes * (snapshot.conf.voters.size() + snapshot.conf.learners.size());
}

char* put_snapshot(char* out, const SnapshotMarker& marker) {
  const raft::SnapshotMetadata& snapshot = marker.snapshot;
  out = put_record_header(out, RecordKind::kSnapshotMarker, marker.replaces_log ? 1 : 0,
                          snapshot_payload_bytes(snapshot));
  out = put_word(out, snapshot.index.value);
  out = put_word(out, snapshot.term.value);
  store_le32(out, static_cast<std::uint32_t>(snapshot.conf.voters.size()));
  store_le32(out + 4, static_cast<std::uint32_t>(snapshot.conf.learners.size()));
  out += kWordBytes;
  for (const MemberId id : snapshot.conf.voters) out = put_word(out, id.value);
  for (const MemberId id : snapshot.conf.learners) out = put_word(out, id.value);
  return out;
}

char* put_hard_state(char* out, const raft::HardState& state) {
  out = put_record_header(out, RecordKind::kHardState, 0, kHardStateBytes);
  out = put_word(out, state.term.value);
  out = put_word(out, state.vote.value);
  return put_word(out, state.commit.value);
}

char* put_entry(char* out, const raft::Entry& entry) {
  const std::size_t size = entry.data.size();
  out = put_record_header(out, RecordKind::kEntry, static_cast<std::uint8_t>(entry.type), size);
  if (size == 0) return out;
  // The last word first: what the data leaves of it stays zero.
  const std::size_t room = padded(size);
  store_le64(out + room - kWordBytes, 0);
  entry.data.copy(out, size);
  return out + room;
}

char* put_entries(char* out, absl::Span<const raft::Entry> entries) {
  Term term;
  bool has_term = false;
  for (const raft::Entry& entry : entries) {
    if (!has_term || entry.term != term) {
      out = put_record_header(out, RecordKind::kTerm, 0, kTermBytes);
      out = put_word(out, entry.term.value);
      term = entry.term;
      has_term = true;
    }
    out = put_entry(out, entry);
  }
  return out;
}

std::size_t entries_bytes(absl::Span<const raft::Entry> entries) {
  std::size_t total = 0;
  const Term* term = nullptr;
  for (const raft::Entry& entry : entries) {
    if (term == nullptr || entry.term != *term) total += record_bytes(kTermBytes);
    term = &entry.term;
    total += record_bytes(entry.data.size());
  }
  return total;
}

void put_batch_header(char* out, const BatchHeader& header) {
  store_le64(out, header.marker);
  store_le64(out + 8, header.sequence);
  store_le64(out + 16, header.synced_through);
  store_le64(out + 24, header.first_index.value);
  store_le32(out + 32, header.entry_count);
  store_le32(out + 36, header.records_bytes);
  store_le32(out + 40, header.previous_crc);
  store_le32(out + kBatchRecordsCrcOffset, 0);
  store_le32(out + 48, header.failed_writes);
}

void put_batch_checksums(char* out, BytesView records) {
  store_le32(out + kBatchRecordsCrcOffset, crc32c(0, records));
  store_le32(out + kBatchCrcOffset, batch_header_crc(out));
}

std::uint64_t word_at(BytesView bytes, std::size_t number) {
  return load_le64(bytes.data() + number * kWordBytes);
}

}  // namespace

void encode_segment_header(const SegmentHeader& header, char* out) {
  std::memset(out, 0, kSegmentHeaderBytes);
  store_le64(out, kMagic);
  store_le32(out + 8, kFormatVersion);
  store_le32(out + 12, header.cipher ? kCipherAes256Gcm : kCipherNone);
  store_le64(out + 16, header.sequence);
  store_le64(out + 24, header.marker);
  store_le64(out + 32, header.identity.cluster.value);
  store_le64(out + 40, header.identity.member.value);
  if (header.cipher) {
    std::copy(header.cipher->key_id.begin(), header.cipher->key_id.end(), out + kKeyIdOffset);
    std::copy(header.cipher->salt.begin(), header.cipher->salt.end(), out + kSaltOffset);
  }
  store_le32(out + kSegmentCrcOffset, crc32c(0, {out, kSegmentCrcOffset}));
}

absl::StatusOr<SegmentHeader> decode_segment_header(BytesView bytes) {
  if (bytes.size() < kSegmentHeaderBytes) return absl::DataLossError("segment header is cut short");
  const char* p = bytes.data();
  if (load_le64(p) != kMagic) {
    return absl::DataLossError("segment header does not begin as a holdfast log");
  }
  if (load_le32(p + kSegmentCrcOffset) != crc32c(0, {p, kSegmentCrcOffset})) {
    return absl::DataLossError("segment header has a wrong checksum");
  }
  if (const std::uint32_t version = load_le32(p + 8); version != kFormatVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("has log format ", version, ", this release reads format ", kFormatVersion,
                     "; start the release that wrote it, or a later one"));
  }
  const std::uint32_t cipher = load_le32(p + 12);
  if (cipher != kCipherNone && cipher != kCipherAes256Gcm) {
    return absl::FailedPreconditionError(
        absl::StrCat("is encrypted (cipher ", cipher,
                     "), which this release cannot read; start the release "
                     "that wrote it, or a later one"));
  }
  SegmentHeader header;
  header.sequence = load_le64(p + 16);
  header.marker = load_le64(p + 24);
  header.identity.cluster = ClusterId(load_le64(p + 32));
  header.identity.member = MemberId(load_le64(p + 40));
  if (header.marker == 0) return absl::DataLossError("segment header has no marker");
  if (cipher == kCipherAes256Gcm) {
    SegmentCipher& sealed = header.cipher.emplace();
    std::copy_n(p + kKeyIdOffset, sealed.key_id.size(), sealed.key_id.begin());
    std::copy_n(p + kSaltOffset, sealed.salt.size(), sealed.salt.begin());
  }
  return header;
}

BatchHeader decode_batch_header(const char* bytes) {
  BatchHeader header;
  header.marker = load_le64(bytes);
  header.sequence = load_le64(bytes + 8);
  header.synced_through = load_le64(bytes + 16);
  header.first_index = Index(load_le64(bytes + 24));
  header.entry_count = load_le32(bytes + 32);
  header.records_bytes = load_le32(bytes + 36);
  header.previous_crc = load_le32(bytes + 40);
  header.records_crc = load_le32(bytes + kBatchRecordsCrcOffset);
  header.failed_writes = load_le32(bytes + 48);
  header.header_crc = load_le32(bytes + kBatchCrcOffset);
  return header;
}

std::uint32_t batch_header_crc(const char* bytes) {
  return crc32c(0, {bytes, kBatchCrcOffset});
}

std::size_t records_bytes(const Batch& batch) {
  std::size_t total = entries_bytes(batch.entries);
  if (batch.snapshot) total += record_bytes(snapshot_payload_bytes(batch.snapshot->snapshot));
  if (batch.hard_state) total += record_bytes(kHardStateBytes);
  return total;
}

std::uint32_t encode_batch(const Batch& batch, const BatchHeader& position, char* out, SealAt at) {
  char* const records = out + kBatchHeaderBytes;
  char* end = records;
  if (batch.snapshot) end = put_snapshot(end, *batch.snapshot);
  if (batch.hard_state) end = put_hard_state(end, *batch.hard_state);
  end = put_entries(end, batch.entries);

  auto size = static_cast<std::size_t>(end - records);
  if (at.seal != nullptr) size += SegmentSeal::kTagBytes;
  HOLDFAST_CHECK(size <= UINT32_MAX);
  BatchHeader header = position;
  header.entry_count = static_cast<std::uint32_t>(batch.entries.size());
  header.records_bytes = static_cast<std::uint32_t>(size);
  put_batch_header(out, header);
  if (at.seal != nullptr) at.seal->seal(at.offset, out, size - SegmentSeal::kTagBytes);
  put_batch_checksums(out, {records, size});
  return load_le32(out + kBatchCrcOffset);
}

absl::StatusOr<RecordReader::Record> RecordReader::next() {
  if (left_.size() < kRecordHeaderBytes) return absl::DataLossError("a record header is cut short");
  const std::uint64_t word = word_at(left_, 0);
  const std::size_t size = word & UINT32_MAX;
  if (record_bytes(size) > left_.size()) {
    return absl::DataLossError(absl::StrCat("a record of ", size, " bytes leaves its batch"));
  }
  Record record;
  record.kind = static_cast<RecordKind>(word >> 32 & 0xff);
  record.detail = static_cast<std::uint8_t>(word >> 40 & 0xff);
  record.payload = left_.substr(kRecordHeaderBytes, size);
  left_.remove_prefix(record_bytes(size));
  return record;
}

absl::StatusOr<raft::HardState> decode_hard_state(BytesView payload) {
  if (payload.size() != kHardStateBytes) {
    return absl::DataLossError("a hard state has a wrong length");
  }
  return raft::HardState{Term(word_at(payload, 0)), MemberId(word_at(payload, 1)),
                         Index(word_at(payload, 2))};
}

absl::StatusOr<raft::SnapshotMetadata> decode_snapshot(BytesView payload) {
  if (payload.size() < kSnapshotFixedBytes) {
    return absl::DataLossError("a snapshot marker is cut short");
  }
  const std::uint64_t voters = load_le32(payload.data() + 16);
  const std::uint64_t learners = load_le32(payload.data() + 20);
  if (payload.size() != kSnapshotFixedBytes + kWordBytes * (voters + learners)) {
    return absl::DataLossError("a snapshot marker has a wrong number of members");
  }

  raft::SnapshotMetadata snapshot;
  snapshot.index = Index(word_at(payload, 0));
  snapshot.term = Term(word_at(payload, 1));
  std::size_t next = kSnapshotFixedBytes / kWordBytes;
  for (std::uint64_t i = 0; i < voters; ++i) {
    snapshot.conf.voters.emplace_back(word_at(payload, next++));
  }
  for (std::uint64_t i = 0; i < learners; ++i) {
    snapshot.conf.learners.emplace_back(word_at(payload, next++));
  }
  return snapshot;
}

absl::StatusOr<Term> decode_term(BytesView payload) {
  if (payload.size() != kTermBytes) return absl::DataLossError("a term has a wrong length");
  return Term(word_at(payload, 0));
}

}  // namespace holdfast::wal
