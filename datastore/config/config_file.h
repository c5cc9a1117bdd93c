#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "datastore/config/options.h"
#include "datastore/config/validate.h"

namespace holdfast::config {

/// Reads the YAML or JSON file of --config-file over `options` (its defaults). Keys are the flags'
/// names, except that TLS, socket and discovery settings stand in sections as in etcd
/// (client-transport-security, peer-transport-security, socket-options, discovery-config), and that
/// durations are whole nanoseconds. A key that no flag has is passed over with a notice, as etcd
/// passes it over without.
/// Errors: InvalidArgument naming the file, the key and what is wrong with it.
absl::Status read_config_file(const std::string& path, Options& options,
                              std::vector<Notice>& notices);

/// The same from the file's content; path is for messages.
absl::Status read_config_text(const std::string& path, const std::string& text, Options& options,
                              std::vector<Notice>& notices);

}  // namespace holdfast::config
