#include "datastore/lease/lease_record.h"

#include <gtest/gtest.h>

namespace holdfast::lease {
namespace {

TEST(LeaseRecord, IsEncodedAsTheBucketHoldsIt) {
  const struct {
    LeaseRecord record;
    Bytes bytes;
  } cases[] = {
      {{.id = LeaseId(1), .ttl_seconds = 2}, "\x08\x01\x10\x02"},
      {{.id = LeaseId(300), .ttl_seconds = 60, .remaining_ttl_seconds = 7},
       "\x08\xac\x02\x10\x3c\x18\x07"},
      {{.id = LeaseId(-1), .ttl_seconds = 5},
       Bytes("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x10\x05")},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(encode_lease(c.record), c.bytes);
    const auto decoded = decode_lease(c.bytes);
    ASSERT_TRUE(decoded.ok());
    EXPECT_EQ(*decoded, c.record);
  }
}

TEST(LeaseRecord, KeyIsBigEndian) {
  EXPECT_EQ(lease_key(LeaseId(0x0102030405060708)), "\x01\x02\x03\x04\x05\x06\x07\x08");
}

TEST(LeaseRecord, UnknownFieldsAreSkipped) {
  const auto decoded =
      decode_lease(Bytes("\x08\x01\x22\x03xyz\x2d....\x31........\x38\x05\x10\x02"));
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(*decoded, (LeaseRecord{.id = LeaseId(1), .ttl_seconds = 2}));
}

TEST(LeaseRecord, BrokenBytesAreRefused) {
  for (const BytesView broken : {"\x08", "\x08\xff", "\x22\x7fx", "\x0b\x01",
                                 "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"}) {
    EXPECT_EQ(decode_lease(broken).status().code(), absl::StatusCode::kDataLoss);
  }
}

}  // namespace
}  // namespace holdfast::lease
