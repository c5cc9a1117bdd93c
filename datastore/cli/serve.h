#pragma once

#include <vector>

#include "datastore/config/options.h"
#include "datastore/config/validate.h"

namespace holdfast::cli {

/// Runs a member until SIGTERM or SIGINT, or until it can't go on; returns the process's exit code.
/// Everything it has to say is logged.
int serve(const config::Options& options, const std::vector<config::Notice>& notices);

}  // namespace holdfast::cli
