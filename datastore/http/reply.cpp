#include "datastore/http/reply.h"

namespace holdfast::http {

Reply text_error(int status, std::string_view text) {
  return {status,
          {{"content-type", std::string(kPlainText)}, {"x-content-type-options", "nosniff"}},
          std::string(text) + "\n"};
}

Reply not_found() {
  return text_error(404, "404 page not found");
}

Reply only_get() {
  Reply reply = text_error(405, "Method Not Allowed");
  reply.headers.emplace_back("allow", "GET");
  return reply;
}

Reply json_reply(int status, Bytes body) {
  return {status, {{"content-type", "application/json"}}, std::move(body)};
}

}  // namespace holdfast::http
