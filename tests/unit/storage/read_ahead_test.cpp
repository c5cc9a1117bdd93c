#include "datastore/storage/read_ahead.h"

#include <cstdint>
#include <map>

#include "gtest/gtest.h"

namespace holdfast::storage {
namespace {

constexpr std::uintptr_t kPiece = ReadAhead::kPieceBytes;
constexpr std::uintptr_t kPage = 4096;
constexpr std::uintptr_t kMap = 1000 * kPiece;

/// How often each piece was asked for.
std::map<std::uintptr_t, int> asked;

class ReadAheadTest : public testing::Test {
 protected:
  ReadAheadTest() { asked.clear(); }

  void pass(std::uintptr_t at) {
    read_ahead_.pass(
        reinterpret_cast<const void*>(kMap + at));  // NOLINT(performance-no-int-to-ptr)
  }
  static bool is_asked_for(std::uintptr_t piece) { return asked.contains(kMap + piece * kPiece); }

  ReadAhead read_ahead_{[](std::uintptr_t begin, std::size_t bytes) {
    EXPECT_EQ(bytes, kPiece);
    ++asked[begin];
  }};
};

TEST_F(ReadAheadTest, AShortWalkReadsNothingMore) {
  for (std::uintptr_t at = 0; at < kPiece; at += kPage) pass(at);
  EXPECT_TRUE(asked.empty());
}

TEST_F(ReadAheadTest, ALongWalkFindsEachPieceAskedForOnce) {
  constexpr std::uintptr_t kPieces = 100;
  for (std::uintptr_t at = 0; at < kPieces * kPiece; at += kPage) {
    if (at >= 2 * kPiece) {
      EXPECT_TRUE(is_asked_for(at / kPiece)) << at;
    }
    pass(at);
  }
  EXPECT_TRUE(is_asked_for(kPieces - 1 + ReadAhead::kMaxPiecesAhead));
  EXPECT_FALSE(is_asked_for(kPieces + ReadAhead::kMaxPiecesAhead));
  for (const auto& [begin, times] : asked) EXPECT_EQ(times, 1) << begin;
}

TEST_F(ReadAheadTest, AWalkThatJumpsAsksForWhereItComesTo) {
  pass(0);
  pass(500 * kPiece);
  EXPECT_TRUE(is_asked_for(500));
  pass(20 * kPiece);
  pass(500 * kPiece + kPage);
  EXPECT_TRUE(is_asked_for(20));
  EXPECT_EQ(asked[kMap + 500 * kPiece], 1);
}

}  // namespace
}  // namespace holdfast::storage
