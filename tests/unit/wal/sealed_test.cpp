// A sealed log: nothing plain on the disk, nothing changed unnoticed, no nonce twice.

#include <set>
#include <string>

#include "datastore/base/crc32c.h"
#include "tests/unit/wal/log_fixture.h"
#include "tests/unit/wal/nonce_ledger.h"

namespace holdfast::wal {
namespace {

const crypto::SealingKey kKey = crypto::sealing_key(crypto::Key256(Bytes(32, 'd')), "wal");

Options sealed(bool seal_plain = false) {
  Options options = small();
  options.key = kKey;
  options.seal_plain = seal_plain;
  return options;
}

class SealedLog : public LogTest {
 protected:
  SealedLog() { nonces_.watch(disk_); }

  bool on_disk(const std::string& text) {
    const absl::StatusOr<std::vector<std::string>> names = disk_.list(kDirectory);
    EXPECT_TRUE(names.ok());
    for (const std::string& name : *names) {
      if (disk_.content(kDirectory + "/" + name).find(text) != std::string::npos) return true;
    }
    return false;
  }
  std::string says(const Options& options) { return std::string(open_error(options).message()); }

  NonceLedger nonces_;
};

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_F(SealedLog, GivesBackWhatWasAppendedOverManySegmentsAndStarts) {
  create(sealed());
  std::vector<raft::Entry> all;
  for (std::uint64_t i = 0; i < 8; ++i) {
    const std::vector<raft::Entry> more = entries(1 + i * 5, 5, 1, 300);
    append(more, hard_state(1, i));
    all.insert(all.end(), more.begin(), more.end());
    const Recovered recovered = reopen(sealed());
    EXPECT_EQ(recovered.entries, all);
    EXPECT_EQ(recovered.hard_state, hard_state(1, i));
  }
  EXPECT_FALSE(on_disk(std::string(20, all.front().data.front())));
  EXPECT_GE(nonces_.size(), 8U);
}

TEST_F(SealedLog, EveryStartGoesOnInANewSegmentWithAnotherSalt) {
  create(sealed());
  append(entries(1, 1));
  std::set<Bytes> salts;
  for (std::uint64_t i = 2; i < 6; ++i) {
    reopen(sealed());
    append(entries(i, 1));
    salts.insert(disk_.content(segment(i)).substr(64, 32));
  }
  EXPECT_EQ(salts.size(), 4U);
}

TEST_F(SealedLog, AStartWithoutAnAppendLeavesNothingNew) {
  create(sealed());
  append(entries(1, 3));
  reopen(sealed());
  reopen(sealed());
  EXPECT_EQ(disk_.list(kDirectory).value().size(), 1U);
}

TEST_F(SealedLog, WhatFailedIsNotSealedOverWithItsNonce) {
  create(sealed());
  append(entries(1, 2));
  int fails = 3;
  disk_.before_change = [&](const std::string& name) {
    return name == "write" && fails-- > 0 && fails % 2 == 0 ? absl::ResourceExhaustedError("full")
                                                            : absl::OkStatus();
  };
  for (std::uint64_t term = 2; term < 8; ++term) {
    wal_->append({{}, {}, entries(3, 1, term, 700)}).IgnoreError();
  }
  disk_.before_change = nullptr;
  append(entries(4, 1, 9));
  EXPECT_EQ(reopen(sealed()).last_index, Index(4));
}

TEST_F(SealedLog, EveryChangedBitOfASealedBatchIsDamageEvenWithRightChecksums) {
  create(sealed());
  append(entries(1, 1));
  append(entries(2, 1));
  const Bytes good = disk_.content(segment(1));
  const std::size_t at = [&] {  // the second batch
    const BatchHeader first = decode_batch_header(good.data() + kSegmentHeaderBytes);
    return kSegmentHeaderBytes + kBatchHeaderBytes + first.records_bytes;
  }();
  const std::size_t size = kBatchHeaderBytes + decode_batch_header(good.data() + at).records_bytes;
  const auto with_checksums = [&](Bytes bytes) {
    store_le32(
        bytes.data() + at + 44,
        crc32c(0, BytesView(bytes).substr(at + kBatchHeaderBytes, size - kBatchHeaderBytes)));
    store_le32(bytes.data() + at + 52, batch_header_crc(bytes.data() + at));
    return bytes;
  };
  for (std::size_t bit = 0; bit < size * 8; ++bit) {
    // The marker, and a length, decide what the bytes are taken for; the checksums are mended.
    const std::size_t byte = bit / 8;
    if (byte < 8 || (byte >= 36 && byte < 40) || (byte >= 44 && byte < 48) ||
        (byte >= 52 && byte < 56)) {
      continue;
    }
    Bytes changed = good;
    changed[at + byte] = static_cast<char>(changed[at + byte] ^ (1 << bit % 8));
    changed = with_checksums(changed);
    disk_.put(segment(1), changed);
    EXPECT_TRUE(absl::IsDataLoss(open_error(sealed()))) << bit;
    EXPECT_EQ(disk_.content(segment(1)), changed) << "nothing is touched";
  }
  disk_.put(segment(1), good);
  EXPECT_EQ(reopen(sealed()).last_index, Index(2));
}

TEST_F(SealedLog, AChangedSegmentHeaderOpensNothing) {
  create(sealed());
  append(entries(1, 1));
  const Bytes good = disk_.content(segment(1));
  for (const std::size_t byte : {16, 24, 32, 40, 48, 64, 95}) {
    Bytes changed = good;
    changed[byte] = static_cast<char>(changed[byte] ^ 1);
    store_le32(changed.data() + 508, crc32c(0, BytesView(changed).substr(0, 508)));
    disk_.put(segment(1), changed);
    EXPECT_FALSE(open_error(sealed()).ok()) << byte;
  }
}

TEST_F(SealedLog, ATornTailIsStillATornTail) {
  create(sealed());
  append(entries(1, 2));
  const Bytes before = disk_.content(segment(1));
  ASSERT_TRUE(wal_->append({{}, {}, entries(3, 1, 1, 1500)}, /*sync=*/false).ok());
  Bytes torn = disk_.content(segment(1));
  torn.replace(1536, 512, 512, '\0');
  disk_.put(segment(1), torn);
  const Recovered recovered = reopen(sealed());
  EXPECT_EQ(recovered.entries, entries(1, 2));
  EXPECT_GT(recovered.torn_tail.cut_bytes, 0U);
  EXPECT_EQ(disk_.content(segment(1)), before) << "cut, and synced";
  append(entries(3, 1, 2));
  EXPECT_EQ(reopen(sealed()).last_index, Index(3));
}

TEST_F(SealedLog, IsRefusedWithoutItsKeyOrWithAnotherAndLeftAlone) {
  create(sealed());
  append(entries(1, 2));
  const Bytes before = disk_.content(segment(1));
  EXPECT_TRUE(contains(says(small()), "--encryption-key-file"));
  Options other = sealed();
  other.key = crypto::sealing_key(crypto::Key256(Bytes(32, 'e')), "wal");
  EXPECT_TRUE(absl::IsFailedPrecondition(open_error(other)));
  EXPECT_TRUE(contains(says(other), crypto::short_hex(kKey.id)));
  // The right ID, the wrong key.
  other.key->id = kKey.id;
  EXPECT_TRUE(absl::IsDataLoss(open_error(other)));
  EXPECT_EQ(disk_.content(segment(1)), before);
}

TEST_F(SealedLog, APlainLogIsRefusedUnlessItIsToBeSealed) {
  create();
  append(entries(1, 3));
  EXPECT_TRUE(absl::IsDataLoss(open_error(sealed())));
  EXPECT_EQ(reopen(sealed(/*seal_plain=*/true)).entries, entries(1, 3));
  EXPECT_FALSE(on_disk(entries(1, 3).front().data));
  EXPECT_EQ(reopen(sealed()).entries, entries(1, 3)) << "all of it is sealed";
}

TEST_F(SealedLog, SealingKeepsEverythingAfterTheSnapshotMarkerThoughTheStateHasMore) {
  create();
  for (std::uint64_t i = 1; i <= 40; ++i) append(entries(i, 1, 1, 300));
  append({}, hard_state(1, 40), SnapshotMarker{snapshot(10), false});
  Options after = sealed(/*seal_plain=*/true);
  after.entries_after = Index(30);
  EXPECT_EQ(reopen(after).entries, entries(31, 10, 1, 300));
  append(entries(41, 1, 1, 300));
  const Recovered all = reopen(sealed());
  EXPECT_EQ(all.entries, entries(11, 31, 1, 300));
  EXPECT_EQ(all.snapshot, snapshot(10));
  EXPECT_EQ(all.hard_state, hard_state(1, 40));
}

TEST_F(SealedLog, APlainSegmentAfterASealedOneIsRefused) {
  create(sealed());
  append(entries(1, 2));
  Bytes forged(kSmallSegmentBytes, '\0');
  encode_segment_header({2, kMarker, kIdentity, std::nullopt}, forged.data());
  disk_.put(segment(2), forged);
  EXPECT_TRUE(contains(says(sealed(true)), "the segment is plain"));
}

TEST_F(SealedLog, SealsAreFoundWithoutTheKey) {
  EXPECT_TRUE(find_seals(disk_, kDirectory).value().key_ids.empty());
  create(sealed());
  const LogSeals found = find_seals(disk_, kDirectory).value();
  EXPECT_FALSE(found.has_plain);
  EXPECT_EQ(found.key_ids, (std::vector<crypto::KeyId>{kKey.id}));
}

}  // namespace
}  // namespace holdfast::wal
