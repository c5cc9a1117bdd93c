#include "datastore/peer/url_picker.h"

#include <utility>

namespace holdfast::peer {

void UrlPicker::set_urls(MemberId peer, const std::vector<std::string>& urls) {
  if (urls == urls_) return;
  urls_ = urls;
  next_ = 0;
  // Their fetches end with them, and may ask for what takes their place.
  const std::vector<std::unique_ptr<net::Http1Client>> old = std::exchange(clients_, {});
  for (const std::string& url : urls_) {
    absl::StatusOr<net::DialAddress> address = net::DialAddress::parse(url);
    if (!address.ok()) {
      context_.observer.url_refused(peer, url, address.status());
      continue;
    }
    clients_.push_back(
        std::make_unique<net::Http1Client>(context_.loop, context_.dialer, *std::move(address)));
  }
}

net::Http1Client* UrlPicker::pick() {
  return clients_.empty() ? nullptr : clients_[next_].get();
}

void UrlPicker::failed(const net::Http1Client* client) {
  if (client == pick() && !clients_.empty()) next_ = (next_ + 1) % clients_.size();
}

}  // namespace holdfast::peer
