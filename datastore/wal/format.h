#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datastore/base/bytes.h"
#include "datastore/base/ids.h"
#include "datastore/crypto/key256.h"
#include "datastore/wal/batch.h"

/// FORMAT.md in code: pure functions between values and bytes. No file is touched here.
namespace holdfast::wal {

inline constexpr std::uint32_t kFormatVersion = 1;
inline constexpr std::size_t kSectorBytes = 512;
inline constexpr std::size_t kWordBytes = 8;
inline constexpr std::size_t kSegmentHeaderBytes = 512;
inline constexpr std::size_t kBatchHeaderBytes = 56;
inline constexpr std::size_t kRecordHeaderBytes = 8;
/// The longest an entry's data may be: a batch's length must fit its field.
inline constexpr std::size_t kMaxEntryBytes = std::size_t{1} << 30;

enum class RecordKind : std::uint8_t {
  kHardState = 1,
  kSnapshotMarker = 2,
  kTerm = 3,
  kEntry = 4,
};

/// Whose log it is.
struct Identity {
  ClusterId cluster;
  MemberId member;
  friend bool operator==(const Identity&, const Identity&) = default;
};

/// What opens a segment's batches.
struct SegmentCipher {
  /// Of the data key.
  crypto::KeyId key_id{};
  std::array<char, 32> salt{};
};

struct SegmentHeader {
  std::uint64_t sequence = 0;
  std::uint64_t marker = 0;
  Identity identity;
  /// Unset: the segment is plain.
  std::optional<SegmentCipher> cipher;
};

class SegmentSeal;

/// Writes kSegmentHeaderBytes at `out`.
void encode_segment_header(const SegmentHeader& header, char* out);
/// Errors, without the file's name: DataLoss for a damaged header, FailedPrecondition for a newer
/// format or an unknown cipher.
absl::StatusOr<SegmentHeader> decode_segment_header(BytesView bytes);

struct BatchHeader {
  std::uint64_t marker = 0;
  std::uint64_t sequence = 0;
  std::uint64_t synced_through = 0;
  Index first_index;
  std::uint32_t entry_count = 0;
  std::uint32_t records_bytes = 0;
  std::uint32_t previous_crc = 0;
  std::uint32_t records_crc = 0;
  /// Writes that failed in this segment before this one: with the offset, a sealed batch's nonce.
  std::uint32_t failed_writes = 0;
  std::uint32_t header_crc = 0;
};

/// Decodes kBatchHeaderBytes at `bytes`, whatever they hold.
BatchHeader decode_batch_header(const char* bytes);
/// The checksum that those bytes should carry as header_crc.
std::uint32_t batch_header_crc(const char* bytes);

/// The batch's bytes after its header. Below 4 GiB if every entry is within kMaxEntryBytes and
/// there is one of them, or the caller bounds the sum.
std::size_t records_bytes(const Batch& batch);

/// Where a batch is sealed: in which segment, and how far into it. Borrowed.
struct SealAt {
  SegmentSeal* seal = nullptr;
  std::uint64_t offset = 0;
};

/// Writes header and records, kBatchHeaderBytes + records_bytes(batch) bytes, to `out`, and returns
/// the header's checksum. Of `position`, the marker, sequence, synced_through, first_index,
/// previous_crc and failed_writes are used. With a seal the records are sealed, and
/// SegmentSeal::kTagBytes longer.
std::uint32_t encode_batch(const Batch& batch, const BatchHeader& position, char* out,
                           SealAt at = {});

/// Walks the records of one batch. The checksum has been verified: an error here is a writer's bug
/// or a forgery.
class RecordReader {
 public:
  struct Record {
    RecordKind kind{};
    std::uint8_t detail = 0;
    BytesView payload;
  };

  explicit RecordReader(BytesView records) : left_(records) {}
  bool done() const { return left_.empty(); }
  /// Errors: DataLoss for a length that does not fit.
  absl::StatusOr<Record> next();

 private:
  BytesView left_;
};

/// Payloads to values. Errors: DataLoss for a wrong length.
absl::StatusOr<raft::HardState> decode_hard_state(BytesView payload);
absl::StatusOr<raft::SnapshotMetadata> decode_snapshot(BytesView payload);
absl::StatusOr<Term> decode_term(BytesView payload);

}  // namespace holdfast::wal
