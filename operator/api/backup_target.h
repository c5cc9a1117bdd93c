#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "operator/api/metadata.h"

/// Where backups are kept: shared by HoldfastBackup, HoldfastBackupSchedule, HoldfastRestore and a
/// HoldfastCluster's bootstrap.
namespace holdfast::api {

/// Credentials, where a Secret is named: accessKeyId, secretAccessKey and, optionally,
/// sessionToken. Without one, the Pod's own identity.
struct S3Target {
  std::string bucket;
  std::string prefix;
  /// Empty: Amazon's for the region.
  std::string endpoint;
  std::string region;
  /// https://endpoint/bucket/key instead of https://bucket.endpoint/key.
  bool path_style = false;
  LocalReference credentials_secret_ref;
  /// ca.crt for an endpoint of one's own.
  LocalReference ca_secret_ref;

  friend bool operator==(const S3Target&, const S3Target&) = default;
};

/// serviceAccount.json in the Secret.
struct GcsTarget {
  std::string bucket;
  std::string prefix;
  std::string endpoint;
  LocalReference credentials_secret_ref;

  friend bool operator==(const GcsTarget&, const GcsTarget&) = default;
};

/// accountKey or sasToken in the Secret.
struct AzureTarget {
  std::string account;
  std::string container;
  std::string prefix;
  std::string endpoint;
  LocalReference credentials_secret_ref;

  friend bool operator==(const AzureTarget&, const AzureTarget&) = default;
};

struct ClaimTarget {
  std::string claim_name;
  /// A folder within the volume; relative, without "..".
  std::string path;

  friend bool operator==(const ClaimTarget&, const ClaimTarget&) = default;
};

/// Objects are sealed with the Secret's `key` before they leave the cluster; its other entries are
/// earlier keys, for what was sealed with those.
struct BackupEncryption {
  LocalReference secret_ref;

  friend bool operator==(const BackupEncryption&, const BackupEncryption&) = default;
};

/// Exactly one of the four places.
struct BackupTarget {
  std::optional<S3Target> s3;
  std::optional<GcsTarget> gcs;
  std::optional<AzureTarget> azure;
  std::optional<ClaimTarget> pvc;
  std::optional<BackupEncryption> encryption;

  friend bool operator==(const BackupTarget&, const BackupTarget&) = default;
};

/// A backup that no HoldfastBackup of the namespace describes.
struct StoredBackup {
  BackupTarget target;
  /// Its name under the target's prefix or path.
  std::string object;
  /// Refused unless it has this digest, if one is given; hexadecimal.
  std::string sha256;

  friend bool operator==(const StoredBackup&, const StoredBackup&) = default;
};

/// How far into the archive to go on after the backup: to one of the two, inclusive.
struct RestorePoint {
  std::int64_t revision = 0;
  std::optional<absl::Time> time;

  friend bool operator==(const RestorePoint&, const RestorePoint&) = default;
};

}  // namespace holdfast::api
