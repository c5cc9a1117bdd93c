#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "operator/kube/json.h"

namespace holdfast::kube {

/// Cuts a stream of pieces into lines. One thread.
class LineSplitter {
 public:
  explicit LineSplitter(std::size_t max_line_bytes) : max_line_bytes_(max_line_bytes) {}

  /// Calls `line` for each line that `piece` ends, without its newline and unless it is empty,
  /// until that returns an error, which is returned. The view is good during the call.
  /// Errors besides: ResourceExhausted if a line is longer than the bound.
  absl::Status add(std::string_view piece, absl::FunctionRef<absl::Status(std::string_view)> line);

  /// Bytes of a line whose end has not come.
  std::size_t pending_bytes() const { return pending_.size(); }

 private:
  std::size_t max_line_bytes_;
  std::string pending_;
};

/// One line of a watch.
struct WatchEvent {
  enum class Type { kAdded, kModified, kDeleted, kBookmark };
  Type type = Type::kAdded;
  Json object;
};

/// Errors: that of an ERROR event as the API's own (is_expired for 410); Internal if it is not an
/// event.
absl::StatusOr<WatchEvent> parse_watch_event(std::string_view line);

}  // namespace holdfast::kube
