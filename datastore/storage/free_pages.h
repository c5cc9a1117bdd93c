#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

struct MDB_env;
struct MDB_txn;

namespace holdfast::storage {

/// A set of page numbers, one bit each.
class PageSet {
 public:
  void resize(std::uint64_t pages) { words_.resize((pages + 63) / 64, 0); }
  bool contains(std::uint64_t page) const {
    return page / 64 < words_.size() && (words_[page / 64] >> (page % 64) & 1) != 0;
  }
  void insert(std::uint64_t page) { words_[page / 64] |= std::uint64_t{1} << (page % 64); }
  void erase(std::uint64_t page) { words_[page / 64] &= ~(std::uint64_t{1} << (page % 64)); }
  /// The first member >= page, or kNone.
  std::uint64_t next(std::uint64_t page) const;
  static constexpr std::uint64_t kNone = ~std::uint64_t{0};

 private:
  std::vector<std::uint64_t> words_;
};

/// Calls `visit(transaction, pages, count)` for each record of the free list as the read
/// transaction `txn` sees it: the pages that transaction freed. Returns LMDB's error code, or 0.
int for_each_free_record(
    MDB_txn* txn,
    const std::function<void(std::uint64_t, const std::uint64_t*, std::uint64_t)>& visit);

/// Gives free pages of an LMDB file back to the file system. Remembers what it punched, so that a
/// pass costs a walk of the free list and one call per new run of pages.
///
/// Which pages: LMDB's free list names, for each transaction K, the pages that were part of the
/// tree before K and are not since. With T the last commit (whose meta page, and that of T-1, are
/// the two durable ones) the pages of records K <= T-1 are part of neither tree. A reader of
/// snapshot R needs the pages of records K > R only. So records with K < min(T, oldest reader) are
/// needed by nobody; LMDB itself reuses exactly those. The caller holds the write transaction, so
/// no page is taken from the list meanwhile, and readers that begin meanwhile see T.
class HolePuncher {
 public:
  HolePuncher(int fd, std::uint32_t page_bytes) : fd_(fd), page_bytes_(page_bytes) {}

  /// Punches up to max_bytes, sparing the first reserve_bytes that LMDB will take next. `read` is a
  /// read transaction begun while the write transaction was held. Returns the bytes released.
  /// Errors: LMDB's as lmdb_error has them; Unimplemented when the file system has no holes.
  absl::StatusOr<std::uint64_t> punch(MDB_env* env, MDB_txn* read, std::uint64_t max_bytes,
                                      std::uint64_t reserve_bytes, const std::string& path);

  /// To be called after a commit that failed: it may have written to pages that are still free.
  void forget_punched() { last_pass_ = 0; }

 private:
  absl::StatusOr<std::uint64_t> punch_run(std::uint64_t first, std::uint64_t count,
                                          const std::string& path);

  const int fd_;
  const std::uint32_t page_bytes_;
  // Pages punched and, as of transaction last_pass_, still free.
  PageSet punched_;
  std::uint64_t last_pass_ = 0;
};

}  // namespace holdfast::storage
