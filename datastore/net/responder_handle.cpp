#include "datastore/net/responder_handle.h"

namespace holdfast::net {
namespace {

void let_go(const std::shared_ptr<HttpResponder>& exchange) {
  if (!exchange->active()) return;
  exchange->respond(500, {{"content-type", "text/plain; charset=utf-8"}},
                    "the server lost this request\n");
  // Started but never finished: the client must not wait for ever, nor take it for whole.
  exchange->abandon();
}

}  // namespace

HttpResponderRef responder_handle(std::shared_ptr<HttpResponder> exchange) {
  HttpResponder* const bare = exchange.get();
  return HttpResponderRef(bare, [exchange = std::move(exchange)](HttpResponder*) mutable {
    EventLoop& loop = exchange->loop();
    if (loop.in_loop_thread()) return let_go(exchange);
    loop.post([exchange = std::move(exchange)] { let_go(exchange); });
  });
}

}  // namespace holdfast::net
