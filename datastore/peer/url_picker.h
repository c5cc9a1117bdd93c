#pragma once

#include <memory>
#include <string>
#include <vector>

#include "datastore/net/http1_client.h"
#include "datastore/peer/context.h"

namespace holdfast::peer {

/// The URLs of one peer, each with its connections; all that speak to the peer use the same one
/// until it fails. Loop thread.
class UrlPicker {
 public:
  explicit UrlPicker(Context& context) : context_(context) {}

  /// Cancels fetches under way if anything has changed. URLs that can't be dialled are left out and
  /// told to the observer.
  void set_urls(MemberId peer, const std::vector<std::string>& urls);
  /// The one to use now; null if there is none.
  net::Http1Client* pick();
  /// `client` did not work: the next takes its place, if it still is the one in use.
  void failed(const net::Http1Client* client);

 private:
  Context& context_;
  std::vector<std::string> urls_;
  std::vector<std::unique_ptr<net::Http1Client>> clients_;
  std::size_t next_ = 0;
};

}  // namespace holdfast::peer
