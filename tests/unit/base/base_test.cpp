#include <gtest/gtest.h>

#include "datastore/base/bytes.h"
#include "datastore/base/check.h"
#include "datastore/base/crc32c.h"
#include "datastore/base/errors.h"
#include "datastore/base/ids.h"
#include "datastore/base/prng.h"

namespace holdfast {
namespace {

TEST(Crc32c, AnswersTheCastagnoliCheckValue) {
  EXPECT_EQ(crc32c(0, "123456789"), 0xE3069283U);
  EXPECT_EQ(crc32c(0, ""), 0U);
}

TEST(Crc32c, ChainsLikeOneCall) {
  EXPECT_EQ(crc32c(crc32c(0, "1234"), "56789"), crc32c(0, "123456789"));
}

TEST(Bytes, FixedWidthIntegersRoundTripInBothOrders) {
  char buffer[8];
  store_be64(buffer, 0x0102030405060708ULL);
  EXPECT_EQ(buffer[0], 1);
  EXPECT_EQ(load_be64(buffer), 0x0102030405060708ULL);
  store_le64(buffer, 0x0102030405060708ULL);
  EXPECT_EQ(buffer[0], 8);
  EXPECT_EQ(load_le64(buffer), 0x0102030405060708ULL);
  store_be32(buffer, 0x01020304U);
  EXPECT_EQ(load_be32(buffer), 0x01020304U);
}

TEST(Ids, OrderAndHashByNumber) {
  EXPECT_LT(Term(1), Term(2));
  EXPECT_EQ(Index(4).next(), Index(5));
  EXPECT_FALSE(static_cast<bool>(MemberId()));
  EXPECT_EQ(std::hash<Index>{}(Index(7)), std::hash<std::uint64_t>{}(7));
}

TEST(Prng, SameSeedSameNumbers) {
  Prng one(7);
  Prng two(7);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(one.next(), two.next());
  EXPECT_LT(one.below(10), 10U);
}

TEST(Errors, CarryEtcdsCodeAndText) {
  EXPECT_EQ(errors::compacted().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(errors::compacted().message(),
            "etcdserver: mvcc: required revision has been compacted");
}

TEST(CheckDeathTest, StopsTheProcessAndNamesTheFact) {
  EXPECT_DEATH(HOLDFAST_CHECK(1 + 1 == 3), "1 \\+ 1 == 3");
}

}  // namespace
}  // namespace holdfast
