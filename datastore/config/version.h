#pragma once

#include <string_view>

namespace holdfast::config {

/// Our own release, from the build: "0.1.0".
std::string_view release();

/// The etcd API level that we announce in /version and Status, from the build: "3.7.1". Apiservers
/// gate features on it, and members agree on the lowest among them as the cluster's version.
std::string_view etcd_version();

}  // namespace holdfast::config
