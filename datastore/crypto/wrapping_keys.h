#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "datastore/base/bytes.h"
#include "datastore/crypto/digest.h"
#include "datastore/crypto/key256.h"

/// The file of --encryption-key-file: the keys that open a data directory's own key.
///
///     # 2026-11, the one in use
///     9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
///     # 2026-05, until every member has taken the first into use
///     YDA64BijvJ7VRHr1ZkKpRy6fnmQy0tYJDkAGCQ4dqhw=
///
/// One key of 256 bits a line, as 64 hex digits or in base64; blank lines and those that begin with
/// '#' say nothing. The first wraps, all of them open.
namespace holdfast::crypto {

inline constexpr std::size_t kMaxKeyFileBytes = std::size_t{64} << 10;
inline constexpr std::size_t kMaxWrappingKeys = 64;

/// The keys in `text`, in its order; at least one, no two the same. `path` is for messages.
/// Errors: InvalidArgument that names file and line, never what stands there.
absl::StatusOr<std::vector<Key256>> parse_wrapping_keys(BytesView text, const std::string& path);

struct KeyFile {
  std::vector<Key256> keys;
  /// Of its bytes: another means that the file has changed.
  Sha256Digest digest;
  /// Everybody on the machine may read it.
  bool open_to_all = false;
};

/// Errors: InvalidArgument, as above or when it can't be read.
absl::StatusOr<KeyFile> read_key_file(const std::string& path);

}  // namespace holdfast::crypto
