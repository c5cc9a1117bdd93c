#pragma once

#include <string>
#include <vector>

#include "operator/kube/client.h"
#include "operator/plugin/archive.h"
#include "operator/plugin/views.h"

namespace holdfast::plugin {

struct ReportOptions {
  /// One cluster's namespace, and the cluster (empty: all of the namespace).
  Scope scope;
  /// Where the operator runs, for its log; empty: without it.
  std::string operator_namespace;
};

/// Collects what somebody who helps from afar needs: our objects and those made for clusters,
/// events, and the end of Pods' logs. Never Secrets. What may not be read, or is not there, is
/// named in the archive's "missing.txt" and in `missing`, and is no error. Errors: the archive's
/// own.
absl::Status collect(kube::Client& client, const ReportOptions& options, Archive& archive,
                     std::vector<std::string>& missing);

}  // namespace holdfast::plugin
