#include "operator/backup/exchange.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "operator/api/text.h"
#include "operator/backup/file.h"

namespace holdfast::backup {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kRestored = "restored";
constexpr std::string_view kUndone = "undone";
constexpr std::string_view kDiscarded = "discarded";
constexpr std::size_t kMaxStateBytes = 256;

class Volume {
 public:
  explicit Volume(const Exchange& exchange)
      : root_(exchange.volume),
        uid_(exchange.uid),
        data_(api::str_cat(root_, "/data")),
        before_(api::str_cat(root_, "/before-", uid_)),
        undone_(api::str_cat(root_, "/undone-", uid_)),
        state_(api::str_cat(root_, "/restore-state")) {}

  const std::string& data() const { return data_; }
  const std::string& before() const { return before_; }
  const std::string& undone() const { return undone_; }

  /// Whether this restore came as far as `word`. Errors: the file is there and cannot be read.
  absl::StatusOr<bool> is(std::string_view word) const {
    const absl::StatusOr<Bytes> text = read_file(state_, kMaxStateBytes);
    if (absl::IsNotFound(text.status())) return false;
    if (!text.ok()) return text.status();
    return *text == api::str_cat(word, " ", uid_, "\n");
  }

  absl::Status note(std::string_view word) const {
    const std::string fresh = api::str_cat(state_, ".new");
    absl::StatusOr<OutputFile> file = OutputFile::create(fresh);
    if (!file.ok()) return file.status();
    absl::Status status = file->write(api::str_cat(word, " ", uid_, "\n"));
    if (status.ok()) status = file->sync();
    return status.ok() ? move(fresh, state_) : status;
  }

  absl::Status move(const std::string& from, const std::string& to) const {
    if (absl::Status status = rename_file(from, to); !status.ok()) return status;
    return sync();
  }

  absl::Status make(const std::string& folder) const {
    if (absl::Status status = make_folder(folder); !status.ok()) return status;
    return sync();
  }

  static absl::Status remove(const std::string& folder) {
    std::error_code error;
    fs::remove_all(folder, error);
    if (!error) return absl::OkStatus();
    return absl::UnavailableError(api::str_cat("cannot remove ", folder, ": ", error.message()));
  }

  absl::StatusOr<std::int64_t> free_bytes() const {
    struct statvfs found = {};
    if (::statvfs(root_.c_str(), &found) != 0) {
      return absl::UnavailableError(api::str_cat(root_, ": ", std::strerror(errno)));
    }
    return static_cast<std::int64_t>(found.f_bavail) * static_cast<std::int64_t>(found.f_frsize);
  }

 private:
  /// Names last only once their folder is synced.
  absl::Status sync() const {
    const int folder = ::open(root_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) {
      return absl::UnavailableError(api::str_cat(root_, ": ", std::strerror(errno)));
    }
    const int failed = ::fsync(folder);
    const int why = errno;
    ::close(folder);
    if (failed == 0) return absl::OkStatus();
    return absl::UnavailableError(api::str_cat("sync of ", root_, ": ", std::strerror(why)));
  }

  const std::string root_, uid_, data_, before_, undone_, state_;
};

absl::Status refuse_without_room(const Volume& volume, std::int64_t needed_bytes) {
  const absl::StatusOr<std::int64_t> free = volume.free_bytes();
  if (!free.ok()) return free.status();
  if (*free >= needed_bytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      api::str_cat("the volume has ", *free, " bytes free, and the backup needs ", needed_bytes,
                   " beside the old data: raise spec.storage.size, or set spec.undo"));
}

absl::Status bring_back_once(const Volume& volume) {
  if (file_exists(volume.before())) {
    if (file_exists(volume.data())) {
      if (absl::Status status = volume.move(volume.data(), volume.undone()); !status.ok()) {
        return status;
      }
    }
    return volume.move(volume.before(), volume.data());
  }
  if (file_exists(volume.undone())) return absl::OkStatus();  // both renames are done
  const absl::StatusOr<bool> restored = volume.is(kRestored);
  if (!restored.ok()) return restored.status();
  if (!*restored) return absl::OkStatus();  // it never came to be put aside
  return absl::FailedPreconditionError("the old data is not on the volume any more");
}

}  // namespace

absl::Status put_aside(const Exchange& exchange) {
  const Volume volume(exchange);
  for (const std::string_view done : {kRestored, kDiscarded}) {
    const absl::StatusOr<bool> is = volume.is(done);
    if (!is.ok() || *is) return is.status();
  }
  const absl::StatusOr<bool> undone = volume.is(kUndone);
  if (!undone.ok()) return undone.status();
  if (*undone) return absl::FailedPreconditionError("this restore was undone on this volume");
  if (!file_exists(volume.before())) {
    absl::Status status = refuse_without_room(volume, exchange.needed_bytes);
    if (!status.ok()) return status;
    // An empty one where there is nothing says as well that this step is done.
    status = file_exists(volume.data()) ? volume.move(volume.data(), volume.before())
                                        : volume.make(volume.before());
    if (!status.ok()) return status;
  }
  return volume.note(kRestored);
}

absl::Status bring_back(const Exchange& exchange) {
  const Volume volume(exchange);
  const absl::StatusOr<bool> undone = volume.is(kUndone);
  if (!undone.ok()) return undone.status();
  if (!*undone) {
    const absl::StatusOr<bool> discarded = volume.is(kDiscarded);
    if (!discarded.ok()) return discarded.status();
    if (*discarded) return absl::FailedPreconditionError("the old data was removed");
    if (absl::Status status = bring_back_once(volume); !status.ok()) return status;
    if (absl::Status status = volume.note(kUndone); !status.ok()) return status;
  }
  return Volume::remove(volume.undone());
}

absl::Status discard(const Exchange& exchange) {
  const Volume volume(exchange);
  const absl::StatusOr<bool> restored = volume.is(kRestored);
  if (!restored.ok()) return restored.status();
  if (*restored) {
    if (!file_exists(volume.data())) {
      return absl::FailedPreconditionError("nothing stands in the place of the old data");
    }
    // From here on it can't be brought back, even if only a part of it is removed.
    if (absl::Status status = volume.note(kDiscarded); !status.ok()) return status;
  }
  const absl::StatusOr<bool> discarded = volume.is(kDiscarded);
  if (!discarded.ok()) return discarded.status();
  if (!*discarded) return absl::OkStatus();  // another restore's volume, or none's
  return Volume::remove(volume.before());
}

}  // namespace holdfast::backup
