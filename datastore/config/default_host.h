#pragma once

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "datastore/config/options.h"
#include "datastore/config/validate.h"

namespace holdfast::config {

/// This machine's address on its default route, IPv4 before IPv6, without brackets. Asks the
/// kernel's routing table and sends nothing. Errors: NotFound without a default route.
absl::StatusOr<std::string> default_host();

using FindHost = std::function<absl::StatusOr<std::string>()>;

/// Who listens on 0.0.0.0 and advertises "localhost" by default is reached by nobody else: as in
/// etcd, the default URL to advertise, and that one only, gets the host that `find` names and the
/// port listened on. Without one it stays, and a notice says so.
void advertise_default_host(const FindHost& find, Options& options, std::vector<Notice>& notices);

}  // namespace holdfast::config
