#pragma once

#include <cstddef>
#include <deque>
#include <memory>

#include "absl/status/statusor.h"
#include "datastore/net/http1_client.h"
#include "datastore/peer/activity.h"
#include "datastore/peer/context.h"
#include "datastore/peer/url_picker.h"
#include "datastore/raft/types.h"

namespace holdfast::peer {

/// Messages to one peer by POST, one each: for when it has no stream from us. Loop thread.
class Pipeline {
 public:
  Pipeline(Context& context, Activity& activity, UrlPicker& urls, MemberId peer)
      : context_(context), activity_(activity), urls_(urls), peer_(peer) {}

  /// Sends it, or drops it when too many wait.
  void send(raft::Message message);

 private:
  void post_next();
  void on_answer(const net::Http1Client* client, std::size_t bytes,
                 const absl::StatusOr<net::Http1Response>& answer);

  Context& context_;
  Activity& activity_;
  UrlPicker& urls_;
  const MemberId peer_;
  std::deque<raft::Message> waiting_;
  std::size_t in_flight_ = 0;
  /// Answers that come after our end find it gone.
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace holdfast::peer
