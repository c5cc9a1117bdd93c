#include "operator/backup/manifest.h"

#include <algorithm>

#include "nlohmann/json.hpp"
#include "operator/api/condition.h"
#include "operator/api/text.h"
#include "operator/backup/moment.h"
#include "operator/backup/verdict.h"

namespace holdfast::backup {
namespace {

using nlohmann::json;

constexpr int kFormatVersion = 1;

/// Of what came from outside: nothing here throws.
std::string text_at(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}
std::int64_t number_at(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_number_integer() ? found->get<std::int64_t>() : 0;
}
bool truth_at(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_boolean() && found->get<bool>();
}

json to_json(const Manifest& manifest) {
  json out = {{"formatVersion", kFormatVersion},
              {"object", manifest.object},
              {"sizeBytes", manifest.size_bytes},
              {"sha256", manifest.sha256},
              {"snapshotSizeBytes", manifest.snapshot_size_bytes},
              {"snapshotSha256", manifest.snapshot_sha256},
              {"namespace", manifest.ns},
              {"cluster", manifest.cluster},
              {"clusterID", manifest.cluster_id},
              {"member", manifest.member},
              {"version", manifest.version},
              {"revision", manifest.revision},
              {"logIndex", manifest.log_index},
              {"hash", manifest.hash},
              {"compactRevision", manifest.compact_revision},
              {"takenAt", moment(manifest.taken_at)}};
  if (!manifest.key_id.empty()) {
    out["encryption"] = {{"cipher", "AES-256-GCM"}, {"keyID", manifest.key_id}};
  }
  return out;
}

Manifest from_json(const json& object) {
  Manifest manifest;
  manifest.object = text_at(object, "object");
  manifest.size_bytes = number_at(object, "sizeBytes");
  manifest.sha256 = text_at(object, "sha256");
  manifest.snapshot_size_bytes = number_at(object, "snapshotSizeBytes");
  manifest.snapshot_sha256 = text_at(object, "snapshotSha256");
  manifest.ns = text_at(object, "namespace");
  manifest.cluster = text_at(object, "cluster");
  manifest.cluster_id = text_at(object, "clusterID");
  manifest.member = text_at(object, "member");
  manifest.version = text_at(object, "version");
  manifest.revision = number_at(object, "revision");
  manifest.log_index =
      static_cast<std::uint64_t>(std::max<std::int64_t>(number_at(object, "logIndex"), 0));
  manifest.hash = static_cast<std::uint32_t>(number_at(object, "hash"));
  manifest.compact_revision = number_at(object, "compactRevision");
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, text_at(object, "takenAt"), &manifest.taken_at,
                       &error)) {
    manifest.taken_at = absl::UnixEpoch();
  }
  const auto encryption = object.find("encryption");
  if (encryption != object.end() && encryption->is_object()) {
    manifest.key_id = text_at(*encryption, "keyID");
  }
  return manifest;
}

std::string dump(const json& object) {
  return object.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace

std::string manifest_name(std::string_view object) {
  return api::str_cat(object, ".manifest.json");
}

std::string write_manifest(const Manifest& manifest) {
  return dump(to_json(manifest)) + "\n";
}

absl::StatusOr<Manifest> read_manifest(std::string_view text) {
  const json object = json::parse(text, nullptr, false);
  if (!object.is_object()) return absl::DataLossError("the manifest is not JSON");
  const std::int64_t format = number_at(object, "formatVersion");
  if (format > kFormatVersion) {
    return absl::FailedPreconditionError(
        api::str_cat("the manifest has format ", format, ": restore with a newer operator"));
  }
  Manifest manifest = from_json(object);
  if (format < 1 || manifest.object.empty() || manifest.sha256.size() != 64) {
    return absl::DataLossError("the manifest lacks what every manifest has");
  }
  return manifest;
}

std::string write_verdict(const Verdict& verdict) {
  json out = {{"succeeded", verdict.succeeded},
              {"retryable", verdict.retryable},
              {"leftover", verdict.leftover},
              {"reason", verdict.reason},
              {"message", api::clamp_text(verdict.message, kMaxVerdictMessageBytes)}};
  if (verdict.manifest) out["manifest"] = to_json(*verdict.manifest);
  if (verdict.restore_seconds > 0) out["restoreSeconds"] = verdict.restore_seconds;
  return dump(out);
}

std::optional<Verdict> read_verdict(std::string_view text) {
  const json object = json::parse(text, nullptr, false);
  if (!object.is_object() || !object.contains("succeeded")) return std::nullopt;
  Verdict verdict;
  verdict.succeeded = truth_at(object, "succeeded");
  verdict.retryable = truth_at(object, "retryable");
  verdict.leftover = truth_at(object, "leftover");
  verdict.reason = text_at(object, "reason");
  verdict.message = text_at(object, "message");
  const auto manifest = object.find("manifest");
  if (manifest != object.end() && manifest->is_object()) verdict.manifest = from_json(*manifest);
  const auto seconds = object.find("restoreSeconds");
  if (seconds != object.end() && seconds->is_number())
    verdict.restore_seconds = seconds->get<double>();
  return verdict;
}

}  // namespace holdfast::backup
