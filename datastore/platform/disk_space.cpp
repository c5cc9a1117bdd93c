#include "datastore/platform/disk_space.h"

#include <sys/statvfs.h>

namespace holdfast::platform {

std::optional<std::uint64_t> file_system_bytes(const std::string& path) {
  struct statvfs found{};
  if (::statvfs(path.c_str(), &found) != 0) return std::nullopt;
  return std::uint64_t{found.f_blocks} * found.f_frsize;
}

}  // namespace holdfast::platform
