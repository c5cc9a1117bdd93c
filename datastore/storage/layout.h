#pragma once

#include <string>

#include "absl/strings/str_cat.h"
#include "datastore/base/ids.h"

namespace holdfast::storage {

/// Where things are in the data directory; see FORMAT.md. Pure: touches no disk.
inline std::string member_directory(const std::string& data_dir) {
  return data_dir + "/member";
}
inline std::string wal_directory(const std::string& data_dir) {
  return data_dir + "/member/wal";
}
/// An encrypted directory's own key, wrapped (crypto/FORMAT.md).
inline std::string key_path(const std::string& data_dir) {
  return data_dir + "/member/keys";
}
/// States received from a leader, until they are installed.
inline std::string snapshot_directory(const std::string& data_dir) {
  return data_dir + "/member/snap";
}
inline std::string store_directory(const std::string& data_dir) {
  return data_dir + "/member/store";
}

/// etcd's name for the state at `index`: its 16 hex digits. A file that is not complete yet has
/// something more at the end.
inline constexpr char kSnapshotSuffix[] = ".snap.db";
inline std::string snapshot_file_name(Index index) {
  return absl::StrCat(absl::Hex(index.value, absl::kZeroPad16), kSnapshotSuffix);
}

}  // namespace holdfast::storage
