#include "datastore/peer/stream_writer.h"

#include <utility>

#include "datastore/base/check.h"
#include "datastore/peer/message_size.h"
#include "datastore/peer/peer_headers.h"

namespace holdfast::peer {

StreamWriter::StreamWriter(Context& context, Activity& activity, MemberId peer, StreamKind kind)
    : context_(context),
      activity_(activity),
      peer_(peer),
      kind_(kind),
      encoder_(kind),
      heartbeat_timer_([](void* self) { static_cast<StreamWriter*>(self)->on_heartbeat_due(); },
                       this) {
}

StreamWriter::~StreamWriter() {
  detach();
}

void StreamWriter::attach(net::HttpResponderRef responder) {
  detach();
  responder_ = std::move(responder);
  encoder_ = StreamEncoder(kind_);
  responder_->set_on_cancelled(
      [this] { on_lost(absl::UnavailableError("the peer has closed the connection")); });
  responder_->set_on_writable([this] { on_writable(); });
  responder_->start(200, stream_headers(context_.options));
  context_.loop.arm(heartbeat_timer_, context_.options.read_timeout / 3);
  activity_.succeeded();
  context_.observer.stream_established(peer_, kind_, Direction::kOutgoing);
}

bool StreamWriter::has_room() const {
  return responder_->queued_bytes() + output_.size() < context_.options.stream_high_water_bytes;
}

void StreamWriter::encode(const raft::Message& message) {
  encoder_.append(message, &output_);
  ++output_messages_;
}

void StreamWriter::write(raft::Message message) {
  HOLDFAST_CHECK(attached());
  if (waiting_.empty() && has_room()) return encode(message);
  const std::size_t bytes = size_bytes(message);
  if (waiting_.size() >= context_.options.max_stream_messages ||
      (!waiting_.empty() && waiting_bytes_ + bytes > context_.options.max_stream_bytes)) {
    return drop(1);
  }
  waiting_bytes_ += bytes;
  waiting_.push_back(std::move(message));
}

void StreamWriter::flush() {
  if (!attached() || output_.empty()) return;
  context_.observer.sent(peer_, output_.size());
  output_messages_ = 0;
  responder_->write(std::exchange(output_, {}));
}

void StreamWriter::on_writable() {
  while (!waiting_.empty() && has_room()) {
    waiting_bytes_ -= size_bytes(waiting_.front());
    encode(waiting_.front());
    waiting_.pop_front();
  }
  flush();
}

void StreamWriter::on_heartbeat_due() {
  context_.loop.arm(heartbeat_timer_, context_.options.read_timeout / 3);
  if (!has_room()) return;  // there is enough to say
  encoder_.append_heartbeat(&output_);
  flush();
}

void StreamWriter::drop(std::size_t messages) {
  if (messages == 0) return;
  context_.observer.send_failed(peer_);
  context_.observer.dropped(peer_, messages, stream_name(kind_));
  context_.port->report_unreachable(peer_);
}

void StreamWriter::detach() {
  if (!attached()) return;
  flush();
  responder_->finish();
  release();
}

void StreamWriter::renew() {
  if (!attached()) return;
  flush();
  release();
}

void StreamWriter::on_lost(const absl::Status& why) {
  context_.observer.send_failed(peer_);
  context_.observer.stream_lost(peer_, kind_, Direction::kOutgoing, why);
  activity_.failed(why);
  release();
}

void StreamWriter::release() {
  heartbeat_timer_.cancel();
  drop(waiting_.size() + output_messages_);
  waiting_.clear();
  waiting_bytes_ = 0;
  output_.clear();
  output_messages_ = 0;
  responder_->set_on_writable(nullptr);
  responder_->set_on_cancelled(nullptr);
  // It may be calling us: it goes when it is done.
  context_.loop.post([responder = std::exchange(responder_, nullptr)] { responder->abandon(); });
}

}  // namespace holdfast::peer
