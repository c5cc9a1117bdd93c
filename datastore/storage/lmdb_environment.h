#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datastore/crypto/key256.h"
#include "datastore/ports/kv_backend.h"
#include "datastore/storage/free_pages.h"
#include "datastore/storage/value_seal.h"

struct MDB_env;
struct MDB_txn;

namespace holdfast::storage {

struct LmdbOptions {
  /// Holds data.mdb; created, with its parents, if missing (mode 0700).
  std::string directory;
  /// Address space for the map, and so the bound of the store's size. Takes no memory.
  std::uint64_t map_bytes = std::uint64_t{64} << 30;
  /// Read transactions open at once.
  std::uint32_t max_readers = 1024;
  /// Opens an existing store for reading only; commit(), replace() and reclaim() then fail.
  bool read_only = false;
  /// --unsafe-no-fsync: a power loss may destroy the store.
  bool unsafe_no_fsync = false;
  /// Seals what is written, and opens a sealed store: FORMAT.md, Sealed values.
  std::optional<crypto::SealingKey> key;
  /// With a key: a plain store is written anew, sealed, when it is opened. Else it is refused.
  bool seal_plain = false;
  /// Told of the entries that have been sealed by that, now and then.
  std::function<void(std::uint64_t entries)> on_sealing;
  /// Told of each commit, on the thread that made it: how long its entries took, and then to write
  /// and sync them.
  std::function<void(std::chrono::nanoseconds fill, std::chrono::nanoseconds write)> on_commit;
  /// Free pages that reclaim() leaves allocated: LMDB reuses them without asking the file system.
  std::uint64_t reserve_bytes = std::uint64_t{4} << 20;
};

/// One LMDB file while it is open: its exclusive lock, its map, its format and a pool of reset read
/// transactions. A file that was replaced stays open, unlinked, while anybody keeps this.
///
/// begin_read() and sizes() by any thread; the rest by LmdbBackend, on the thread that commits.
class LmdbEnvironment final : public ports::BackendContent,
                              public std::enable_shared_from_this<LmdbEnvironment> {
 public:
  using Databases = std::array<unsigned, ports::kBucketCount>;

  /// Opens `<directory>/data.mdb`, which exists, and checks it: see LmdbBackend::open. `locked_fd`
  /// is the file opened and locked already, and is taken over; -1: to be opened.
  static absl::StatusOr<std::shared_ptr<LmdbEnvironment>> open(const LmdbOptions& options,
                                                               int locked_fd = -1);
  ~LmdbEnvironment() override;
  LmdbEnvironment(const LmdbEnvironment&) = delete;
  LmdbEnvironment& operator=(const LmdbEnvironment&) = delete;

  absl::StatusOr<std::unique_ptr<ports::BackendRead>> begin_read() override;
  ports::BackendSizes sizes() const;

  MDB_env* env() const { return env_; }
  const Databases& databases() const { return databases_; }
  std::uint32_t page_bytes() const { return page_bytes_; }
  const std::string& path() const { return path_; }
  /// The locked file, by a descriptor that LMDB does not know.
  int fd() const { return fd_; }
  /// Null for a store opened for reading only.
  HolePuncher* puncher() const { return puncher_.get(); }
  /// A commit or a reclaim has changed what sizes() tells.
  void sizes_changed() { generation_.fetch_add(1, std::memory_order_release); }

  bool is_read() const { return open_reads() != 0; }
  std::int64_t open_reads() const { return open_reads_.load(std::memory_order_relaxed); }
  /// Null for a plain store.
  const RunKeys* keys() const { return keys_.get(); }
  /// Null for a plain store, and for one opened for reading only.
  FileSeal* seal() const { return seal_.get(); }
  /// Who opens values of a sealed store, from the pool, and back into it.
  std::unique_ptr<ValueOpener> acquire_opener();
  void release_opener(std::unique_ptr<ValueOpener> opener);
  /// A read transaction from the pool, and back into it.
  absl::StatusOr<MDB_txn*> acquire_read();
  void release_read(MDB_txn* txn);

  absl::Status error(int code, std::string_view operation) const;

 private:
  LmdbEnvironment(const LmdbOptions& options, int locked_fd);

  absl::Status check();
  absl::Status lock_file();
  absl::Status inspect_file();
  absl::Status open_environment();
  absl::Status open_databases();
  absl::Status open_seal(MDB_txn* txn, unsigned format_database);
  absl::Status cut_off() const;
  absl::Status check_missing_pages();
  absl::Status check_newest_revision();
  absl::Status check_stored(BytesView revision, BytesView stored) const;

  const LmdbOptions options_;
  const std::string path_;
  int fd_ = -1;
  std::uint64_t missing_from_page_ = 0;
  MDB_env* env_ = nullptr;
  std::uint32_t page_bytes_ = 0;
  Databases databases_{};
  std::unique_ptr<HolePuncher> puncher_;

  std::unique_ptr<RunKeys> keys_;
  std::unique_ptr<FileSeal> seal_;

  std::mutex pool_mutex_;  // guards the two below
  std::vector<MDB_txn*> idle_reads_;
  std::vector<std::unique_ptr<ValueOpener>> idle_openers_;
  std::atomic<std::int64_t> open_reads_{0};

  // Counts what changes sizes(); the cache is valid for the generation it names.
  std::atomic<std::uint64_t> generation_{1};
  mutable std::mutex sizes_mutex_;  // guards the two below
  mutable std::uint64_t sizes_generation_ = 0;
  mutable ports::BackendSizes sizes_;
};

}  // namespace holdfast::storage
