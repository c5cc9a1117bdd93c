#include "datastore/archive/segment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "datastore/crypto/digest.h"

namespace holdfast::archive {
namespace {

using testing::HasSubstr;

raft::Entry entry(std::uint64_t index, std::uint64_t term, Bytes data = "data") {
  return {Term(term), Index(index), raft::EntryType::kNormal, std::move(data)};
}

const Joint kJoint{ClusterId(7), Index(4), Term(2)};

Bytes segment_of(const std::vector<Batch>& batches) {
  SegmentWriter writer(kJoint);
  for (const Batch& batch : batches) {
    EXPECT_TRUE(writer.add(batch.known_at_ms, batch.before, batch.entries).ok());
  }
  return writer.finish();
}

/// The first thing that is wrong.
absl::Status read_all(BytesView bytes) {
  absl::StatusOr<SegmentReader> reader = SegmentReader::open(bytes);
  if (!reader.ok()) return reader.status();
  while (true) {
    const auto batch = reader->next();
    if (!batch.ok()) return batch.status();
    if (!batch->has_value()) return absl::OkStatus();
  }
}

TEST(Segment, WhatWasWrittenIsRead) {
  const std::vector<Batch> batches = {{100, {entry(5, 2), entry(6, 2, "")}, {80, 9}},
                                      {90, {entry(7, 3, Bytes(70000, 'x'))}, {120, 11}}};
  const Bytes bytes = segment_of(batches);
  auto reader = SegmentReader::open(bytes);
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_EQ(reader->joint().cluster, kJoint.cluster);
  EXPECT_EQ(reader->joint().index, kJoint.index);
  EXPECT_EQ(reader->joint().term, kJoint.term);
  for (std::size_t i = 0; i < batches.size(); ++i) {
    const auto batch = reader->next();
    ASSERT_TRUE(batch.ok() && batch->has_value()) << batch.status();
    EXPECT_EQ((*batch)->entries, batches[i].entries);
    EXPECT_EQ((*batch)->known_at_ms, 100) << "times never fall";
    EXPECT_EQ((*batch)->before.until_ms, i == 0 ? 80 : 100) << "nothing is held of the future";
    EXPECT_EQ((*batch)->before.revision, i == 0 ? 9 : 11);
  }
  EXPECT_FALSE((*reader->next()).has_value());
}

TEST(Segment, ItsNameSaysWhatItHolds) {
  SegmentWriter writer(kJoint);
  EXPECT_TRUE(writer.empty());
  ASSERT_TRUE(writer.add(1, {}, {entry(5, 2), entry(6, 2)}).ok());
  EXPECT_FALSE(writer.empty());
  const std::string name = writer.name().str();
  EXPECT_EQ(name, "0000000000000005-0000000000000006.entries");
  const auto parsed = SegmentName::parse(name);
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->first, Index(5));
  EXPECT_EQ(parsed->last, Index(6));
}

TEST(Segment, OtherNamesAreNone) {
  for (const char* name :
       {"", "5-6.entries", "0000000000000005-0000000000000006",
        "0000000000000006-0000000000000005.entries", "0000000000000000-0000000000000005.entries",
        "000000000000000A-000000000000000B.entries",
        "0000000000000005-0000000000000006.entries.part",
        "+000000000000005-0000000000000006.entries"}) {
    EXPECT_FALSE(SegmentName::parse(name).has_value()) << name;
  }
}

TEST(Segment, EntriesThatDoNotGoOnAreRefusedAndChangeNothing) {
  SegmentWriter writer(kJoint);
  EXPECT_TRUE(absl::IsInvalidArgument(writer.add(1, {}, {entry(6, 2)})));
  EXPECT_TRUE(absl::IsInvalidArgument(writer.add(1, {}, {entry(5, 1)})));
  EXPECT_TRUE(absl::IsInvalidArgument(writer.add(1, {}, {entry(5, 2), entry(7, 2)})));
  EXPECT_TRUE(writer.empty());
  EXPECT_TRUE(writer.add(1, {}, {entry(5, 2)}).ok());
  EXPECT_TRUE(read_all(writer.finish()).ok());
}

TEST(Segment, EveryChangedByteIsFound) {
  const Bytes good = segment_of({{100, {entry(5, 2), entry(6, 2)}, {}}});
  ASSERT_TRUE(read_all(good).ok());
  for (std::size_t i = 0; i < good.size(); ++i) {
    Bytes bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x40);
    EXPECT_FALSE(read_all(bad).ok()) << "byte " << i;
  }
}

TEST(Segment, EveryCutIsFound) {
  const Bytes good = segment_of({{100, {entry(5, 2), entry(6, 2)}, {}}});
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_TRUE(absl::IsDataLoss(read_all(BytesView(good).substr(0, size)))) << size;
  }
}

/// `bytes` with other bytes in the middle, and a digest that is right.
Bytes resealed(Bytes bytes) {
  crypto::Sha256 sum;
  sum.update(bytes);
  const crypto::Sha256Digest digest = sum.finish();
  return bytes.append(digest.data(), digest.size());
}

TEST(Segment, TheFirstFormatSaysNothingOfWhatIsHeld) {
  constexpr std::size_t kHeldAt = 40 + 8;
  const Bytes now = segment_of({{100, {entry(5, 2)}, {80, 9}}});
  Bytes then = now.substr(0, kHeldAt) + now.substr(kHeldAt + 16, now.size() - kHeldAt - 16 - 32);
  then[8] = 1;
  then = resealed(then);
  auto reader = SegmentReader::open(then);
  ASSERT_TRUE(reader.ok()) << reader.status();
  const auto batch = reader->next();
  ASSERT_TRUE(batch.ok() && batch->has_value()) << batch.status();
  EXPECT_EQ((*batch)->entries, std::vector<raft::Entry>{entry(5, 2)});
  EXPECT_EQ((*batch)->before, (Held{100, 0}));
}

TEST(Segment, ABatchThatHoldsTheFutureMakesNoSense) {
  Bytes bytes = segment_of({{100, {entry(5, 2)}, {80, 9}}});
  bytes.resize(bytes.size() - 32);
  bytes[40 + 8] = 101;
  EXPECT_TRUE(absl::IsDataLoss(read_all(resealed(bytes))));
}

TEST(Segment, ANewerFormatIsRefusedByName) {
  Bytes bytes = segment_of({{100, {entry(5, 2)}, {}}});
  bytes[8] = 3;
  const absl::Status status = read_all(bytes);
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("version 3"));
}

}  // namespace
}  // namespace holdfast::archive
