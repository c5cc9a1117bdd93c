#include "datastore/net/http1_client.h"

#include <algorithm>
#include <utility>

#include "datastore/net/http1_client_exchange.h"
#include "datastore/net/http1_fetch.h"
#include "datastore/net/text.h"

namespace holdfast::net {

std::optional<std::string_view> Http1Response::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return std::nullopt;
}

// --- Http1Call ---------------------------------------------------------------------------------

Http1Call::Http1Call(std::unique_ptr<Http1ClientExchange> exchange)
    : exchange_(std::move(exchange)) {
}

Http1Call::~Http1Call() {
  exchange_->cancel();
  EventLoop& loop = exchange_->loop();
  // It may be on the stack, or have an event of this turn still to come.
  loop.defer([owned = std::move(exchange_)] {});
}

void Http1Call::write(Bytes piece) {
  exchange_->write(Slice::own(std::move(piece)));
}
void Http1Call::write(Slice piece) {
  exchange_->write(std::move(piece));
}
void Http1Call::finish() {
  exchange_->finish();
}
std::size_t Http1Call::queued_bytes() const {
  return exchange_->queued_bytes();
}
void Http1Call::pause_reading() {
  exchange_->pause_reading();
}
void Http1Call::resume_reading() {
  exchange_->resume_reading();
}

// --- Http1Fetch --------------------------------------------------------------------------------

Http1Fetch::Http1Fetch(Http1Origin& origin, Http1Client::Done done)
    : origin_(origin), done_(std::move(done)) {
}

void Http1Fetch::cancel() {
  call_.reset();
  done_(absl::CancelledError(to_absl(concat(origin_.address.url, ": the client was closed"))));
}

void Http1Fetch::on_done(absl::Status status) {
  std::vector<std::unique_ptr<Http1Fetch>>& all = origin_.fetches;
  const auto found =
      std::find_if(all.begin(), all.end(), [this](const auto& each) { return each.get() == this; });
  const std::unique_ptr<Http1Fetch> self = std::move(*found);
  all.erase(found);
  if (status.ok()) {
    done_(std::move(response_));
  } else {
    done_(std::move(status));
  }
}

// --- Http1Client -------------------------------------------------------------------------------

Http1Client::Http1Client(EventLoop& loop, std::shared_ptr<const Dialer> dialer, DialAddress address,
                         Http1ClientOptions options)
    : origin_(std::make_shared<Http1Origin>(loop, std::move(dialer), std::move(address), options)) {
}

Http1Client::~Http1Client() {
  origin_->idle.close();
  // What is told may begin nothing new here: the list is taken first.
  const std::vector<std::unique_ptr<Http1Fetch>> fetches = std::move(origin_->fetches);
  origin_->fetches.clear();
  for (const std::unique_ptr<Http1Fetch>& fetch : fetches) fetch->cancel();
}

std::unique_ptr<Http1Call> Http1Client::start(Http1Request request, const Http1Limits& limits,
                                              Http1ResponseHandler& handler) {
  auto exchange = std::make_unique<Http1ClientExchange>(origin_, limits, handler);
  exchange->begin(std::move(request));
  return std::make_unique<Http1Call>(std::move(exchange));
}

void Http1Client::fetch(Http1Request request, Http1Limits limits, Done done) {
  std::vector<std::unique_ptr<Http1Fetch>>& fetches = origin_->fetches;
  if (fetches.size() >= origin_->options.max_fetches) {
    const std::string why = concat(origin_->address.url, ": ", fetches.size(),
                                   " requests are under way to it: it is slow or down");
    return origin_->loop.defer([done = std::move(done), why]() mutable {
      done(absl::ResourceExhaustedError(to_absl(why)));
    });
  }
  if (request.body_follows) request.method.clear();  // refused: nobody could bring the body
  limits.max_body_bytes = std::min(limits.max_body_bytes, kMaxFetchBytes);
  Http1Fetch& fetch =
      *fetches.emplace_back(std::make_unique<Http1Fetch>(*origin_, std::move(done)));
  fetch.hold(start(std::move(request), limits, fetch));
}

const DialAddress& Http1Client::address() const {
  return origin_->address;
}

}  // namespace holdfast::net
