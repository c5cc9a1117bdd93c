#include "datastore/storage/free_pages.h"

#include <fcntl.h>
#include <lmdb.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "datastore/storage/lmdb_error.h"

namespace holdfast::storage {

namespace {

// LMDB's free list is its database 0: no name, but any transaction may read it by number.
constexpr MDB_dbi kFreeDatabase = 0;

/// LMDB's reader table as text, one line per reader: process, thread, transaction ("-" when idle).
int take_oldest(const char* line, void* oldest) {
  unsigned long long transaction = 0;
  int process = 0;
  if (std::sscanf(line, "%d %*s %llu", &process, &transaction) == 2) {
    auto& bound = *static_cast<std::uint64_t*>(oldest);
    bound = std::min<std::uint64_t>(bound, transaction);
  }
  return 0;
}

}  // namespace

std::uint64_t PageSet::next(std::uint64_t page) const {
  for (std::uint64_t word = page / 64; word < words_.size(); ++word) {
    std::uint64_t bits = words_[word];
    if (word == page / 64) bits &= ~std::uint64_t{0} << (page % 64);
    if (bits != 0) return word * 64 + static_cast<std::uint64_t>(std::countr_zero(bits));
  }
  return kNone;
}

int for_each_free_record(
    MDB_txn* txn,
    const std::function<void(std::uint64_t, const std::uint64_t*, std::uint64_t)>& visit) {
  MDB_cursor* cursor = nullptr;
  if (const int rc = mdb_cursor_open(txn, kFreeDatabase, &cursor); rc != 0) return rc;
  MDB_val key{};
  MDB_val value{};
  int rc = 0;
  while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
    std::uint64_t transaction = 0;
    if (key.mv_size != sizeof transaction || value.mv_size < sizeof transaction) {
      rc = MDB_CORRUPTED;
      break;
    }
    std::memcpy(&transaction, key.mv_data, sizeof transaction);
    const auto* words = static_cast<const std::uint64_t*>(value.mv_data);
    if (words[0] > value.mv_size / sizeof transaction - 1) {
      rc = MDB_CORRUPTED;
      break;
    }
    visit(transaction, words + 1, words[0]);
  }
  mdb_cursor_close(cursor);
  return rc == MDB_NOTFOUND ? 0 : rc;
}

absl::StatusOr<std::uint64_t> HolePuncher::punch(MDB_env* env, MDB_txn* read,
                                                 std::uint64_t max_bytes,
                                                 std::uint64_t reserve_bytes,
                                                 const std::string& path) {
  MDB_envinfo info{};
  mdb_env_info(env, &info);
  const std::uint64_t pages = info.me_last_pgno + 1;
  const std::uint64_t newest = mdb_txn_id(read);
  std::uint64_t oldest = newest;
  if (const int rc = mdb_reader_list(env, take_oldest, &oldest); rc < 0) {
    return lmdb_error(rc, "list readers", path);
  }

  punched_.resize(pages);
  PageSet still_punched;
  still_punched.resize(pages);
  PageSet wanted;
  wanted.resize(pages);
  std::uint64_t spared = reserve_bytes / page_bytes_;
  const int rc = for_each_free_record(
      read, [&](std::uint64_t transaction, const std::uint64_t* list, std::uint64_t count) {
        for (std::uint64_t i = 0; i < count; ++i) {
          const std::uint64_t page = list[i];
          if (page < 2 || page >= pages) continue;  // never the metas, whatever the list says
          // A page freed after the last pass was used, and so written, since it was punched.
          if (transaction <= last_pass_ && punched_.contains(page)) {
            still_punched.insert(page);
          } else if (transaction < oldest) {
            if (spared > 0) {
              --spared;
            } else {
              wanted.insert(page);
            }
          }
        }
      });
  if (rc != 0) return lmdb_error(rc, "read the free list", path);
  punched_ = std::move(still_punched);
  last_pass_ = newest;

  std::uint64_t released = 0;
  const std::uint64_t max_run = std::max<std::uint64_t>(max_bytes / page_bytes_, 1);
  for (std::uint64_t first = wanted.next(0); first != PageSet::kNone && released < max_bytes;) {
    std::uint64_t end = first + 1;
    while (wanted.contains(end) && end - first < max_run) ++end;
    absl::StatusOr<std::uint64_t> bytes = punch_run(first, end - first, path);
    if (!bytes.ok()) return bytes.status();
    released += *bytes;
    for (std::uint64_t page = first; page < end; ++page) punched_.insert(page);
    first = wanted.next(end);
  }
  return released;
}

absl::StatusOr<std::uint64_t> HolePuncher::punch_run(std::uint64_t first, std::uint64_t count,
                                                     const std::string& path) {
  const auto begin = static_cast<off_t>(first * page_bytes_);
  const auto end = static_cast<off_t>((first + count) * page_bytes_);
  // After a restart what was punched is forgotten here but still a hole in the file.
  const off_t data = lseek(fd_, begin, SEEK_DATA);
  if (data >= end || (data < 0 && errno == ENXIO)) return 0;
  if (fallocate(fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, begin, end - begin) != 0) {
    if (errno == EOPNOTSUPP || errno == ENOSYS) {
      return absl::UnimplementedError(
          absl::StrCat("store ", path,
                       ": this file system has no holes, so freed space is reused but not given "
                       "back; use ext4, xfs, btrfs or tmpfs"));
    }
    return lmdb_error(errno, "punch a hole", path);
  }
  return count * page_bytes_;
}

}  // namespace holdfast::storage
