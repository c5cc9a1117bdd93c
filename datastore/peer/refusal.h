#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "datastore/net/http.h"
#include "datastore/peer/peer_headers.h"

namespace holdfast::peer {

/// Answers in etcd's form for errors: the text and a newline. Peers compare the text.
inline void answer_error(net::HttpResponder& responder, const TransportOptions& options, int status,
                         std::string_view text) {
  net::HttpHeaders headers = stream_headers(options);
  headers.emplace_back("content-type", "text/plain; charset=utf-8");
  headers.emplace_back("x-content-type-options", "nosniff");
  responder.respond(status, std::move(headers), std::string(text) + "\n");
}

/// 405, with the method that would be right.
inline void answer_wrong_method(net::HttpResponder& responder, const TransportOptions& options,
                                const char* allowed) {
  net::HttpHeaders headers = stream_headers(options);
  headers.emplace_back("allow", allowed);
  headers.emplace_back("content-type", "text/plain; charset=utf-8");
  responder.respond(405, std::move(headers), "Method Not Allowed\n");
}

}  // namespace holdfast::peer
