#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "datastore/base/bytes.h"
#include "datastore/crypto/digest.h"

namespace holdfast::backup {

/// Follows a snapshot's stream and tells whether it is whole: its last 32 bytes are the SHA-256 of
/// all before them, and those are whole blocks of 512. One thread.
class SnapshotDigest {
 public:
  void update(BytesView bytes);
  /// Ends it; once. Errors: DataLoss for a stream that is cut or changed.
  absl::Status finish();

 private:
  crypto::Sha256 sum_;
  Bytes tail_;  // not summed yet: it may be the digest
  std::int64_t summed_bytes_ = 0;
};

/// SHA-256 and size of what passes.
class ObjectDigest {
 public:
  void update(BytesView bytes);
  std::int64_t size_bytes() const { return size_bytes_; }
  /// Hexadecimal; once.
  std::string finish();

 private:
  crypto::Sha256 sum_;
  std::int64_t size_bytes_ = 0;
};

}  // namespace holdfast::backup
