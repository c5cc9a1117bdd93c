#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "datastore/base/bytes.h"
#include "datastore/ports/kv_backend.h"

struct MDB_env;
struct MDB_txn;

namespace holdfast::storage {

class HolePuncher;

/// The engine on disk: one LMDB file (FORMAT.md), committed with full sync, read through its map.
///
/// Owns the file, its exclusive lock and a pool of reset read transactions. commit(), reclaim() and
/// compact_step() belong to one thread at a time; begin_read() and sizes() to any; each BackendRead
/// to one thread at a time. Every BackendRead and cursor must be gone before the backend is.
/// Never caches values, never retries, never changes a file it does not understand.
class LmdbBackend final : public ports::KvBackend {
 public:
  struct Options {
    /// Holds data.mdb; created, with its parents, if missing (mode 0700).
    std::string directory;
    /// Address space for the map, and so the bound of the store's size. Takes no memory.
    std::uint64_t map_bytes = std::uint64_t{64} << 30;
    /// Read transactions open at once.
    std::uint32_t max_readers = 1024;
    /// Opens an existing store for reading only; commit() and reclaim() then fail.
    bool read_only = false;
    /// --unsafe-no-fsync: a power loss may destroy the store.
    bool unsafe_no_fsync = false;
    /// Free pages that reclaim() leaves allocated: LMDB reuses them without asking the file system.
    std::uint64_t reserve_bytes = std::uint64_t{4} << 20;
  };

  /// Opens or creates the store and checks it cheaply: both meta pages, the file's length, the
  /// format record, the ten buckets and the newest revision's checksum.
  /// Errors, each saying what to do: FailedPrecondition (in use by another process; newer format;
  /// unknown cipher), DataLoss (damaged, cut off, not a store), NotFound (read-only and missing),
  /// PermissionDenied, ResourceExhausted.
  static absl::StatusOr<std::unique_ptr<LmdbBackend>> open(const Options& options);
  ~LmdbBackend() override;
  LmdbBackend(const LmdbBackend&) = delete;
  LmdbBackend& operator=(const LmdbBackend&) = delete;

  absl::Status commit(absl::Span<const ports::BackendWrite> writes) override;
  absl::StatusOr<std::unique_ptr<ports::BackendRead>> begin_read() override;
  /// Allocated: what `du` says. Used: pages in use, counted once per commit.
  ports::BackendSizes sizes() const override;
  /// Punches pages that are free in both meta pages and for every reader out of the file. Holds
  /// LMDB's write lock meanwhile; readers go on. Unimplemented if the file system has no holes.
  absl::StatusOr<std::uint64_t> reclaim(std::uint64_t max_bytes) override;

  /// As the port has it; at most 4 MiB, and only where a third of the pages would become free.
  absl::StatusOr<Bytes> compact_step(ports::Bucket bucket, BytesView from,
                                     std::size_t max_entries) override;

  /// Reads every entry of every bucket and checks its checksum; the first that is wrong, or OK.
  absl::Status verify();

  const std::string& path() const { return path_; }

 private:
  friend class LmdbRead;
  using Databases = std::array<unsigned, ports::kBucketCount>;

  LmdbBackend(const Options& options, std::string path);

  absl::Status lock_file();
  absl::Status inspect_file();
  absl::Status open_environment();
  absl::Status open_databases();
  absl::Status cut_off() const;
  absl::Status check_missing_pages();
  absl::Status check_newest_revision();
  absl::StatusOr<MDB_txn*> acquire_read();
  void release_read(MDB_txn* txn);
  absl::Status error(int code, std::string_view operation) const;

  const Options options_;
  const std::string path_;
  int fd_ = -1;
  std::uint64_t missing_from_page_ = 0;
  MDB_env* env_ = nullptr;
  std::uint32_t page_bytes_ = 0;
  Databases databases_{};
  std::unique_ptr<HolePuncher> puncher_;

  std::mutex pool_mutex_;  // guards idle_reads_
  std::vector<MDB_txn*> idle_reads_;
  std::atomic<std::int64_t> open_reads_{0};

  // Counts what changes sizes(); the cache is valid for the generation it names.
  std::atomic<std::uint64_t> generation_{1};
  mutable std::mutex sizes_mutex_;  // guards the two below
  mutable std::uint64_t sizes_generation_ = 0;
  mutable ports::BackendSizes sizes_;
};

}  // namespace holdfast::storage
