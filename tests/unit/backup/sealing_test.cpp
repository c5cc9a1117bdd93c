#include "operator/backup/sealing.h"

#include <string>

#include "gtest/gtest.h"
#include "operator/backup/snapshot_digest.h"

namespace holdfast::backup {
namespace {

const Bytes kSalt(32, 's');

SealingKey key_of(char byte) {
  return *SealingKey::parse(std::string(32, byte));
}

Bytes seal(BytesView plain, std::size_t piece_bytes = 70'000) {
  Sealer sealer(key_of('k'), kSalt);
  Bytes out;
  for (std::size_t at = 0; at < plain.size(); at += piece_bytes) {
    out += sealer.update(plain.substr(at, piece_bytes));
  }
  return out + sealer.finish();
}

absl::StatusOr<Bytes> open(BytesView sealed, std::vector<SealingKey> keys = {key_of('k')},
                           std::size_t piece_bytes = 90'001) {
  Opener opener(std::move(keys));
  Bytes out;
  for (std::size_t at = 0; at < sealed.size(); at += piece_bytes) {
    auto plain = opener.update(sealed.substr(at, piece_bytes));
    if (!plain.ok()) return plain.status();
    out += *plain;
  }
  auto rest = opener.finish();
  if (!rest.ok()) return rest.status();
  return out + *rest;
}

Bytes some_bytes(std::size_t size) {
  Bytes out(size, '\0');
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<char>((i * 2654435761U) >> 13);
  return out;
}

TEST(Sealing, OpensWhatWasSealedAtEverySizeAroundAChunk) {
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, kSealChunkBytes - 1, kSealChunkBytes, kSealChunkBytes + 1,
        2 * kSealChunkBytes, 3 * kSealChunkBytes + 17}) {
    const Bytes plain = some_bytes(size);
    const Bytes sealed = seal(plain);
    const auto opened = open(sealed);
    ASSERT_TRUE(opened.ok()) << size << ": " << opened.status();
    EXPECT_EQ(*opened, plain) << size;
    const std::size_t chunks = size == 0 ? 1 : (size + kSealChunkBytes - 1) / kSealChunkBytes;
    EXPECT_EQ(sealed.size(), kSealHeaderBytes + size + chunks * 16) << size;
  }
}

TEST(Sealing, TheHeaderIsWhatTheFormatSays) {
  const Bytes sealed = seal("x");
  EXPECT_TRUE(is_sealed(sealed));
  EXPECT_EQ(sealed.substr(0, 8), "HOLDSEAL");
  EXPECT_EQ(load_le32(sealed.data() + 8), 1U);
  EXPECT_EQ(load_le32(sealed.data() + 12), 1U);
  EXPECT_EQ(load_le64(sealed.data() + 16), kSealChunkBytes);
  EXPECT_EQ(sealed.substr(32, 32), kSalt);
}

TEST(Sealing, AnyChangedByteIsFound) {
  const Bytes sealed = seal(some_bytes(kSealChunkBytes + 100));
  for (const std::size_t at :
       {std::size_t{3}, std::size_t{9}, std::size_t{17}, std::size_t{26}, std::size_t{40},
        std::size_t{64}, std::size_t{70'000}, kSealChunkBytes + 70, sealed.size() - 1}) {
    Bytes changed = sealed;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    EXPECT_FALSE(open(changed).ok()) << at;
  }
}

TEST(Sealing, ACutIsFoundEvenBetweenChunks) {
  const Bytes sealed = seal(some_bytes(2 * kSealChunkBytes));
  const std::size_t chunk = kSealChunkBytes + 16;
  for (const std::size_t size : {std::size_t{0}, std::size_t{30}, kSealHeaderBytes,
                                 kSealHeaderBytes + chunk, sealed.size() - 1}) {
    EXPECT_TRUE(absl::IsDataLoss(open(BytesView(sealed).substr(0, size)).status())) << size;
  }
  // Exchanged and repeated chunks, too.
  const Bytes first = sealed.substr(kSealHeaderBytes, chunk);
  EXPECT_FALSE(open(sealed.substr(0, kSealHeaderBytes) + first + first).ok());
}

TEST(Sealing, AnEarlierKeyOpensAndAMissingOneIsNamed) {
  const Bytes sealed = seal("secret");
  EXPECT_EQ(*open(sealed, {key_of('n'), key_of('k')}), "secret");
  const absl::Status missing = open(sealed, {key_of('n')}).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(missing));
  EXPECT_NE(std::string(missing.message()).find(key_of('k').id()), std::string::npos);
}

TEST(Sealing, KeysComeAsBytesHexOrBase64) {
  const std::string hex(64, '6');  // 0x66 is 'f'
  EXPECT_EQ(SealingKey::parse(hex + "\n")->key().bytes(), std::string(32, 'f'));
  EXPECT_EQ(SealingKey::parse("ZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmY=")->key().bytes(),
            std::string(32, 'f'));
  for (const char* bad : {"", "short", "zz"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(SealingKey::parse(bad).status())) << bad;
  }
}

Bytes snapshot_of(std::size_t blocks) {
  const Bytes data = some_bytes(blocks * 512);
  crypto::Sha256 sum;
  sum.update(data);
  const auto digest = sum.finish();
  return data + Bytes(digest.data(), digest.size());
}

absl::Status digest_says(BytesView stream, std::size_t piece_bytes) {
  SnapshotDigest digest;
  for (std::size_t at = 0; at < stream.size(); at += piece_bytes) {
    digest.update(stream.substr(at, piece_bytes));
  }
  return digest.finish();
}

TEST(SnapshotDigestTest, TakesWholeStreamsInAnyPieces) {
  const Bytes stream = snapshot_of(9);
  for (const std::size_t piece :
       {std::size_t{1}, std::size_t{31}, std::size_t{512}, stream.size()}) {
    EXPECT_TRUE(digest_says(stream, piece).ok()) << piece;
  }
}

TEST(SnapshotDigestTest, RefusesCutAndChangedStreams) {
  const Bytes stream = snapshot_of(9);
  for (const std::size_t size : {std::size_t{0}, std::size_t{32}, stream.size() - 32,
                                 stream.size() - 1, stream.size() - 512}) {
    EXPECT_TRUE(absl::IsDataLoss(digest_says(BytesView(stream).substr(0, size), 100))) << size;
  }
  Bytes changed = stream;
  changed[700] = static_cast<char>(changed[700] ^ 4);
  EXPECT_TRUE(absl::IsDataLoss(digest_says(changed, 4096)));
}

}  // namespace
}  // namespace holdfast::backup
