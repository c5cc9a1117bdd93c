#include "datastore/storage/lmdb_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "absl/strings/str_cat.h"
#include "datastore/base/bytes.h"

namespace holdfast::storage {

namespace {

// LMDB 0.9's layout on 64-bit machines: a page header of 16 bytes (flags at 10), then the meta:
// magic 4, version 4, address 8, map size 8, two database records of 48 (the first's first four
// bytes are the page size), last page 8, transaction 8.
constexpr std::size_t kMetaBytes = 16 + 136;
constexpr std::size_t kFlagsAt = 10;
constexpr std::size_t kMagicAt = 16;
constexpr std::size_t kVersionAt = 20;
constexpr std::size_t kPageSizeAt = 40;
constexpr std::size_t kLastPageAt = 136;
constexpr std::size_t kTransactionAt = 144;
constexpr std::uint32_t kMagic = 0xBEEFC0DE;
constexpr std::uint32_t kVersion = 1;
constexpr char kMetaFlag = 0x08;

absl::Status damaged(const std::string& path, const char* what) {
  return absl::DataLossError(
      absl::StrCat("store ", path, ": ", what,
                   "; remove the data directory and let this member join again, or restore a "
                   "snapshot"));
}

struct Meta {
  std::uint32_t version = 0;
  LmdbFileHeader header;
};

std::optional<Meta> read_meta(int fd, off_t offset) {
  char page[kMetaBytes];
  if (pread(fd, page, sizeof page, offset) != static_cast<ssize_t>(sizeof page)) {
    return std::nullopt;
  }
  if (!(page[kFlagsAt] & kMetaFlag) || load_le32(page + kMagicAt) != kMagic) return std::nullopt;
  Meta meta;
  meta.version = load_le32(page + kVersionAt) & 0xffff;
  meta.header.page_bytes = load_le32(page + kPageSizeAt);
  meta.header.page_count = load_le64(page + kLastPageAt) + 1;
  meta.header.transaction = load_le64(page + kTransactionAt);
  const std::uint32_t size = meta.header.page_bytes;
  const bool plausible = size >= 512 && size <= 65536 && (size & (size - 1)) == 0 &&
                         meta.header.page_count >= 2 && meta.header.page_count < (1ULL << 48);
  return plausible ? std::optional<Meta>(meta) : std::nullopt;
}

}  // namespace

absl::StatusOr<LmdbFileHeader> inspect_lmdb_file(int fd, const std::string& path) {
  const std::optional<Meta> first = read_meta(fd, 0);
  if (!first) return damaged(path, "is not a store, or its first page is damaged");
  if (first->version != kVersion) {
    return absl::FailedPreconditionError(absl::StrCat("store ", path, ": written in LMDB format ",
                                                      first->version, ", this release reads ",
                                                      kVersion, "; use the release that wrote it"));
  }
  const std::optional<Meta> second = read_meta(fd, first->header.page_bytes);
  if (!second || second->header.page_bytes != first->header.page_bytes) {
    return damaged(path, "its second page is damaged");
  }
  LmdbFileHeader header =
      first->header.transaction >= second->header.transaction ? first->header : second->header;
  struct stat file{};
  if (fstat(fd, &file) != 0) return damaged(path, std::strerror(errno));
  header.file_bytes = static_cast<std::uint64_t>(file.st_size);
  return header;
}

}  // namespace holdfast::storage
