#include "datastore/platform/data_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstdio>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "datastore/platform/errno_status.h"
#include "datastore/platform/posix_disk.h"

namespace holdfast::platform {

namespace {

constexpr char kLockName[] = "LOCK";

absl::Status no_rights(const std::string& path, const struct stat& info) {
  const uid_t user = ::geteuid();
  if (info.st_uid == user) {
    return absl::PermissionDeniedError(
        absl::StrCat("data directory ", path, " denies its owner access; run: chmod 0700 ", path));
  }
  return absl::PermissionDeniedError(absl::StrCat("data directory ", path, " belongs to user ",
                                                  info.st_uid, ", this process runs as user ", user,
                                                  " and may not write there; run as user ",
                                                  info.st_uid, ", or: chown -R ", user, " ", path));
}

absl::Status read_only(const std::string& path) {
  return absl::PermissionDeniedError(
      absl::StrCat("data directory ", path,
                   " is on a file system mounted read-only; remount it read-write, or set "
                   "--data-dir to another place"));
}

absl::Status check_access(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return errno_status(errno, "stat data directory", path);
  if (!S_ISDIR(info.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "data directory ", path, " is a file; move it away, or set --data-dir to another place"));
  }
  if (::faccessat(AT_FDCWD, path.c_str(), R_OK | W_OK | X_OK, AT_EACCESS) == 0) {
    return absl::OkStatus();
  }
  if (errno == EROFS) return read_only(path);
  if (errno == EACCES || errno == EPERM) return no_rights(path, info);
  return errno_status(errno, "access data directory", path);
}

absl::Status lock_file_error(int error, const std::string& path, const std::string& file) {
  if (error == EROFS) return read_only(path);
  if (error == ENOSPC || error == EDQUOT) {
    return absl::ResourceExhaustedError(
        absl::StrCat("no space left for data directory ", path,
                     "; free space on its file system or enlarge it, then start again"));
  }
  if (error == EACCES || error == EPERM) {
    struct stat info{};
    if (::stat(file.c_str(), &info) == 0) return no_rights(file, info);
  }
  return errno_status(error, "open", file);
}

absl::Status held_by_another(const std::string& path, int fd) {
  std::array<char, 32> text{};
  const ssize_t got = ::pread(fd, text.data(), text.size(), 0);
  int pid = 0;
  const bool known =
      got > 0 &&
      absl::SimpleAtoi(absl::string_view(text.data(), static_cast<std::size_t>(got)), &pid);
  return absl::FailedPreconditionError(
      absl::StrCat("another process", known ? absl::StrCat(" (pid ", pid, ")") : "",
                   " uses data directory ", path, "; stop it, or set --data-dir to another place"));
}

// Always the same width over the same bytes: on a full disk a known lock file can still be claimed.
int write_pid(int fd) {
  std::array<char, 16> text{};
  const int size = std::snprintf(text.data(), text.size(), "%-10d\n", static_cast<int>(::getpid()));
  const ssize_t wrote = retry_interrupted(
      [&] { return ::pwrite(fd, text.data(), static_cast<std::size_t>(size), 0); });
  return wrote == size ? 0 : (wrote < 0 ? errno : ENOSPC);
}

absl::Status create_directory(const std::string& path) {
  PosixDisk disk;
  absl::Status made = disk.make_directories(path);
  if (made.ok()) return made;
  return absl::Status(made.code(),
                      absl::StrCat("data directory ", path, " cannot be made: ", made.message()));
}

}  // namespace

absl::StatusOr<DataDirectory> DataDirectory::lock(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) {
    if (absl::Status made = create_directory(path); !made.ok()) return made;
  }
  if (absl::Status access = check_access(path); !access.ok()) return access;

  const std::string file = absl::StrCat(path, "/", kLockName);
  Descriptor fd(
      retry_interrupted([&] { return ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600); }));
  if (!fd.valid()) return lock_file_error(errno, path, file);
  if (retry_interrupted([&] { return ::flock(fd.get(), LOCK_EX | LOCK_NB); }) != 0) {
    if (errno == EWOULDBLOCK) return held_by_another(path, fd.get());
    return errno_status(errno, "lock", file);
  }
  if (const int error = write_pid(fd.get()); error != 0) return lock_file_error(error, path, file);
  return DataDirectory(path, std::move(fd));
}

}  // namespace holdfast::platform
