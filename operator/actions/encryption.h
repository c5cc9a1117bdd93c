#pragma once

#include <string>

#include "absl/status/status.h"
#include "operator/actions/news.h"
#include "operator/actions/pass.h"
#include "operator/actions/writer.h"
#include "operator/api/cluster_status.h"

namespace holdfast::actions {

/// Carries out one step of the planner of encryption: one write of a Secret. Each may be repeated,
/// and each names the version of the Secret that was seen: a write that finds another is no
/// failure, the next pass looks again. Keys leave only into Secrets.
absl::Status carry_out(Writer& write, const Pass& pass, const reconcile::EncryptionStep& step);

/// What users are told of a step that was carried out.
News news_of(const Pass& pass, const reconcile::EncryptionStep& step);

/// Has the Secrets with keys go with the cluster exactly if its volumes do.
absl::Status hold_key_secrets(Writer& write, const Pass& pass);

/// What status says of keys after this pass.
void write_encryption_status(const Pass& pass, api::ClusterStatus& status);

/// Changes with the keys that members mount: see certificates_mark. Empty while there are none.
std::string keys_mark(const Pass& pass);

}  // namespace holdfast::actions
