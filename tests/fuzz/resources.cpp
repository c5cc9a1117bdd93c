// What an API server sends, as JSON, to every reader of operator/api: none may throw, and what one
// has read it writes in a form that reads and writes the same.

#include <cstddef>
#include <cstdint>

#include "datastore/base/check.h"
#include "nlohmann/json.hpp"
#include "operator/api/backup.h"
#include "operator/api/backup_schedule.h"
#include "operator/api/cluster.h"
#include "operator/api/operation.h"
#include "operator/api/restore.h"
#include "operator/api/version.h"

namespace {

using namespace holdfast::api;  // NOLINT: every resource there is

template <class Resource>
void read_and_write(nlohmann::json object) {
  object["kind"] = Resource::kKind;
  const auto once = read<Resource>(object);
  if (!once.ok()) return;
  const nlohmann::json written = write(*once);
  const auto twice = read<Resource>(written);
  HOLDFAST_CHECK(twice.ok());
  HOLDFAST_CHECK(write(*twice) == written);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto version = parse_version(text); version.ok()) {
    HOLDFAST_CHECK(parse_version(format_version(*version)) == version);
  }
  const nlohmann::json object = nlohmann::json::parse(text, nullptr, false);
  if (!object.is_object()) return 0;
  read_and_write<HoldfastCluster>(object);
  read_and_write<HoldfastOperation>(object);
  read_and_write<HoldfastBackup>(object);
  read_and_write<HoldfastBackupSchedule>(object);
  read_and_write<HoldfastRestore>(object);
  return 0;
}
