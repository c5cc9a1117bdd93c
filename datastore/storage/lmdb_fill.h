#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datastore/ports/kv_backend.h"
#include "datastore/storage/lmdb_environment.h"
#include "datastore/storage/lmdb_write.h"

namespace holdfast::storage {

/// Fills a new LMDB file with the content that is to become the store. Commits as it goes, each
/// time a bounded amount and unsynced, for nobody reads the file before it is whole: so memory
/// stays at a few MiB however much there is. Not finished, the file is of no use to anybody.
class LmdbFill final : public ports::BackendFill {
 public:
  /// Makes the file at `draft` anew. Errors: lmdb_error's.
  static absl::StatusOr<std::unique_ptr<LmdbFill>> begin(const std::string& draft,
                                                         const LmdbOptions& options);
  ~LmdbFill() override;
  LmdbFill(const LmdbFill&) = delete;
  LmdbFill& operator=(const LmdbFill&) = delete;

  absl::Status add(ports::Bucket bucket, BytesView key, BytesView value) override;
  /// Makes all of it durable (unless the options say not to) and closes the file.
  absl::Status finish();

 private:
  LmdbFill(std::string draft, bool sync) : draft_(std::move(draft)), sync_(sync) {}

  absl::Status open(const LmdbOptions& options);
  absl::Status commit();

  const std::string draft_;
  const bool sync_;
  MDB_env* env_ = nullptr;
  LmdbEnvironment::Databases databases_{};
  /// Null for a plain file.
  std::unique_ptr<RunKeys> keys_;
  std::unique_ptr<FileSeal> seal_;
  std::optional<LmdbWrite> write_;
  std::size_t uncommitted_bytes_ = 0;
  std::array<Bytes, ports::kBucketCount> last_keys_;
};

}  // namespace holdfast::storage
