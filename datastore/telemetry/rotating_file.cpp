#include "datastore/telemetry/rotating_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <vector>

#include "fmt/format.h"

namespace holdfast::telemetry {
namespace {

namespace fs = std::filesystem;
using SystemTime = std::chrono::system_clock::time_point;

constexpr mode_t kFileMode = 0600;

// 2026-11-22T14-30-00.000: sorts by age and needs no quoting.
std::string time_stamp(SystemTime time, bool local) {
  const auto milliseconds =
      std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
  const std::time_t seconds = milliseconds / 1000;
  std::tm parts{};
  local ? localtime_r(&seconds, &parts) : gmtime_r(&seconds, &parts);
  std::array<char, 64> text;
  std::size_t length = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H-%M-%S", &parts);
  length += static_cast<std::size_t>(std::snprintf(text.data() + length, text.size() - length,
                                                   ".%03d", static_cast<int>(milliseconds % 1000)));
  return {text.data(), length};
}

// A name no backup has yet: two rotations may fall into one millisecond.
fs::path backup_path(const fs::path& path, bool local_time) {
  SystemTime time = std::chrono::system_clock::now();
  while (true) {
    fs::path backup =
        path.parent_path() / absl::StrCat(path.stem().string(), "-", time_stamp(time, local_time),
                                          path.extension().string());
    std::error_code ignored;
    if (!fs::exists(backup, ignored) && !fs::exists(backup.string() + ".gz", ignored)) {
      return backup;
    }
    time += std::chrono::milliseconds(1);
  }
}

// Leaves the plain backup in place unless the whole of it was compressed.
void compress_backup(const fs::path& backup) {
  const std::string target = backup.string() + ".gz";
  std::ifstream plain(backup, std::ios::binary);
  gzFile compressed = gzopen(target.c_str(), "wb");
  if (compressed == nullptr) {
    return;
  }
  std::array<char, 64 * 1024> chunk;
  bool whole = plain.good();
  while (whole && plain) {
    plain.read(chunk.data(), chunk.size());
    const auto got = static_cast<unsigned>(plain.gcount());
    whole = got == 0 || gzwrite(compressed, chunk.data(), got) == static_cast<int>(got);
  }
  whole = gzclose(compressed) == Z_OK && whole && plain.eof();
  std::error_code ignored;
  fs::remove(whole ? backup : fs::path(target), ignored);
}

// The backups of path, newest first.
std::vector<fs::path> backups_of(const fs::path& path) {
  const std::string prefix = path.stem().string() + "-";
  std::vector<fs::path> found;
  std::error_code error;
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    constexpr std::size_t kStampLength = 23;
    const std::string_view rest =
        std::string_view(name).substr(std::min(name.size(), prefix.size() + kStampLength));
    const std::string extension = path.extension().string();
    if (name.starts_with(prefix) && (rest == extension || rest == extension + ".gz") &&
        name.size() > prefix.size() && name[prefix.size()] >= '0' && name[prefix.size()] <= '9') {
      found.push_back(entry.path());
    }
  }
  std::ranges::sort(found, std::greater<>());
  return found;
}

}  // namespace

RotatingFile::RotatingFile(std::string path, std::optional<LogRotation> rotation)
    : path_(std::move(path)), rotation_(rotation) {
}

RotatingFile::~RotatingFile() {
  if (descriptor_ >= 0) {
    close(descriptor_);
  }
}

absl::StatusOr<std::unique_ptr<RotatingFile>> RotatingFile::open(
    const std::string& path, const std::optional<LogRotation>& rotation) {
  std::unique_ptr<RotatingFile> file(new RotatingFile(path, rotation));
  if (absl::Status opened = file->open_file(); !opened.ok()) {
    return opened;
  }
  return file;
}

absl::Status RotatingFile::open_file() {
  std::error_code ignored;
  fs::create_directories(fs::path(path_).parent_path(), ignored);
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, kFileMode);
  if (descriptor_ < 0) {
    return absl::InvalidArgumentError(
        fmt::format("cannot open log output \"{}\": {}; give --log-outputs a file that can be "
                    "written, or stderr",
                    path_, std::strerror(errno)));
  }
  struct stat status{};
  size_bytes_ = fstat(descriptor_, &status) == 0 ? status.st_size : 0;
  return absl::OkStatus();
}

void RotatingFile::append_line(std::string_view line) {
  std::string bytes;
  bytes.reserve(line.size() + 1);
  bytes.append(line).push_back('\n');
  const auto added = static_cast<std::int64_t>(bytes.size());
  if (rotation_ && size_bytes_ > 0 && size_bytes_ + added > rotation_->max_size_bytes) {
    rotate();
  }
  std::string_view left = bytes;
  while (!left.empty() && descriptor_ >= 0) {
    const ssize_t written = write(descriptor_, left.data(), left.size());
    if (written < 0 && errno == EINTR) {
      continue;
    }
    if (written <= 0) {
      return;
    }
    left.remove_prefix(static_cast<std::size_t>(written));
    size_bytes_ += written;
  }
}

void RotatingFile::rotate() {
  const fs::path backup = backup_path(path_, rotation_->local_time);
  std::error_code error;
  fs::rename(path_, backup, error);
  if (error) {
    return;  // keeps appending to the one file
  }
  close(descriptor_);
  descriptor_ = -1;
  (void)open_file();
  if (rotation_->compress) {
    compress_backup(backup);
  }
  remove_old_backups();
}

void RotatingFile::remove_old_backups() const {
  const std::vector<fs::path> backups = backups_of(path_);
  const auto oldest =
      fs::file_time_type::clock::now() - std::chrono::hours(24) * rotation_->max_age_days;
  for (std::size_t i = 0; i < backups.size(); ++i) {
    std::error_code error;
    const auto written = fs::last_write_time(backups[i], error);
    const bool too_many =
        rotation_->max_backups > 0 && i >= static_cast<std::size_t>(rotation_->max_backups);
    const bool too_old = rotation_->max_age_days > 0 && !error && written < oldest;
    if (too_many || too_old) {
      fs::remove(backups[i], error);
    }
  }
}

}  // namespace holdfast::telemetry
