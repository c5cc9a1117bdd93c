// Damage to bytes that were synced: found, named, and nothing changed.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "datastore/base/crc32c.h"
#include "datastore/wal/format.h"
#include "tests/unit/wal/log_fixture.h"

namespace holdfast::wal {
namespace {

class WalDamage : public LogTest {
 protected:
  /// Three segments with batches, a fourth prepared.
  void fill() {
    create();
    append({}, hard_state(1, 1), SnapshotMarker{snapshot(0), false});
    std::uint64_t index = 1;
    while (!disk_.exists(segment(3)).value()) append_next(index);
    append_next(index);
    append_next(index);
    ASSERT_TRUE(wal_->prepare_next_segment().ok());
    wal_.reset();
    last_ = Index(index - 1);
    for (std::uint64_t i = 1; i <= 4; ++i) files_.push_back(disk_.content(segment(i)));
  }

  void append_next(std::uint64_t& index) {
    append(entries(index, 2, 1, 90 + index % 50), hard_state(1, index));
    index += 2;
  }

  void restore() {
    for (std::uint64_t i = 1; i <= 4; ++i) disk_.put(segment(i), files_[i - 1]);
  }

  /// Where the batches of a file end.
  std::size_t end_of_batches(std::uint64_t sequence) const {
    const std::string& bytes = files_[sequence - 1];
    std::size_t end = bytes.find_last_not_of('\0') + 1;
    return sequence == 4 ? kSegmentHeaderBytes : (end + kWordBytes - 1) / kWordBytes * kWordBytes;
  }

  void expect_refused(std::uint64_t sequence, const std::string& what) {
    const absl::Status status = open_error();
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), segment(sequence))) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), what)) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), "restore this member")) << status;
  }

  std::vector<std::string> files_;
  Index last_;
};

TEST_F(WalDamage, AnyFlippedBitOfTheLogIsFoundAndNamed) {
  fill();
  Prng dice(7);
  int beyond = 0;
  for (std::uint64_t sequence = 1; sequence <= 4; ++sequence) {
    const std::size_t end = end_of_batches(sequence);
    for (std::size_t at = 0; at < files_[sequence - 1].size(); ++at) {
      restore();
      disk_.content(segment(sequence))[at] ^= static_cast<char>(1 << dice.below(8));
      SCOPED_TRACE(absl::StrCat("segment ", sequence, " offset ", at, " end ", end));
      if (at < end) {
        expect_refused(sequence, "offset ");
        EXPECT_NE(disk_.content(segment(sequence)), files_[sequence - 1]) << "repaired";
      } else {
        // Beyond the batches nothing can be lost. It is damage all the same where no tear can leave
        // such bytes: before a later segment, or as half a word where the next batch would begin.
        const auto opened = Wal::open(disk_, kDirectory, small());
        const bool has_room = end + kBatchHeaderBytes <= files_[sequence - 1].size();
        if (has_room && (sequence < 3 || at < end + kWordBytes)) {
          EXPECT_TRUE(absl::IsDataLoss(opened.status())) << opened.status();
        } else {
          ASSERT_TRUE(opened.ok()) << opened.status();
          EXPECT_EQ(opened->recovered.last_index, last_);
          ++beyond;
        }
      }
      if (HasFailure()) return;
    }
  }
  EXPECT_GT(beyond, 100);
}

TEST_F(WalDamage, ALostSectorIsDamageUnlessItIsTheTail) {
  fill();
  for (std::uint64_t sequence = 1; sequence <= 3; ++sequence) {
    const std::size_t end = end_of_batches(sequence);
    for (std::size_t at = kSegmentHeaderBytes; at < end; at += kSectorBytes) {
      restore();
      disk_.content(segment(sequence)).replace(at, kSectorBytes, Bytes(kSectorBytes, '\0'));
      SCOPED_TRACE(absl::StrCat("segment ", sequence, " offset ", at));
      const auto opened = Wal::open(disk_, kDirectory, small());
      if (!opened.ok()) {
        EXPECT_TRUE(absl::IsDataLoss(opened.status())) << opened.status();
        continue;
      }
      // Only if every later header is in the lost sector too, nothing says that it was synced.
      EXPECT_EQ(sequence, 3u);
      EXPECT_GE(at + 2 * kSectorBytes, end);
      EXPECT_LT(opened->recovered.last_index, last_);
      EXPECT_GE(opened->recovered.torn_tail.offset + 400, at);
      EXPECT_GT(opened->recovered.torn_tail.cut_bytes, 0u);
      EXPECT_EQ(opened->recovered.torn_tail.file, segment(3));
    }
  }
}

TEST_F(WalDamage, AWriteInAnothersPlaceIsFound) {
  fill();
  Bytes& second = disk_.content(segment(2));
  const Bytes moved = second.substr(1024, 1024);
  second.replace(2048, 1024, moved);
  expect_refused(2, "offset ");

  restore();
  Bytes& first = disk_.content(segment(1));
  first.replace(kSegmentHeaderBytes, first.size(), files_[1].substr(kSegmentHeaderBytes));
  EXPECT_TRUE(absl::IsDataLoss(open_error()));
}

TEST_F(WalDamage, AMissingSegmentIsNamed) {
  fill();
  ASSERT_TRUE(disk_.remove(segment(2)).ok());
  expect_refused(2, "the file is missing");
  restore();
  ASSERT_TRUE(disk_.remove(segment(3)).ok());
  expect_refused(3, "the file is missing");
  restore();
  ASSERT_TRUE(disk_.remove(segment(1)).ok());
  expect_refused(2, "segments are missing");
}

TEST_F(WalDamage, TheMessageNamesBatchAndEntries) {
  create();
  append(entries(1, 3));
  append(entries(4, 2));
  append(entries(6, 1));
  const std::size_t at = disk_.content(segment(1)).find(entries(4, 1).front().data);
  disk_.content(segment(1))[at] ^= 1;
  expect_refused(1, "batch 3 (entries 4 to 5): its records have a wrong checksum");
}

TEST_F(WalDamage, AnotherLogsSegmentIsRefused) {
  fill();
  FaultDisk other;
  const auto foreign = Wal::create(other, kDirectory, kIdentity, kMarker + 1, {}, small());
  ASSERT_TRUE(foreign.ok());
  Bytes bytes = other.content(segment(1));
  SegmentHeader header{3, kMarker + 1, kIdentity};
  encode_segment_header(header, bytes.data());
  disk_.put(segment(3), bytes);
  expect_refused(3, "belongs to another log");
}

TEST_F(WalDamage, ANewerFormatIsToldApartFromDamage) {
  create();
  wal_.reset();
  Bytes& bytes = disk_.content(segment(1));
  store_le32(bytes.data() + 8, 2);
  store_le32(bytes.data() + 508, crc32c(0, BytesView(bytes).substr(0, 508)));
  const absl::Status status = open_error();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "log format 2")) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), segment(1))) << status;
}

TEST_F(WalDamage, AValueThatLooksLikeABatchProvesNothing) {
  create();
  // All that a client could copy, except the marker: a header that claims a later, synced past.
  Bytes forged(kBatchHeaderBytes, '\0');
  BatchHeader claim;
  claim.marker = kMarker ^ 1;
  claim.sequence = 99;
  claim.synced_through = 98;
  claim.first_index = Index(1);
  encode_batch(Batch{}, claim, forged.data());
  std::vector<raft::Entry> list = entries(1, 1, 1, 1000);
  list.front().data.replace(600, forged.size(), forged);
  append(list);
  // Its first sector is lost, as if the write had been torn.
  disk_.content(segment(1)).replace(1024, kSectorBytes, Bytes(kSectorBytes, '\0'));
  const Recovered recovered = reopen();
  EXPECT_EQ(recovered.last_index, Index(0));
  EXPECT_GT(recovered.torn_tail.cut_bytes, 0u);
}

}  // namespace
}  // namespace holdfast::wal
