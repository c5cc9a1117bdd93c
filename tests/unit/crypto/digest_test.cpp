#include "datastore/crypto/digest.h"

#include <gtest/gtest.h>

#include "absl/strings/escaping.h"

namespace holdfast::crypto {
namespace {

template <class Digest>
std::string hex(const Digest& digest) {
  return absl::BytesToHexString(std::string(digest.data(), digest.size()));
}

TEST(Digest, AnswersTheStandardsTestVectors) {
  EXPECT_EQ(hex(sha1("abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
  Sha256 sum;
  sum.update("a");
  sum.update("bc");
  EXPECT_EQ(hex(sum.finish()), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

}  // namespace
}  // namespace holdfast::crypto
