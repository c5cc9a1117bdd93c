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
/// States received from a leader, until they are installed.
inline std::string snapshot_directory(const std::string& data_dir) {
  return data_dir + "/member/snap";
}
inline std::string store_directory(const std::string& data_dir) {
  return data_dir + "/member/store";
}

}  // namespace holdfast::storage
