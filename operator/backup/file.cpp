#include "operator/backup/file.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>
#include "operator/api/text.h"

namespace holdfast::backup {
namespace {

absl::Status failed(std::string_view what, const std::string& path, int error) {
  return absl::UnavailableError(
      api::str_cat("cannot ", what, " ", path, ": ", std::strerror(error)));
}

}  // namespace

absl::StatusOr<OutputFile> OutputFile::create(const std::string& path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return failed("create", path, errno);
  return OutputFile(fd, path);
}

OutputFile::~OutputFile() {
  if (fd_ >= 0) ::close(fd_);
}
OutputFile::OutputFile(OutputFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {
}

absl::Status OutputFile::write(BytesView bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return failed("write", path_, errno);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return absl::OkStatus();
}

absl::Status OutputFile::sync() {
  return ::fsync(fd_) == 0 ? absl::OkStatus() : failed("sync", path_, errno);
}

absl::Status make_folder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  return error ? failed("create", path, error.value()) : absl::OkStatus();
}

absl::Status write_file(const std::string& path, BytesView bytes) {
  absl::StatusOr<OutputFile> file = OutputFile::create(path);
  return file.ok() ? file->write(bytes) : file.status();
}

absl::StatusOr<Bytes> read_file(const std::string& path, std::size_t max_bytes) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) return absl::NotFoundError(api::str_cat("there is no ", path));
  if (fd < 0) return failed("open", path, errno);
  Bytes bytes;
  std::array<char, 64 * 1024> piece;
  ssize_t got = 0;
  while (bytes.size() <= max_bytes && (got = ::read(fd, piece.data(), piece.size())) > 0) {
    bytes.append(piece.data(), static_cast<std::size_t>(got));
  }
  const int error = errno;
  ::close(fd);
  if (got < 0) return failed("read", path, error);
  if (bytes.size() > max_bytes) return absl::OutOfRangeError(api::str_cat(path, " is too large"));
  return bytes;
}

absl::Status rename_file(const std::string& from, const std::string& to) {
  return std::rename(from.c_str(), to.c_str()) == 0 ? absl::OkStatus()
                                                    : failed("rename", from, errno);
}

bool file_exists(const std::string& path) {
  return ::access(path.c_str(), F_OK) == 0;
}

}  // namespace holdfast::backup
