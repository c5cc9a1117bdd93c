#pragma once

#include "operator/api/backup_target.h"
#include "operator/api/json_fields.h"

namespace holdfast::api {

void fields(auto& visit, is<S3Target> auto& s3) {
  visit("bucket", s3.bucket);
  visit("prefix", s3.prefix);
  visit("endpoint", s3.endpoint);
  visit("region", s3.region);
  visit("pathStyle", s3.path_style);
  visit("credentialsSecretRef", s3.credentials_secret_ref);
  visit("caSecretRef", s3.ca_secret_ref);
}

void fields(auto& visit, is<GcsTarget> auto& gcs) {
  visit("bucket", gcs.bucket);
  visit("prefix", gcs.prefix);
  visit("endpoint", gcs.endpoint);
  visit("credentialsSecretRef", gcs.credentials_secret_ref);
}

void fields(auto& visit, is<AzureTarget> auto& azure) {
  visit("account", azure.account);
  visit("container", azure.container);
  visit("prefix", azure.prefix);
  visit("endpoint", azure.endpoint);
  visit("credentialsSecretRef", azure.credentials_secret_ref);
}

void fields(auto& visit, is<ClaimTarget> auto& claim) {
  visit("claimName", claim.claim_name);
  visit("path", claim.path);
}

void fields(auto& visit, is<BackupEncryption> auto& encryption) {
  visit("secretRef", encryption.secret_ref);
}

void fields(auto& visit, is<BackupTarget> auto& target) {
  visit("s3", target.s3);
  visit("gcs", target.gcs);
  visit("azure", target.azure);
  visit("pvc", target.pvc);
  visit("encryption", target.encryption);
}

void fields(auto& visit, is<StoredBackup> auto& stored) {
  visit("target", stored.target);
  visit("object", stored.object);
  visit("sha256", stored.sha256);
}

void fields(auto& visit, is<RestorePoint> auto& point) {
  visit.unless_zero("revision", point.revision);
  visit("time", point.time);
}

}  // namespace holdfast::api
