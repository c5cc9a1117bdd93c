#pragma once

#include <string>
#include <string_view>

#include "absl/functional/any_invocable.h"
#include "datastore/net/http.h"

namespace holdfast::http {

/// A whole answer.
struct Reply {
  int status = 200;
  net::HttpHeaders headers;
  Bytes body;
};
/// Takes the answer, once, on any thread.
using ReplyDone = absl::AnyInvocable<void(Reply)>;

inline constexpr std::string_view kPlainText = "text/plain; charset=utf-8";

/// As Go's http.Error: the text and a newline, not to be sniffed.
Reply text_error(int status, std::string_view text);
Reply not_found();
/// 405 that allows GET, in etcd's words.
Reply only_get();
Reply json_reply(int status, Bytes body);

}  // namespace holdfast::http
