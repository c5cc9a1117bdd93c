#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datastore/base/bytes.h"
#include "operator/backup/objects.h"

namespace holdfast::backup {

struct RcloneOptions {
  std::string program = "/usr/bin/rclone";
  /// What objects' names are put behind: "target:bucket/prefix", or a directory.
  std::string remote;
  /// No byte moved for this long: given up. Longer than rclone's own limits on a connection.
  std::chrono::milliseconds stall{180'000};
  /// How long rclone has to end by itself, and so to abort what it has begun, once it is asked to.
  std::chrono::milliseconds patience{10'000};
  /// Set by whoever wants everything to end soon. May be null.
  const std::atomic<bool>* stopping = nullptr;
};

/// Stored objects, by rclone: one process for each call, its settings and secrets in the
/// environment (RCLONE_CONFIG_…), never on its command line. Streams only, no file of ours between.
///
/// Errors of every call: Unavailable, with rclone's last words (addresses' queries, which may hold
/// signatures, cut out); DeadlineExceeded for a stall; Cancelled when stopping. One thread.
class Rclone final : public Objects {
 public:
  class Upload;
  using Sink = std::function<absl::Status(BytesView)>;

  explicit Rclone(RcloneOptions options) : options_(std::move(options)) {}

  /// Begins to store an object, in the place of one that is there.
  absl::StatusOr<std::unique_ptr<Upload>> upload(std::string_view object) const;
  /// The whole object, in pieces. Errors: NotFound; what `sink` returned.
  absl::Status read(std::string_view object, const Sink& sink) const;
  absl::StatusOr<Bytes> read_small(std::string_view object, std::size_t max_bytes) const override;
  /// Stores a small object at once.
  absl::Status write_small(std::string_view object, BytesView bytes) const;
  absl::StatusOr<std::vector<StoredFile>> list(std::string_view folder,
                                               std::size_t max_bytes) const override;
  absl::StatusOr<std::vector<std::string>> list_folders(std::string_view folder,
                                                        std::size_t max_bytes) const override;
  absl::Status remove_folder(std::string_view folder) const override;
  absl::Status fetch(std::string_view folder, const std::vector<std::string>& names,
                     const std::string& into) const override;
  absl::Status remove(std::string_view object) const override;
  std::string place_of(std::string_view object) const override;

 private:
  /// What lsf says of it; nothing if there is no such folder.
  absl::StatusOr<std::vector<std::string>> list_lines(std::string_view folder,
                                                      std::vector<std::string> flags,
                                                      std::size_t max_bytes) const;
  absl::Status confirm_absence(std::string_view object) const;

  const RcloneOptions options_;
};

/// One object on its way. Destruction abandons it.
class Rclone::Upload {
 public:
  ~Upload();
  Upload(const Upload&) = delete;
  Upload& operator=(const Upload&) = delete;

  absl::Status write(BytesView bytes);
  /// Nothing follows: waits until the target has taken all of it.
  absl::Status finish();
  /// The object is not to come into being, as far as rclone can prevent it. What may be left is for
  /// the caller to remove.
  void abandon();

 private:
  friend class Rclone;
  class Child;
  explicit Upload(std::unique_ptr<Child> child);

  std::unique_ptr<Child> child_;
};

/// `text` without the queries of the addresses in it, and no longer than a few lines.
std::string without_secrets(std::string_view text);

}  // namespace holdfast::backup
