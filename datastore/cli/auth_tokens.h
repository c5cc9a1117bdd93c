#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "datastore/config/options.h"
#include "datastore/crypto/tokens.h"
#include "datastore/ports/clock.h"
#include "datastore/ports/random.h"

namespace holdfast::cli {

/// The tokens that --auth-token asks for: "simple", or "jwt,sign-method=…,priv-key=…,pub-key=…,
/// ttl=…" as etcd has it. Reads the key files. Errors: InvalidArgument, a sentence for the user.
absl::StatusOr<std::unique_ptr<crypto::Tokens>> open_tokens(const config::Options& options,
                                                            const ports::Clock& clock,
                                                            ports::Random& random);

}  // namespace holdfast::cli
