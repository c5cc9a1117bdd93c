#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "datastore/base/bytes.h"
#include "datastore/ports/kv_backend.h"
#include "datastore/storage/lmdb_environment.h"

namespace holdfast::storage {

/// The engine on disk: one LMDB file (FORMAT.md), committed with full sync, read through its map.
///
/// Owns the file that is the store, and those it was before while they are read. commit(),
/// replace(), reclaim() and compact_step() belong to one thread at a time; content(), begin_read()
/// and sizes() to any; each BackendRead to one thread at a time. Every BackendRead and cursor must
/// be gone before the backend is.
/// Never caches values, never retries, never changes a file it does not understand.
class LmdbBackend final : public ports::KvBackend {
 public:
  using Options = LmdbOptions;

  /// Opens or creates the store and checks it cheaply: both meta pages, the file's length, the
  /// format record, the ten buckets and the newest revision's checksum.
  /// A plain store becomes a sealed one if the options say so.
  /// Errors, each saying what to do: FailedPrecondition (in use by another process; newer format;
  /// unknown cipher; sealed, and no key or another one), DataLoss (damaged, cut off, not a store),
  /// NotFound (read-only and missing), PermissionDenied, ResourceExhausted.
  static absl::StatusOr<std::unique_ptr<LmdbBackend>> open(const Options& options);
  ~LmdbBackend() override;
  LmdbBackend(const LmdbBackend&) = delete;
  LmdbBackend& operator=(const LmdbBackend&) = delete;

  absl::Status commit(absl::Span<const ports::BackendWrite> writes) override;
  /// As the port has it. The new content is written to a file beside the store's, in commits of
  /// bounded size, synced, and renamed into its place: the disk holds both meanwhile, memory a few
  /// MiB. The old file goes when nobody reads it any more.
  absl::Status replace(absl::FunctionRef<absl::Status(ports::BackendFill&)> fill) override;
  std::shared_ptr<ports::BackendContent> content() override;
  /// Allocated: what `du` says. Used: pages in use, counted once per commit.
  ports::BackendSizes sizes() const override;
  /// Read transactions open now. Any thread.
  std::int64_t open_reads() const { return environment()->open_reads(); }
  /// Punches pages that are free in both meta pages and for every reader out of the file. Holds
  /// LMDB's write lock meanwhile; readers go on. Unimplemented if the file system has no holes.
  absl::StatusOr<std::uint64_t> reclaim(std::uint64_t max_bytes) override;

  /// As the port has it; at most 4 MiB, and only where a third of the pages would become free.
  absl::StatusOr<Bytes> compact_step(ports::Bucket bucket, BytesView from,
                                     std::size_t max_entries) override;

  /// Reads every entry of every bucket and checks its checksum; the first that is wrong, or OK.
  absl::Status verify();

  const std::string& path() const { return environment_->path(); }

 private:
  LmdbBackend(const Options& options, std::shared_ptr<LmdbEnvironment> environment);

  std::shared_ptr<LmdbEnvironment> environment() const;
  absl::Status put_in_place(const std::string& draft);
  absl::Status seal();
  void let_go_of_replaced();

  const Options options_;
  /// Guards environment_ against replace(), which alone changes it: the thread that commits reads
  /// it without.
  mutable std::mutex environment_mutex_;
  std::shared_ptr<LmdbEnvironment> environment_;
  /// Former ones that somebody may still read.
  std::vector<std::shared_ptr<LmdbEnvironment>> replaced_;
};

}  // namespace holdfast::storage
