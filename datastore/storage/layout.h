#pragma once

#include <string>

namespace holdfast::storage {

/// Where things are in the data directory; see FORMAT.md. Pure: touches no disk.
inline std::string member_directory(const std::string& data_dir) {
  return data_dir + "/member";
}
inline std::string wal_directory(const std::string& data_dir) {
  return data_dir + "/member/wal";
}
inline std::string store_directory(const std::string& data_dir) {
  return data_dir + "/member/store";
}

}  // namespace holdfast::storage
