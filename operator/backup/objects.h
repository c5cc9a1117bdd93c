#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datastore/base/bytes.h"

namespace holdfast::backup {

struct StoredFile {
  std::string name;  ///< in its folder
  std::int64_t size_bytes = 0;
};

/// Their names go through a pipe before anything is read of it: they must fit.
inline constexpr std::size_t kMaxFetchedFiles = 200;

/// What an archive's keeping and reading need of where objects are stored: Rclone, or a test's
/// model.
///
/// Errors of every call: Unavailable, DeadlineExceeded, Cancelled, as Rclone's.
class Objects {
 public:
  virtual ~Objects() = default;

  /// The whole object if it is no larger than `max_bytes`. Errors: NotFound; OutOfRange.
  virtual absl::StatusOr<Bytes> read_small(std::string_view object,
                                           std::size_t max_bytes) const = 0;
  /// The files in a folder; none if there is no such folder. Errors: OutOfRange for more text than
  /// `max_bytes`.
  virtual absl::StatusOr<std::vector<StoredFile>> list(std::string_view folder,
                                                       std::size_t max_bytes) const = 0;
  /// The folders in a folder; none if there is no such folder. Errors: as list().
  virtual absl::StatusOr<std::vector<std::string>> list_folders(std::string_view folder,
                                                                std::size_t max_bytes) const = 0;
  /// One that nothing is in, where the target knows such. Errors: Unavailable for any other.
  virtual absl::Status remove_folder(std::string_view folder) const = 0;
  /// Files of a folder, at most kMaxFetchedFiles, into a folder of this machine, several at a time.
  /// One that is not there is left out.
  virtual absl::Status fetch(std::string_view folder, const std::vector<std::string>& names,
                             const std::string& into) const = 0;
  /// Ok too if there is none.
  virtual absl::Status remove(std::string_view object) const = 0;
  /// As people are told where it is.
  virtual std::string place_of(std::string_view object) const = 0;
};

}  // namespace holdfast::backup
