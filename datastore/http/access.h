#pragma once

#include <optional>
#include <set>
#include <string>

#include "datastore/http/reply.h"
#include "datastore/net/http.h"
#include "datastore/telemetry/log.h"

namespace holdfast::http {

/// Who may call the pages on client URLs from a browser: --cors and --host-whitelist. Immutable.
class Access {
 public:
  /// A set that is empty or holds * allows all.
  Access(std::set<std::string> cors_origins, std::set<std::string> host_whitelist);

  /// The answer if the request's host is not allowed (421, against DNS rebinding) or the request
  /// asks what is allowed (OPTIONS); nothing if it may go on.
  std::optional<Reply> stop(const net::HttpRequest& request) const;
  /// Adds the Access-Control headers that the request's origin is given.
  void allow_origin(const net::HttpRequest& request, Reply& reply) const;

 private:
  static bool allows(const std::set<std::string>& set, const std::string& value);

  const std::set<std::string> cors_origins_;
  const std::set<std::string> host_whitelist_;
};

}  // namespace holdfast::http
