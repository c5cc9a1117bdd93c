#pragma once

#include "absl/status/status.h"
#include "datastore/config/options.h"
#include "datastore/telemetry/log.h"

namespace holdfast::cli {

/// --auto-tls and --peer-auto-tls: fills in the certificate and key of an endpoint that has none
/// with a generated one in <data-dir>/fixtures/client or …/peer, as etcd does. Made once; an
/// expired one is replaced only when its files are removed, so that whoever trusts it is asked
/// first. Errors: what the file system answers, naming the file.
absl::Status use_generated_certificates(config::Options& options, telemetry::Logger& log);

}  // namespace holdfast::cli
