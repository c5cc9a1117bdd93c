#include "operator/backup/target.h"

#include <utility>

#include "operator/api/text.h"

namespace holdfast::backup {
namespace {

using nlohmann::json;

constexpr int kSecretMode = 0440;

/// RCLONE_CONFIG_TARGET_<NAME>: a setting of the remote "target".
class Environment {
 public:
  explicit Environment(json& out) : out_(out) {}

  void set(std::string_view name, const std::string& value) {
    if (!value.empty()) add(setting(name), value);
  }
  void set_from(std::string_view name, const api::LocalReference& secret, std::string_view key,
                bool optional = false) {
    add_from(setting(name), secret, key, optional);
  }
  void add(std::string name, const std::string& value) {
    out_.push_back({{"name", std::move(name)}, {"value", value}});
  }
  void add_from(std::string name, const api::LocalReference& secret, std::string_view key,
                bool optional) {
    json reference = {{"name", secret.name}, {"key", key}};
    if (optional) reference["optional"] = true;
    out_.push_back(
        {{"name", std::move(name)}, {"valueFrom", {{"secretKeyRef", std::move(reference)}}}});
  }

 private:
  static std::string setting(std::string_view name) {
    return api::str_cat("RCLONE_CONFIG_TARGET_", name);
  }

  json& out_;
};

std::string below(std::string_view first, std::string_view second) {
  return second.empty() ? std::string(first) : api::str_cat(first, "/", second);
}

/// Without slashes at its end.
std::string_view trimmed(std::string_view prefix) {
  while (prefix.ends_with('/')) prefix.remove_suffix(1);
  return prefix;
}

void add_secret_volume(TargetAccess& access, std::string_view name, const std::string& secret,
                       std::string_view folder) {
  access.volumes.push_back(
      {{"name", name}, {"secret", {{"secretName", secret}, {"defaultMode", kSecretMode}}}});
  access.mounts.push_back({{"name", name}, {"mountPath", folder}, {"readOnly", true}});
}

void add(TargetAccess& access, const api::S3Target& s3) {
  Environment set(access.environment);
  set.set("TYPE", "s3");
  set.set("PROVIDER", s3.endpoint.empty() ? "AWS" : "Other");
  set.set("ENDPOINT", s3.endpoint);
  set.set("REGION", s3.region);
  set.set("FORCE_PATH_STYLE", s3.path_style ? "true" : "false");
  if (s3.credentials_secret_ref.name.empty()) {
    set.set("ENV_AUTH", "true");
  } else {
    set.set_from("ACCESS_KEY_ID", s3.credentials_secret_ref, "accessKeyId");
    set.set_from("SECRET_ACCESS_KEY", s3.credentials_secret_ref, "secretAccessKey");
    set.set_from("SESSION_TOKEN", s3.credentials_secret_ref, "sessionToken", true);
  }
  if (!s3.ca_secret_ref.name.empty()) {
    add_secret_volume(access, "target-ca", s3.ca_secret_ref.name, kTargetCaFolder);
    set.add("RCLONE_CA_CERT", api::str_cat(kTargetCaFolder, "/ca.crt"));
  }
  access.remote = below(api::str_cat("target:", s3.bucket), trimmed(s3.prefix));
}

void add(TargetAccess& access, const api::GcsTarget& gcs) {
  Environment set(access.environment);
  set.set("TYPE", "google cloud storage");
  set.set("ENDPOINT", gcs.endpoint);
  set.set("BUCKET_POLICY_ONLY", "true");
  if (!gcs.credentials_secret_ref.name.empty()) {
    set.set_from("SERVICE_ACCOUNT_CREDENTIALS", gcs.credentials_secret_ref, "serviceAccount.json");
  }
  access.remote = below(api::str_cat("target:", gcs.bucket), trimmed(gcs.prefix));
}

void add(TargetAccess& access, const api::AzureTarget& azure) {
  Environment set(access.environment);
  const std::string endpoint =
      azure.endpoint.empty() ? api::str_cat("https://", azure.account, ".blob.core.windows.net")
                             : std::string(trimmed(azure.endpoint));
  set.set("TYPE", "azureblob");
  set.set("ACCOUNT", azure.account);
  set.set("ENDPOINT", azure.endpoint);
  if (azure.credentials_secret_ref.name.empty()) {
    set.set("USE_MSI", "true");
  } else {
    // One of the two is there; the worker makes an address of the second.
    set.set_from("KEY", azure.credentials_secret_ref, "accountKey", true);
    set.add_from("HOLDFAST_AZURE_SAS_TOKEN", azure.credentials_secret_ref, "sasToken", true);
    set.add("HOLDFAST_AZURE_CONTAINER_URL", api::str_cat(endpoint, "/", azure.container));
  }
  access.remote = below(api::str_cat("target:", azure.container), trimmed(azure.prefix));
}

void add(TargetAccess& access, const api::ClaimTarget& claim) {
  access.volumes.push_back(
      {{"name", "target"}, {"persistentVolumeClaim", {{"claimName", claim.claim_name}}}});
  access.mounts.push_back({{"name", "target"}, {"mountPath", kTargetFolder}});
  access.remote = below(kTargetFolder, trimmed(claim.path));
}

}  // namespace

bool is_encrypted(const api::BackupTarget& target) {
  return target.encryption && !target.encryption->secret_ref.name.empty();
}

TargetAccess access_to(const api::BackupTarget& target) {
  TargetAccess access;
  if (target.s3) add(access, *target.s3);
  if (target.gcs) add(access, *target.gcs);
  if (target.azure) add(access, *target.azure);
  if (target.pvc) add(access, *target.pvc);
  if (is_encrypted(target)) {
    add_secret_volume(access, "keys", target.encryption->secret_ref.name, kKeysFolder);
  }
  return access;
}

std::string uri_of(const api::BackupTarget& target, std::string_view object) {
  const auto join = [&](std::string_view scheme, const std::string& place,
                        const std::string& prefix) {
    return below(below(api::str_cat(scheme, "://", place), trimmed(prefix)), object);
  };
  if (target.s3) return join("s3", target.s3->bucket, target.s3->prefix);
  if (target.gcs) return join("gs", target.gcs->bucket, target.gcs->prefix);
  if (target.azure) {
    return join("azblob", api::str_cat(target.azure->account, "/", target.azure->container),
                target.azure->prefix);
  }
  if (target.pvc) return join("pvc", target.pvc->claim_name, target.pvc->path);
  return {};
}

}  // namespace holdfast::backup
