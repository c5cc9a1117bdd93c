#pragma once

#include <string_view>

namespace holdfast::config {

/// Our own release, from the build: "0.1.0".
std::string_view release();

/// The etcd API level that we announce in /version and Status: apiservers gate features on it.
inline constexpr std::string_view kEtcdVersion = "3.7.1";

}  // namespace holdfast::config
