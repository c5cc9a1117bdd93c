#include "datastore/storage/sealed_disk.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>

#include "datastore/base/prng.h"
#include "datastore/crypto/aead.h"
#include "tests/unit/wal/fault_disk.h"

namespace holdfast::storage {
namespace {

using Open = ports::Disk::Open;

const crypto::SealingKey kKey = crypto::sealing_key(crypto::Key256(Bytes(32, 'd')), "spool");
constexpr char kPath[] = "snap/0000000000000007.snap.db";

class SealedDiskTest : public testing::Test {
 protected:
  void write(BytesView bytes, std::size_t step, std::size_t sync_every = 3) {
    auto file = sealed_.open(kPath, Open::kCreate);
    ASSERT_TRUE(file.ok()) << file.status();
    std::size_t steps = 0;
    for (std::size_t at = 0; at < bytes.size(); at += step) {
      const BytesView piece = bytes.substr(at, step);
      ASSERT_TRUE((*file)->write(at, {&piece, 1}).ok());
      if (++steps % sync_every != 0) continue;
      ASSERT_TRUE((*file)->sync().ok());
    }
    ASSERT_TRUE((*file)->sync().ok());
  }
  absl::StatusOr<Bytes> read(std::uint64_t offset, std::size_t size) {
    const auto file = sealed_.open(kPath, Open::kRead);
    if (!file.ok()) return file.status();
    Bytes out;
    if (absl::Status status = (*file)->read(offset, size, out); !status.ok()) return status;
    return out;
  }

  wal::FaultDisk disk_;
  SealedDisk sealed_{disk_, kKey};
};

TEST_F(SealedDiskTest, GivesBackWhatWasWrittenFromWhereverOneReads) {
  const Bytes text = crypto::random_bytes(300'000);
  write(text, 7001);
  EXPECT_EQ(*read(0, 1'000'000), text);
  EXPECT_EQ(*(*sealed_.open(kPath, Open::kRead))->size(), text.size());
  Prng dice(1);
  for (int i = 0; i < 200; ++i) {
    const std::size_t at = dice.below(text.size() + 10);
    const std::size_t size = dice.below(150'000);
    EXPECT_EQ(*read(at, size), at < text.size() ? text.substr(at, size) : Bytes()) << at;
  }
}

TEST_F(SealedDiskTest, AWholeNumberOfPiecesAndNothingAtAllAreFilesToo) {
  const Bytes text(std::size_t{2} * 65536, 't');
  write(text, 65536);
  EXPECT_EQ(*read(0, 1'000'000), text);
  ASSERT_TRUE(disk_.remove(kPath).ok());
  write({}, 1);
  EXPECT_EQ(*read(0, 100), "");
}

TEST_F(SealedDiskTest, ShowsNothingAndNeverSealsTwoTextsWithOneNonce) {
  std::map<std::pair<Bytes, std::uint64_t>, Bytes> known;  // piece and count of writings
  disk_.on_write = [&](BytesView, std::uint64_t offset, BytesView bytes) {
    EXPECT_EQ(bytes.find("plain"), BytesView::npos);
    if (offset == 0) return;
    const auto [at, fresh] = known.try_emplace({Bytes(bytes.substr(0, 4)), offset}, bytes);
    EXPECT_EQ(at->second, bytes);
  };
  Bytes text;
  while (text.size() < 200'000) text += "plain";
  write(text, 1003, 1);
  EXPECT_GT(known.size(), 150U);
}

TEST_F(SealedDiskTest, ChangedBytesAnotherKeyAndPlainFilesAreRefused) {
  write(Bytes(100'000, 't'), 4096);
  const Bytes good = disk_.content(kPath);
  for (std::size_t at = 0; at < good.size(); at += at < 200 ? 1 : 997) {
    Bytes changed = good;
    changed[at] = static_cast<char>(changed[at] ^ 4);
    disk_.put(kPath, changed);
    EXPECT_FALSE(read(0, 100'000).ok()) << at;
  }
  disk_.put(kPath, good);
  const crypto::SealingKey other = crypto::sealing_key(crypto::Key256(Bytes(32, 'e')), "spool");
  EXPECT_FALSE(SealedDisk(disk_, other).open(kPath, Open::kRead).ok());
  disk_.put(kPath, Bytes(100'000, 'p'));
  EXPECT_TRUE(absl::IsDataLoss(sealed_.open(kPath, Open::kRead).status()));
  EXPECT_TRUE(absl::IsUnimplemented(sealed_.map(kPath).status()));
}

TEST_F(SealedDiskTest, PlainStatesAreSealedWhereTheyAreOnce) {
  const Bytes text(100'000, 'p');
  disk_.put(kPath, text);
  disk_.put(std::string(kPath) + ".3.tmp", "half");
  disk_.put("snap/else", "kept");
  EXPECT_EQ(seal_received_states(disk_, "snap", kKey)->size(), 1U);
  EXPECT_EQ(*read(0, 200'000), text);
  EXPECT_EQ(disk_.list("snap")->size(), 2U);
  EXPECT_EQ(disk_.content(kPath).find("ppp"), Bytes::npos);
  EXPECT_TRUE(seal_received_states(disk_, "snap", kKey)->empty());
}

}  // namespace
}  // namespace holdfast::storage
