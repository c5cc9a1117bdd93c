#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datastore/base/bytes.h"
#include "datastore/crypto/aead.h"
#include "datastore/crypto/key256.h"
#include "datastore/ports/kv_backend.h"

/// How values lie in a sealed file: FORMAT.md, Sealed values.
namespace holdfast::storage {

/// Run and counter before the sealed bytes, the tag after them.
inline constexpr std::size_t kSealedFrontBytes = 12;
inline constexpr std::size_t kSealedValueBytes = kSealedFrontBytes + crypto::AeadContext::kTagBytes;
inline constexpr std::size_t kRunSaltBytes = 32;

/// The keys of a file's runs: each process that writes to the file is one. Complete once the file
/// is open; any thread reads it from then on.
class RunKeys {
 public:
  explicit RunKeys(crypto::SealingKey key) : key_(std::move(key)) {}

  const crypto::KeyId& id() const { return key_.id; }
  /// Answers the run's key.
  const crypto::Key256& add(std::uint32_t run, BytesView salt);
  /// Null if the file knows no such run.
  const crypto::Key256* find(std::uint32_t run) const;
  /// 0 if there is none.
  std::uint32_t last() const { return keys_.empty() ? 0 : keys_.rbegin()->first; }

 private:
  const crypto::SealingKey key_;
  std::map<std::uint32_t, crypto::Key256> keys_;
};

/// Opens values of one file. One thread at a time.
class ValueOpener {
 public:
  /// `keys` must outlive it.
  explicit ValueOpener(const RunKeys& keys) : keys_(keys) {}

  /// Writes the value inside what is stored under `key` to `out`, which has kSealedValueBytes less
  /// than `stored`. Errors: DataLoss naming bucket and key when it is too short or was changed.
  absl::Status open(ports::Bucket bucket, BytesView key, BytesView stored, char* out);

 private:
  const RunKeys& keys_;
  std::uint32_t run_ = 0;
  std::unique_ptr<crypto::AeadContext> cipher_;
};

/// Seals values of one file in a run of its own. On the thread that commits.
class ValueSealer {
 public:
  /// Begins the run after the last that `keys` knows, and adds it there.
  explicit ValueSealer(RunKeys& keys);

  std::uint32_t run() const { return run_; }
  BytesView salt() const { return {salt_.data(), salt_.size()}; }
  /// The run stands in the file: before that no value of it may.
  bool recorded() const { return recorded_; }
  void set_recorded() { recorded_ = true; }

  /// Writes the sealed value, kSealedValueBytes more than `value`, to `out`. No two calls use one
  /// nonce, whatever becomes of the commit.
  void seal(ports::Bucket bucket, BytesView key, BytesView value, char* out);

 private:
  const std::uint32_t run_;
  const Bytes salt_;
  crypto::AeadContext cipher_;
  std::uint64_t next_ = 0;
  bool recorded_ = false;
};

/// What a sealed file that is open for writing needs: its keys, and who seals and opens on the
/// thread that commits.
struct FileSeal {
  /// Of a file whose runs, if any, are in `known`.
  explicit FileSeal(RunKeys& keys) : sealer(keys), opener(keys) {}
  ValueSealer sealer;
  ValueOpener opener;
};

}  // namespace holdfast::storage
