#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace holdfast::plugin {

/// A .tar.gz put together in memory: POSIX ustar, then gzip. One thread.
class Archive {
 public:
  /// All files get this time.
  explicit Archive(absl::Time time) : time_(time) {}

  /// Adds a file. Errors: InvalidArgument for a path that ustar cannot hold (99 bytes);
  /// ResourceExhausted beyond kMaxBytes in all.
  absl::Status add(std::string_view path, std::string_view content);

  /// The whole archive. Errors: Internal, of the compressor.
  absl::StatusOr<std::string> finish();

  static constexpr std::size_t kMaxBytes = std::size_t{256} << 20;

 private:
  const absl::Time time_;
  std::string tar_;
};

}  // namespace holdfast::plugin
