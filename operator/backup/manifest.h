#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace holdfast::backup {

/// A longer one is not read.
inline constexpr std::size_t kMaxManifestBytes = 64 * 1024;

/// What is known of a stored backup; written last, so that it vouches for the object beside it.
/// FORMAT.md has each field's meaning.
struct Manifest {
  std::string object;
  std::int64_t size_bytes = 0;
  std::string sha256;
  std::int64_t snapshot_size_bytes = 0;
  std::string snapshot_sha256;
  std::string ns;
  std::string cluster;
  std::string cluster_id;
  std::string member;
  std::string version;
  std::int64_t revision = 0;
  /// The snapshot has applied at least this entry of the log; 0: an older producer did not say.
  std::uint64_t log_index = 0;
  std::uint32_t hash = 0;
  std::int64_t compact_revision = 0;
  absl::Time taken_at;
  std::string key_id;  ///< empty: not sealed

  friend bool operator==(const Manifest&, const Manifest&) = default;
};

/// "x.db.manifest.json" of "x.db".
std::string manifest_name(std::string_view object);

std::string write_manifest(const Manifest& manifest);
/// Errors: DataLoss for what is no manifest; FailedPrecondition for one of a newer format.
absl::StatusOr<Manifest> read_manifest(std::string_view text);

}  // namespace holdfast::backup
