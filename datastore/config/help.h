#pragma once

#include <string>

namespace holdfast::config {

/// Every flag in groups, with kind, default and meaning, wrapped at 100 columns.
std::string help_text();

/// Our release, the etcd API level, and how the binary was built.
std::string version_text();

/// The few lines printed after a wrong flag.
std::string usage_text();

}  // namespace holdfast::config
