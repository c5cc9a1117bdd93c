#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datastore/base/bytes.h"
#include "datastore/crypto/aead.h"
#include "datastore/crypto/key256.h"

/// A stored object that only who has its key can read; FORMAT.md has every byte.
namespace holdfast::backup {

inline constexpr std::size_t kSealHeaderBytes = 64;
inline constexpr std::size_t kSealChunkBytes = std::size_t{1} << 20;
/// Chunks beyond this are no object of ours: memory is bounded by what a header may ask for.
inline constexpr std::size_t kMaxSealChunkBytes = std::size_t{16} << 20;

/// A key of a Secret: 32 bytes. It is known by its ID, which tells nothing about it.
class SealingKey {
 public:
  /// From 32 bytes, or 64 hexadecimal digits or Base64 of them, white space at the end aside.
  /// Errors: InvalidArgument, without a word of what was given.
  static absl::StatusOr<SealingKey> parse(std::string_view text);

  const crypto::Key256& key() const { return key_; }
  /// The first 8 bytes of SHA-256 over "holdfast backup key" and the key, as 16 hexadecimal digits.
  const std::string& id() const { return id_; }

 private:
  explicit SealingKey(const crypto::Key256& key);

  crypto::Key256 key_;
  std::string id_;
};

/// Seals a stream. One thread.
class Sealer {
 public:
  /// `salt`: 32 random bytes, others for each object.
  Sealer(const SealingKey& key, BytesView salt);

  /// What can be stored now: the header first, then whole chunks.
  Bytes update(BytesView plain);
  /// The last chunk. Nothing after it.
  Bytes finish();

 private:
  Bytes seal_chunk(BytesView plain, bool last);

  Bytes header_;
  crypto::AeadContext cipher_;
  Bytes pending_;
  std::uint64_t next_chunk_ = 0;
  bool header_given_ = false;
};

/// Opens what a Sealer made. One thread.
class Opener {
 public:
  /// The key that the object's header names is looked for among these.
  explicit Opener(std::vector<SealingKey> keys) : keys_(std::move(keys)) {}

  /// The plain text that is known to be genuine so far.
  /// Errors: DataLoss for what was changed or is no sealed object; FailedPrecondition names the key
  /// that is missing.
  absl::StatusOr<Bytes> update(BytesView sealed);
  /// The rest. Errors: as update(); DataLoss if the object was cut.
  absl::StatusOr<Bytes> finish();

 private:
  absl::Status read_header();
  absl::Status open_chunk(BytesView sealed, bool last, Bytes& out);

  const std::vector<SealingKey> keys_;
  std::optional<crypto::AeadContext> cipher_;
  Bytes header_;
  std::size_t chunk_bytes_ = 0;
  Bytes pending_;
  std::uint64_t next_chunk_ = 0;
};

/// Whether an object that begins with these bytes is a sealed one.
bool is_sealed(BytesView beginning);

}  // namespace holdfast::backup
