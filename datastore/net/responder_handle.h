#pragma once

#include <memory>

#include "datastore/net/http.h"

namespace holdfast::net {

/// What a handler holds: forwards to `exchange`, answers 500 if let go of unanswered, and may be
/// let go of on any thread.
HttpResponderRef responder_handle(std::shared_ptr<HttpResponder> exchange);

/// 1xx, 204 and 304 have no body and no content-length.
inline bool http_status_has_no_body(int status) {
  return status < 200 || status == 204 || status == 304;
}

}  // namespace holdfast::net
