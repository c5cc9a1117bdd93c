#pragma once

#include <vector>

#include "absl/status/status.h"
#include "datastore/config/options.h"
#include "datastore/config/validate.h"

namespace holdfast::config {

/// The certificate settings against each other and against the listen URLs. Part of validate.
/// notices: gets etcd's warnings about settings that a URL's scheme leaves unused.
/// Errors: InvalidArgument, etcd's where it has one: a secure URL without certificates, a
/// certificate without its key, two ways at once to say who may connect.
absl::Status check_tls(const Options& options, std::vector<Notice>& notices);

}  // namespace holdfast::config
