#include "operator/kube/watch_event.h"

#include <utility>

#include "operator/kube/api_error.h"
#include "operator/kube/text.h"

namespace holdfast::kube {

absl::Status LineSplitter::add(std::string_view piece,
                               absl::FunctionRef<absl::Status(std::string_view)> line) {
  while (true) {
    const std::size_t end = piece.find('\n');
    const std::string_view part = piece.substr(0, end);
    if (pending_.size() + part.size() > max_line_bytes_) {
      return absl::ResourceExhaustedError(
          concat("an event of the watch is larger than ", max_line_bytes_, " bytes"));
    }
    if (end == std::string_view::npos) {
      pending_.append(part);
      return absl::OkStatus();
    }
    piece.remove_prefix(end + 1);
    absl::Status status;
    if (pending_.empty()) {
      status = part.empty() ? absl::OkStatus() : line(part);
    } else {
      pending_.append(part);
      const std::string whole = std::exchange(pending_, {});
      status = line(whole);
    }
    if (!status.ok()) {
      return status;
    }
  }
}

absl::StatusOr<WatchEvent> parse_watch_event(std::string_view line) {
  absl::StatusOr<Json> parsed = parse_json(line);
  if (!parsed.ok()) {
    return absl::InternalError(concat("watch: ", parsed.status().message()));
  }
  const std::string_view type = text_at(*parsed, {"type"});
  const Json* object = find_at(*parsed, {"object"});
  if (object == nullptr || !object->is_object()) {
    return absl::InternalError("watch: an event without an object");
  }
  if (type == "ERROR") {
    const int code = static_cast<int>(integer_at(*object, {"code"}).value_or(500));
    return to_status(read_error(code, to_text(*object), std::chrono::seconds(0), false), "watch");
  }
  WatchEvent event;
  if (type == "ADDED") {
    event.type = WatchEvent::Type::kAdded;
  } else if (type == "MODIFIED") {
    event.type = WatchEvent::Type::kModified;
  } else if (type == "DELETED") {
    event.type = WatchEvent::Type::kDeleted;
  } else if (type == "BOOKMARK") {
    event.type = WatchEvent::Type::kBookmark;
  } else {
    return absl::InternalError(concat("watch: an event of unknown type '", type, "'"));
  }
  event.object = std::move((*parsed)["object"]);
  return event;
}

}  // namespace holdfast::kube
