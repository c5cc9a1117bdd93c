#pragma once

#include <string>
#include <string_view>

#include "nlohmann/json.hpp"
#include "operator/api/backup_target.h"

/// How a worker's Pod reaches where backups are kept. Pure.
namespace holdfast::backup {

/// Where a claim, a CA and the sealing keys are mounted in a worker.
inline constexpr std::string_view kTargetFolder = "/var/lib/holdfast-target";
inline constexpr std::string_view kTargetCaFolder = "/etc/holdfast/target-ca";
inline constexpr std::string_view kKeysFolder = "/etc/holdfast/keys";

/// What a Pod needs for it, as parts of its JSON. Secrets come by reference, into the environment:
/// none is on a command line, and none passes through the operator.
struct TargetAccess {
  std::string remote;  ///< --remote
  nlohmann::json environment = nlohmann::json::array();
  nlohmann::json volumes = nlohmann::json::array();
  nlohmann::json mounts = nlohmann::json::array();
};

TargetAccess access_to(const api::BackupTarget& target);

/// Whether objects are sealed, so that a worker needs --keys.
bool is_encrypted(const api::BackupTarget& target);

/// For people and status: "s3://bucket/prefix/object".
std::string uri_of(const api::BackupTarget& target, std::string_view object);

}  // namespace holdfast::backup
