#include "operator/backup/sealing.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "datastore/crypto/digest.h"
#include "operator/api/text.h"

namespace holdfast::backup {
namespace {

constexpr BytesView kMagic = "HOLDSEAL";
constexpr std::uint32_t kVersion = 1;
constexpr std::uint32_t kAes256Gcm = 1;
constexpr BytesView kKeyIdPrefix = "holdfast backup key";
constexpr BytesView kPurpose = "holdfast backup object";

constexpr std::size_t kVersionAt = 8;
constexpr std::size_t kCipherAt = 12;
constexpr std::size_t kChunkBytesAt = 16;
constexpr std::size_t kKeyIdAt = 24;
constexpr std::size_t kKeyIdBytes = 8;
constexpr std::size_t kSaltAt = 32;
constexpr std::size_t kSaltBytes = 32;
static_assert(kSaltAt + kSaltBytes == kSealHeaderBytes);

/// Bytes 0 to 3: 1 for the last chunk, else 0; bytes 4 to 11: its number, big endian.
Bytes nonce_of(std::uint64_t chunk, bool last) {
  Bytes nonce(crypto::AeadContext::kNonceBytes, '\0');
  nonce[3] = last ? 1 : 0;
  store_be64(nonce.data() + 4, chunk);
  return nonce;
}

Bytes make_header(const SealingKey& key, BytesView salt) {
  Bytes header(kSealHeaderBytes, '\0');
  std::copy(kMagic.begin(), kMagic.end(), header.begin());
  store_le32(header.data() + kVersionAt, kVersion);
  store_le32(header.data() + kCipherAt, kAes256Gcm);
  store_le64(header.data() + kChunkBytesAt, kSealChunkBytes);
  const Bytes id = absl::HexStringToBytes(key.id());
  std::copy(id.begin(), id.end(), header.begin() + kKeyIdAt);
  std::copy(salt.begin(), salt.end(), header.begin() + kSaltAt);
  return header;
}

crypto::AeadContext cipher_of(const SealingKey& key, BytesView salt) {
  return crypto::AeadContext(key.key().derive(salt, kPurpose));
}

}  // namespace

SealingKey::SealingKey(const crypto::Key256& key) : key_(key) {
  crypto::Sha256 sum;
  sum.update(kKeyIdPrefix);
  sum.update(key_.bytes());
  const crypto::Sha256Digest digest = sum.finish();
  id_ = absl::BytesToHexString(absl::string_view(digest.data(), kKeyIdBytes));
}

absl::StatusOr<SealingKey> SealingKey::parse(std::string_view text) {
  if (text.size() == crypto::Key256::kBytes) return SealingKey(crypto::Key256(text));
  const absl::string_view trimmed = absl::StripAsciiWhitespace(api::to_absl(text));
  if (const auto key = crypto::Key256::parse({trimmed.data(), trimmed.size()})) {
    return SealingKey(*key);
  }
  return absl::InvalidArgumentError(
      "the sealing key must be 32 bytes, or 64 hexadecimal digits or Base64 of them: make one with "
      "`openssl rand -hex 32`");
}

Sealer::Sealer(const SealingKey& key, BytesView salt)
    : header_(make_header(key, salt)), cipher_(cipher_of(key, salt)) {
}

Bytes Sealer::seal_chunk(BytesView plain, bool last) {
  Bytes sealed(plain.size() + crypto::AeadContext::kTagBytes, '\0');
  cipher_.seal(nonce_of(next_chunk_++, last), header_, plain, sealed.data());
  return sealed;
}

Bytes Sealer::update(BytesView plain) {
  Bytes out;
  if (!std::exchange(header_given_, true)) out = header_;
  pending_.append(plain);
  // A full chunk is held back until something follows: only then is it not the last.
  std::size_t taken = 0;
  for (; pending_.size() - taken > kSealChunkBytes; taken += kSealChunkBytes) {
    out += seal_chunk(BytesView(pending_).substr(taken, kSealChunkBytes), false);
  }
  pending_.erase(0, taken);
  return out;
}

Bytes Sealer::finish() {
  Bytes out;
  if (!std::exchange(header_given_, true)) out = header_;
  return out + seal_chunk(std::exchange(pending_, {}), true);
}

absl::Status Opener::read_header() {
  header_ = pending_.substr(0, kSealHeaderBytes);
  pending_.erase(0, kSealHeaderBytes);
  if (!is_sealed(header_)) return absl::DataLossError("it is no sealed backup");
  if (load_le32(header_.data() + kVersionAt) != kVersion ||
      load_le32(header_.data() + kCipherAt) != kAes256Gcm) {
    return absl::DataLossError(
        "it was sealed by a newer release, in a way that this one can't open");
  }
  const std::uint64_t chunk_bytes = load_le64(header_.data() + kChunkBytesAt);
  if (chunk_bytes == 0 || chunk_bytes > kMaxSealChunkBytes) {
    return absl::DataLossError("the header of the sealed backup is damaged");
  }
  chunk_bytes_ = static_cast<std::size_t>(chunk_bytes);
  const BytesView header = header_;
  const std::string id = absl::BytesToHexString(api::to_absl(header.substr(kKeyIdAt, kKeyIdBytes)));
  for (const SealingKey& key : keys_) {
    if (key.id() != id) continue;
    cipher_.emplace(cipher_of(key, header.substr(kSaltAt, kSaltBytes)));
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      api::str_cat("it was sealed with key ", id, ", which is not in the Secret: add that key"));
}

absl::Status Opener::open_chunk(BytesView sealed, bool last, Bytes& out) {
  constexpr std::size_t kTagBytes = crypto::AeadContext::kTagBytes;
  const std::size_t before = out.size();
  const bool long_enough = sealed.size() >= kTagBytes;
  if (long_enough) out.resize(before + sealed.size() - kTagBytes);
  if (!long_enough ||
      !cipher_->open(nonce_of(next_chunk_, last), header_, sealed, out.data() + before)) {
    out.resize(before);
    return absl::DataLossError(api::str_cat("chunk ", next_chunk_,
                                            " of the sealed backup: it was changed, or sealed by "
                                            "another key"));
  }
  ++next_chunk_;
  return absl::OkStatus();
}

absl::StatusOr<Bytes> Opener::update(BytesView sealed) {
  pending_.append(sealed);
  if (!cipher_) {
    if (pending_.size() < kSealHeaderBytes) return Bytes();
    if (absl::Status status = read_header(); !status.ok()) return status;
  }
  const std::size_t size = chunk_bytes_ + crypto::AeadContext::kTagBytes;
  Bytes out;
  std::size_t taken = 0;
  for (; pending_.size() - taken > size; taken += size) {
    const BytesView chunk = BytesView(pending_).substr(taken, size);
    if (absl::Status status = open_chunk(chunk, false, out); !status.ok()) return status;
  }
  pending_.erase(0, taken);
  return out;
}

absl::StatusOr<Bytes> Opener::finish() {
  if (!cipher_) return absl::DataLossError("the sealed backup is cut within its header");
  Bytes out;
  if (absl::Status status = open_chunk(pending_, true, out); !status.ok()) return status;
  return out;
}

bool is_sealed(BytesView beginning) {
  return beginning.substr(0, kMagic.size()) == kMagic;
}

}  // namespace holdfast::backup
