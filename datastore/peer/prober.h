#pragma once

#include <memory>

#include "datastore/net/event_loop.h"
#include "datastore/net/http1_client.h"
#include "datastore/peer/context.h"
#include "datastore/peer/url_picker.h"

namespace holdfast::peer {

/// Asks one peer from time to time whether it is there, how long that takes and what its clock
/// says. Only told to the observer: nothing depends on it. Loop thread.
class Prober {
 public:
  Prober(Context& context, UrlPicker& urls, MemberId peer);
  Prober(const Prober&) = delete;
  Prober& operator=(const Prober&) = delete;

 private:
  void probe();
  void on_answer(net::EventLoop::Clock::time_point asked,
                 const absl::StatusOr<net::Http1Response>& answer);

  Context& context_;
  UrlPicker& urls_;
  const MemberId peer_;
  net::Timer timer_;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace holdfast::peer
