#include "operator/backup/manifest.h"

#include <string>

#include "gtest/gtest.h"
#include "operator/backup/verdict.h"

namespace holdfast::backup {
namespace {

Manifest full() {
  Manifest manifest;
  manifest.object = "nightly-0a1b2c3d.db.sealed";
  manifest.size_bytes = 5'000'000'000;
  manifest.sha256 = std::string(64, 'a');
  manifest.snapshot_size_bytes = 4'999'999'000;
  manifest.snapshot_sha256 = std::string(64, 'b');
  manifest.ns = "apps";
  manifest.cluster = "db";
  manifest.cluster_id = "cdf818194e3a8c32";
  manifest.member = "db-1";
  manifest.version = "0.1.0";
  manifest.revision = 77;
  manifest.hash = 4'000'000'000U;
  manifest.compact_revision = 12;
  manifest.taken_at = absl::FromUnixSeconds(1'795'000'000);
  manifest.key_id = "0011223344556677";
  return manifest;
}

TEST(ManifestTest, ComesBackAsItWas) {
  const auto read = read_manifest(write_manifest(full()));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, full());
}

TEST(ManifestTest, WhatIsNoneIsRefusedWithoutAnException) {
  for (const char* text :
       {"", "[]", "{", "null", R"({"formatVersion": 1})", R"({"formatVersion": "1"})",
        R"({"formatVersion": 0, "object": "x", "sha256": 7})", "\xff\xfe"}) {
    EXPECT_TRUE(absl::IsDataLoss(read_manifest(text).status())) << text;
  }
  EXPECT_TRUE(absl::IsFailedPrecondition(read_manifest(R"({"formatVersion": 2})").status()));
}

TEST(VerdictTest, FitsIntoATerminationMessageAndComesBack) {
  Verdict verdict;
  verdict.succeeded = true;
  verdict.leftover = true;
  verdict.reason = "Stored";
  verdict.message = "fine";
  verdict.manifest = full();
  verdict.restore_seconds = 1.5;
  EXPECT_EQ(read_verdict(write_verdict(verdict)), verdict);
  verdict.message = std::string(100'000, '"');  // each becomes two bytes
  EXPECT_LT(write_verdict(verdict).size(), 4096U);
}

TEST(VerdictTest, OtherTextIsNone) {
  for (const char* text : {"", "killed", "{}", "[1]", R"({"reason": "x"})"}) {
    EXPECT_FALSE(read_verdict(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace holdfast::backup
