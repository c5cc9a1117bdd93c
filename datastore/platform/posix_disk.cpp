#include "datastore/platform/posix_disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "datastore/platform/descriptor.h"
#include "datastore/platform/errno_status.h"

namespace holdfast::platform {

namespace {

// The kernel takes at most IOV_MAX (1024) pieces a call.
constexpr std::size_t kMaxPieces = 64;
constexpr std::size_t kZeroBlockBytes = std::size_t{1} << 20;

class PosixFile final : public ports::File {
 public:
  PosixFile(Descriptor fd, std::string path, bool no_fsync)
      : fd_(std::move(fd)), path_(std::move(path)), no_fsync_(no_fsync) {}

  absl::Status read(std::uint64_t offset, std::size_t size, Bytes& out) override {
    out.resize(size);
    std::size_t done = 0;
    while (done < size) {
      const ssize_t got = retry_interrupted([&] {
        return ::pread(fd_.get(), out.data() + done, size - done,
                       static_cast<off_t>(offset + done));
      });
      if (got < 0) return error("read");
      if (got == 0) break;
      done += static_cast<std::size_t>(got);
    }
    out.resize(done);
    return absl::OkStatus();
  }

  absl::Status write(std::uint64_t offset, absl::Span<const BytesView> pieces) override {
    while (!pieces.empty()) {
      const std::size_t count = std::min(pieces.size(), kMaxPieces);
      std::array<iovec, kMaxPieces> vectors;
      std::size_t total = 0;
      for (std::size_t i = 0; i < count; ++i) {
        vectors[i] = {const_cast<char*>(pieces[i].data()), pieces[i].size()};
        total += pieces[i].size();
      }
      if (absl::Status status = write_all(offset, {vectors.data(), count}); !status.ok()) {
        return status;
      }
      offset += total;
      pieces.remove_prefix(count);
    }
    return absl::OkStatus();
  }

  absl::Status sync() override {
    if (no_fsync_) return absl::OkStatus();
    // Not repeated after a failure: the kernel may have dropped the pages and would report success.
    if (::fdatasync(fd_.get()) != 0) return error("fdatasync");
    return absl::OkStatus();
  }

  absl::Status preallocate(std::uint64_t size) override {
    const auto length = static_cast<off_t>(size);
    if (retry_interrupted([&] { return ::fallocate(fd_.get(), 0, 0, length); }) == 0) {
      return absl::OkStatus();
    }
    if (errno != EOPNOTSUPP && errno != ENOSYS) return error("allocate");
    return write_zeros_to(size);
  }

  absl::Status truncate(std::uint64_t size) override {
    const auto length = static_cast<off_t>(size);
    if (retry_interrupted([&] { return ::ftruncate(fd_.get(), length); }) != 0) {
      return error("truncate");
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::uint64_t> size() override {
    struct stat info{};
    if (::fstat(fd_.get(), &info) != 0) return error("stat");
    return static_cast<std::uint64_t>(info.st_size);
  }

 private:
  absl::Status error(const char* operation) const { return errno_status(errno, operation, path_); }

  absl::Status write_all(std::uint64_t offset, absl::Span<iovec> left) {
    while (true) {
      while (!left.empty() && left.front().iov_len == 0) left.remove_prefix(1);
      if (left.empty()) return absl::OkStatus();
      const ssize_t wrote = retry_interrupted([&] {
        return ::pwritev(fd_.get(), left.data(), static_cast<int>(left.size()),
                         static_cast<off_t>(offset));
      });
      if (wrote < 0) return error("write");
      offset += static_cast<std::uint64_t>(wrote);
      skip(left, static_cast<std::size_t>(wrote));
    }
  }

  static void skip(absl::Span<iovec>& left, std::size_t bytes) {
    while (bytes > 0) {
      iovec& first = left.front();
      const std::size_t part = std::min(bytes, first.iov_len);
      first.iov_base = static_cast<char*>(first.iov_base) + part;
      first.iov_len -= part;
      bytes -= part;
      if (first.iov_len == 0) left.remove_prefix(1);
    }
  }

  // For file systems without fallocate: the blocks exist once zeros are written.
  absl::Status write_zeros_to(std::uint64_t size) {
    absl::StatusOr<std::uint64_t> have = this->size();
    if (!have.ok()) return have.status();
    const Bytes zeros(kZeroBlockBytes, '\0');
    for (std::uint64_t at = *have; at < size;) {
      const BytesView piece(zeros.data(), std::min<std::uint64_t>(zeros.size(), size - at));
      if (absl::Status status = write(at, {&piece, 1}); !status.ok()) return status;
      at += piece.size();
    }
    return absl::OkStatus();
  }

  const Descriptor fd_;
  const std::string path_;
  const bool no_fsync_;
};

class MappedFile final : public ports::FileContent {
 public:
  MappedFile(void* memory, std::size_t bytes) : memory_(memory), bytes_(bytes) {}
  ~MappedFile() override {
    if (bytes_ != 0) ::munmap(memory_, bytes_);
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  BytesView bytes() const override { return {static_cast<const char*>(memory_), bytes_}; }

 private:
  void* const memory_;
  const std::size_t bytes_;
};

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

int open_flags(ports::Disk::Open how) {
  switch (how) {
    case ports::Disk::Open::kRead:
      return O_RDONLY;
    case ports::Disk::Open::kReadWrite:
      return O_RDWR;
    case ports::Disk::Open::kCreate:
      return O_RDWR | O_CREAT | O_EXCL;
  }
  return O_RDONLY;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ports::File>> PosixDisk::open(const std::string& path, Open how) {
  const int flags = open_flags(how) | O_CLOEXEC;
  Descriptor fd(retry_interrupted([&] { return ::open(path.c_str(), flags, 0600); }));
  if (!fd.valid()) return errno_status(errno, "open", path);
  return std::make_unique<PosixFile>(std::move(fd), path, options_.unsafe_no_fsync);
}

absl::StatusOr<std::vector<std::string>> PosixDisk::list(const std::string& directory) {
  std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(directory.c_str()), ::closedir);
  if (stream == nullptr) return errno_status(errno, "list", directory);
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* item = ::readdir(stream.get())) {
    std::string name = item->d_name;
    if (name != "." && name != "..") names.push_back(std::move(name));
    errno = 0;
  }
  if (errno != 0) return errno_status(errno, "list", directory);
  std::sort(names.begin(), names.end());
  return names;
}

absl::Status PosixDisk::make_directories(const std::string& directory) {
  for (std::size_t end = 0; end != std::string::npos;) {
    end = directory.find('/', end + 1);
    const std::string prefix = directory.substr(0, end);
    if (prefix.empty() || prefix.back() == '/') continue;
    if (::mkdir(prefix.c_str(), 0700) == 0) {
      if (absl::Status status = sync_directory(parent_of(prefix)); !status.ok()) return status;
      continue;
    }
    // On some mounts mkdir names another reason for a directory that is there.
    const int reason = errno;
    struct stat info{};
    const bool there = ::stat(prefix.c_str(), &info) == 0;
    if (there && S_ISDIR(info.st_mode)) continue;
    return errno_status(there ? ENOTDIR : reason, "make directory", prefix);
  }
  return absl::OkStatus();
}

absl::Status PosixDisk::rename(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return errno_status(errno, "rename", from);
  return absl::OkStatus();
}

absl::Status PosixDisk::remove(const std::string& path) {
  if (::unlink(path.c_str()) != 0) return errno_status(errno, "remove", path);
  return absl::OkStatus();
}

absl::Status PosixDisk::sync_directory(const std::string& directory) {
  if (options_.unsafe_no_fsync) return absl::OkStatus();
  const Descriptor fd(retry_interrupted(
      [&] { return ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
  if (!fd.valid()) return errno_status(errno, "open directory", directory);
  if (::fsync(fd.get()) != 0) return errno_status(errno, "fsync", directory);
  return absl::OkStatus();
}

absl::StatusOr<bool> PosixDisk::exists(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) == 0) return true;
  if (errno == ENOENT || errno == ENOTDIR) return false;
  return errno_status(errno, "stat", path);
}

absl::StatusOr<std::unique_ptr<ports::FileContent>> PosixDisk::map(const std::string& path) {
  Descriptor fd(retry_interrupted([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC); }));
  if (!fd.valid()) return errno_status(errno, "open", path);
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) return errno_status(errno, "stat", path);
  const auto bytes = static_cast<std::size_t>(info.st_size);
  if (bytes == 0) return std::make_unique<MappedFile>(nullptr, 0);
  void* const memory = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd.get(), 0);
  if (memory == MAP_FAILED) return errno_status(errno, "map", path);
  ::madvise(memory, bytes, MADV_SEQUENTIAL);
  return std::make_unique<MappedFile>(memory, bytes);
}

}  // namespace holdfast::platform
