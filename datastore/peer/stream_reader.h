#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "datastore/net/event_loop.h"
#include "datastore/net/http1_client.h"
#include "datastore/peer/activity.h"
#include "datastore/peer/context.h"
#include "datastore/peer/stream_codec.h"
#include "datastore/peer/url_picker.h"

namespace holdfast::peer {

/// One kind of stream from one peer: dials it, reads it, and dials again whenever it ends, at most
/// once per TransportOptions::redial_interval, until destroyed. Loop thread.
class StreamReader final : public net::Http1ResponseHandler {
 public:
  StreamReader(Context& context, Activity& activity, UrlPicker& urls, MemberId peer,
               StreamKind kind);
  StreamReader(const StreamReader&) = delete;
  StreamReader& operator=(const StreamReader&) = delete;

  void dial();

  void on_response(net::Http1Response head) override;
  void on_body(BytesView piece) override;
  void on_done(absl::Status status) override;

 private:
  absl::Status judge(const net::Http1Response& head) const;
  void end(const absl::Status& why);

  Context& context_;
  Activity& activity_;
  UrlPicker& urls_;
  const MemberId peer_;
  const StreamKind kind_;
  const net::Http1Client* client_ = nullptr;
  net::EventLoop::Clock::time_point dialled_at_;
  std::unique_ptr<net::Http1Call> call_;
  std::optional<StreamDecoder> decoder_;  // while established
  absl::Status refusal_;                  // an answer other than a stream
  Bytes refusal_text_;
  std::vector<raft::Message> messages_;
  net::Timer redial_timer_;
};

}  // namespace holdfast::peer
