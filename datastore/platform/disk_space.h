#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace holdfast::platform {

/// The size of the file system that `path` is on, in bytes, taken or not; nothing if the kernel
/// does not tell. Any thread.
std::optional<std::uint64_t> file_system_bytes(const std::string& path);

}  // namespace holdfast::platform
