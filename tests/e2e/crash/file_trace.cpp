#include "tests/e2e/crash/file_trace.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <numeric>
#include <utility>

#include "datastore/base/check.h"

namespace holdfast::storage {

namespace {

using Kind = FileOperation::Kind;

struct State {
  bool on = false;
  dev_t device = 0;
  ino_t inode = 0;
  std::vector<FileOperation> operations;
  std::function<int(Kind)> fault;
};

State& state() {
  static State* const state = new State;  // calls may come after static destructors
  return *state;
}

bool is_traced(int fd) {
  struct stat file{};
  return state().on && fstat(fd, &file) == 0 && file.st_dev == state().device &&
         file.st_ino == state().inode;
}

template <class Function>
Function* real(Function*, const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

int fault_of(Kind kind) {
  return state().fault ? state().fault(kind) : 0;
}

/// True if the operation is to fail; errno is then set.
bool is_faulted(Kind kind) {
  const int code = fault_of(kind);
  if (code != 0) errno = code;
  return code != 0;
}

Kind write_kind(int fd) {
  return (fcntl(fd, F_GETFL) & (O_DSYNC | O_SYNC)) != 0 ? Kind::kSyncedWrite : Kind::kWrite;
}

void record_write(int fd, std::uint64_t offset, const iovec* pieces, int count, ssize_t written) {
  FileOperation operation{write_kind(fd), offset, 0, {}};
  for (int i = 0; i < count; ++i) {
    operation.bytes.append(static_cast<const char*>(pieces[i].iov_base), pieces[i].iov_len);
  }
  operation.bytes.resize(static_cast<std::size_t>(written));
  state().operations.push_back(std::move(operation));
}

/// `write(pieces, count)` writes at `offset`.
template <class Write>
ssize_t traced_write(int fd, const iovec* pieces, int count, std::uint64_t offset,
                     const Write& write) {
  const int fault = fault_of(write_kind(fd));
  iovec half = pieces[0];
  if (fault == FileTrace::kCutShort) {
    half.iov_len /= 2;
    pieces = &half;
    count = 1;
  } else if (fault != 0) {
    errno = fault;
    return -1;
  }
  const ssize_t written = write(pieces, count);
  if (written > 0) record_write(fd, offset, pieces, count, written);
  return written;
}

ssize_t traced_pwritev(int fd, const iovec* pieces, int count, off_t offset) {
  static auto* const call = real(&pwritev, "pwritev");
  if (!is_traced(fd)) return call(fd, pieces, count, offset);
  return traced_write(
      fd, pieces, count, static_cast<std::uint64_t>(offset),
      [=](const iovec* some, int number) { return call(fd, some, number, offset); });
}

int traced_sync(int fd, int (*call)(int)) {
  if (!is_traced(fd)) return call(fd);
  if (is_faulted(Kind::kSync)) return -1;
  state().operations.push_back({Kind::kSync});
  return 0;  // the image is what counts: no need to wait for this machine's disk
}

void apply(const FileOperation& operation, Bytes& file) {
  switch (operation.kind) {
    case Kind::kWrite:
    case Kind::kSyncedWrite: {
      const std::size_t end = operation.offset + operation.bytes.size();
      if (file.size() < end) file.resize(end, '\0');
      std::copy(operation.bytes.begin(), operation.bytes.end(),
                file.begin() + static_cast<std::ptrdiff_t>(operation.offset));
      break;
    }
    case Kind::kPunch:
      for (std::uint64_t i = operation.offset;
           i < std::min<std::uint64_t>(operation.offset + operation.length, file.size()); ++i) {
        file[i] = '\0';
      }
      break;
    case Kind::kTruncate:
      file.resize(operation.length, '\0');
      break;
    case Kind::kSync:
      break;
  }
}

/// The write with each of its 512-byte sectors kept or not.
void apply_torn(const FileOperation& operation, Bytes& file, Prng& dice) {
  constexpr std::size_t kSector = 512;
  std::size_t at = 0;
  while (at < operation.bytes.size()) {
    const std::size_t to_boundary = kSector - (operation.offset + at) % kSector;
    const std::size_t size = std::min(to_boundary, operation.bytes.size() - at);
    if (dice.chance(1, 2)) {
      apply({Kind::kWrite, operation.offset + at, 0, operation.bytes.substr(at, size)}, file);
    }
    at += size;
  }
}

}  // namespace

void FileTrace::start(const std::string& path) {
  struct stat file{};
  HOLDFAST_CHECK(stat(path.c_str(), &file) == 0);
  state().device = file.st_dev;
  state().inode = file.st_ino;
  state().operations.clear();
  state().on = true;
}

void FileTrace::stop() {
  state().on = false;
  state().fault = nullptr;
}

std::vector<FileOperation>& FileTrace::operations() {
  return state().operations;
}

void FileTrace::set_fault(std::function<int(Kind)> fault) {
  state().fault = std::move(fault);
}

void CrashImage::make_durable(const std::vector<FileOperation>& operations, std::size_t first,
                              std::size_t end) {
  for (std::size_t i = first; i < end; ++i) apply(operations[i], durable_);
}

Bytes CrashImage::draw(const std::vector<FileOperation>& operations, std::size_t first,
                       std::size_t end, Prng& dice) const {
  std::vector<std::size_t> order(end - first);
  std::iota(order.begin(), order.end(), first);
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[dice.below(i)]);
  // From "nearly all lost" to "nearly all kept".
  const std::uint64_t kept_of_eight = dice.below(9);
  Bytes file = durable_;
  for (const std::size_t i : order) {
    const FileOperation& operation = operations[i];
    const bool is_write = operation.kind == Kind::kWrite || operation.kind == Kind::kSyncedWrite;
    if (is_write && dice.chance(1, 4)) {
      apply_torn(operation, file, dice);
    } else if (dice.chance(kept_of_eight, 8)) {
      apply(operation, file);
    }
  }
  return file;
}

}  // namespace holdfast::storage

// The replaced system calls. Both names: liblmdb may be built with 64-bit offsets by default or by
// macro.
extern "C" {

ssize_t pwritev(int fd, const iovec* pieces, int count, off_t offset) {
  return holdfast::storage::traced_pwritev(fd, pieces, count, offset);
}
ssize_t pwritev64(int fd, const iovec* pieces, int count, off64_t offset) {
  return holdfast::storage::traced_pwritev(fd, pieces, count, offset);
}
ssize_t pwrite(int fd, const void* bytes, size_t size, off_t offset) {
  const iovec piece{const_cast<void*>(bytes), size};
  return holdfast::storage::traced_pwritev(fd, &piece, 1, offset);
}
ssize_t pwrite64(int fd, const void* bytes, size_t size, off64_t offset) {
  const iovec piece{const_cast<void*>(bytes), size};
  return holdfast::storage::traced_pwritev(fd, &piece, 1, offset);
}
ssize_t writev(int fd, const iovec* pieces, int count) {
  using namespace holdfast::storage;
  static auto* const call = real(&writev, "writev");
  if (!is_traced(fd)) return call(fd, pieces, count);
  const auto offset = static_cast<std::uint64_t>(lseek(fd, 0, SEEK_CUR));
  return traced_write(fd, pieces, count, offset,
                      [=](const iovec* some, int number) { return call(fd, some, number); });
}
ssize_t write(int fd, const void* bytes, size_t size) {
  using namespace holdfast::storage;
  static auto* const call = real(&write, "write");
  if (!is_traced(fd)) return call(fd, bytes, size);
  const iovec piece{const_cast<void*>(bytes), size};
  return writev(fd, &piece, 1);
}
int fdatasync(int fd) {
  using namespace holdfast::storage;
  static auto* const call = real(&fdatasync, "fdatasync");
  return traced_sync(fd, call);
}
int fsync(int fd) {
  using namespace holdfast::storage;
  static auto* const call = real(&fsync, "fsync");
  return traced_sync(fd, call);
}
int fallocate(int fd, int mode, off_t offset, off_t length) {
  using namespace holdfast::storage;
  static auto* const call = real(&fallocate, "fallocate");
  if (is_traced(fd)) {
    if (is_faulted(Kind::kPunch)) return -1;
    HOLDFAST_CHECK((mode & FALLOC_FL_PUNCH_HOLE) != 0);
    state().operations.push_back(
        {Kind::kPunch, static_cast<std::uint64_t>(offset), static_cast<std::uint64_t>(length), {}});
  }
  return call(fd, mode, offset, length);
}
int ftruncate(int fd, off_t length) {
  using namespace holdfast::storage;
  static auto* const call = real(&ftruncate, "ftruncate");
  if (is_traced(fd)) {
    if (is_faulted(Kind::kTruncate)) return -1;
    state().operations.push_back({Kind::kTruncate, 0, static_cast<std::uint64_t>(length), {}});
  }
  return call(fd, length);
}
// LMDB syncs this way only when it writes through its map, which we never ask for.
int msync(void*, size_t, int) {
  HOLDFAST_CHECK(false);
}

}  // extern "C"
