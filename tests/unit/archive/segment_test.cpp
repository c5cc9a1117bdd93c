#include "datastore/archive/segment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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
    EXPECT_TRUE(writer.add(batch.known_at_ms, batch.entries).ok());
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
  const std::vector<Batch> batches = {{100, {entry(5, 2), entry(6, 2, "")}},
                                      {90, {entry(7, 3, Bytes(70000, 'x'))}}};
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
  }
  EXPECT_FALSE((*reader->next()).has_value());
}

TEST(Segment, ItsNameSaysWhatItHolds) {
  SegmentWriter writer(kJoint);
  EXPECT_TRUE(writer.empty());
  ASSERT_TRUE(writer.add(1, {entry(5, 2), entry(6, 2)}).ok());
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
  EXPECT_TRUE(absl::IsInvalidArgument(writer.add(1, {entry(6, 2)})));
  EXPECT_TRUE(absl::IsInvalidArgument(writer.add(1, {entry(5, 1)})));
  EXPECT_TRUE(absl::IsInvalidArgument(writer.add(1, {entry(5, 2), entry(7, 2)})));
  EXPECT_TRUE(writer.empty());
  EXPECT_TRUE(writer.add(1, {entry(5, 2)}).ok());
  EXPECT_TRUE(read_all(writer.finish()).ok());
}

TEST(Segment, EveryChangedByteIsFound) {
  const Bytes good = segment_of({{100, {entry(5, 2), entry(6, 2)}}});
  ASSERT_TRUE(read_all(good).ok());
  for (std::size_t i = 0; i < good.size(); ++i) {
    Bytes bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x40);
    EXPECT_FALSE(read_all(bad).ok()) << "byte " << i;
  }
}

TEST(Segment, EveryCutIsFound) {
  const Bytes good = segment_of({{100, {entry(5, 2), entry(6, 2)}}});
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_TRUE(absl::IsDataLoss(read_all(BytesView(good).substr(0, size)))) << size;
  }
}

TEST(Segment, ANewerFormatIsRefusedByName) {
  Bytes bytes = segment_of({{100, {entry(5, 2)}}});
  bytes[8] = 2;
  const absl::Status status = read_all(bytes);
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("version 2"));
}

}  // namespace
}  // namespace holdfast::archive
