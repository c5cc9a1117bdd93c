#include "operator/backup/archive_head.h"

#include <algorithm>

#include "operator/api/condition.h"
#include "operator/api/text.h"
#include "operator/kube/json.h"

namespace holdfast::backup {
namespace {

constexpr int kFormatVersion = 1;
constexpr std::size_t kMaxTroubleBytes = 1500;
/// A time to the millisecond, as the segments have it.
constexpr std::string_view kTimeFormat = "%Y-%m-%dT%H:%M:%E3SZ";

std::int64_t number_at(const kube::Json& object, std::string_view name) {
  return std::max<std::int64_t>(kube::integer_at(object, {name}).value_or(0), 0);
}

}  // namespace

std::string write_head(const ArchiveHead& head) {
  kube::Json out = {{"formatVersion", kFormatVersion}, {"clusterID", head.cluster_id},
                    {"afterIndex", head.after_index},  {"endIndex", head.end_index},
                    {"revision", head.revision},       {"storedBytes", head.stored_bytes},
                    {"segments", head.segments}};
  if (head.until) {
    out["until"] = absl::FormatTime(api::to_absl(kTimeFormat), *head.until, absl::UTCTimeZone());
  }
  if (!head.trouble.empty()) out["trouble"] = api::clamp_text(head.trouble, kMaxTroubleBytes);
  return kube::to_text(out) + "\n";
}

absl::StatusOr<ArchiveHead> read_head(std::string_view text) {
  const absl::StatusOr<kube::Json> object = kube::parse_json(text);
  if (!object.ok() || !object->is_object())
    return absl::DataLossError("the archive's head is not JSON");
  const std::int64_t format = number_at(*object, "formatVersion");
  if (format > kFormatVersion) {
    return absl::FailedPreconditionError(
        api::str_cat("the archive's head has format ", format, ": use a newer operator"));
  }
  ArchiveHead head;
  head.cluster_id = std::string(kube::text_at(*object, {"clusterID"}));
  head.after_index = static_cast<std::uint64_t>(number_at(*object, "afterIndex"));
  head.end_index = static_cast<std::uint64_t>(number_at(*object, "endIndex"));
  head.revision = number_at(*object, "revision");
  head.stored_bytes = number_at(*object, "storedBytes");
  head.segments =
      static_cast<std::int32_t>(std::min<std::int64_t>(number_at(*object, "segments"), INT32_MAX));
  head.trouble = api::clamp_text(kube::text_at(*object, {"trouble"}), kMaxTroubleBytes);
  absl::Time until;
  std::string error;
  if (absl::ParseTime(absl::RFC3339_full, std::string(kube::text_at(*object, {"until"})), &until,
                      &error)) {
    head.until = until;
  }
  if (format < 1 || head.cluster_id.empty() || head.end_index < head.after_index) {
    return absl::DataLossError("the archive's head lacks what every head has");
  }
  return head;
}

std::string archive_folder(std::string_view backup_object, std::string_view cluster_id) {
  const std::size_t slash = backup_object.rfind('/');
  const std::string_view folder =
      slash == std::string_view::npos ? std::string_view() : backup_object.substr(0, slash + 1);
  return api::str_cat(folder, "log-", cluster_id);
}

}  // namespace holdfast::backup
