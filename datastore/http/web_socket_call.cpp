#include "datastore/http/web_socket_call.h"

#include <utility>

namespace holdfast::http {

using net::WebSocketEnd;

/// Passes on what the call says, and counts the requests that have left.
class WebSocketCall::Answers final : public GrpcStreamReader {
 public:
  Answers(std::shared_ptr<WebSocketCall> socket, std::shared_ptr<AnswerStream> answers)
      : socket_(std::move(socket)), answers_(std::move(answers)) {}
  void on_message(Bytes message) override { answers_->on_message(std::move(message)); }
  void on_sent() override {
    socket_->responder_->loop().post([socket = socket_] { socket->on_sent(); });
  }
  void on_end(absl::Status status) override { answers_->on_end(std::move(status)); }

 private:
  const std::shared_ptr<WebSocketCall> socket_;
  const std::shared_ptr<AnswerStream> answers_;
};

WebSocketCall::WebSocketCall(GrpcCaller& caller, absl::StatusOr<JsonMethod> method,
                             GrpcMetadata metadata, net::HttpResponderRef responder,
                             std::shared_ptr<HeldBytes> held)
    : caller_(caller),
      method_(std::move(method)),
      metadata_(std::move(metadata)),
      responder_(std::move(responder)),
      held_(std::move(held)),
      ping_timer_([](void* self) { static_cast<WebSocketCall*>(self)->on_ping_due(); }, this) {
}

WebSocketCall::~WebSocketCall() {
  held_->fetch_sub(accounted_bytes_);
}

void WebSocketCall::account() {
  const std::size_t now = reader_.held_bytes() + unsent_bytes_;
  const std::size_t before = std::exchange(accounted_bytes_, now);
  const std::size_t all = held_->fetch_add(now - before) + now - before;
  if (now > before && all > kMaxHeldBytes) finish(WebSocketEnd::kTryAgainLater);
}

void WebSocketCall::begin(net::HttpHeaders headers) {
  responder_->set_on_cancelled([self = shared_from_this()] { self->cancel(); });
  responder_->set_on_writable([self = shared_from_this()] {
    if (self->answers_ != nullptr) self->answers_->go_on();
  });
  responder_->start(101, std::move(headers));
  responder_->loop().arm(ping_timer_, kPingInterval);
  if (!method_.ok()) return fail(method_.status());
  if (!method_->streams_requests()) return;
  answers_ = std::make_shared<AnswerStream>(*method_, shared_from_this(), responder_->loop());
  stream_ = caller_.open(method_->grpc_path(), metadata_,
                         std::make_shared<Answers>(shared_from_this(), answers_));
  answers_->follow(stream_);
}

void WebSocketCall::take(BytesView bytes) {
  heard_ = true;
  reader_.read(bytes, *this);
  account();
}

// --- the client's frames ------------------------------------------------------------------------

void WebSocketCall::on_message(BytesView message) {
  if (!active() || !method_.ok()) return;
  if (method_->streams_requests()) return ask_more(Bytes(message));
  // One request is all that such a method takes.
  if (!std::exchange(asked_, true)) ask_once(Bytes(message));
}

void WebSocketCall::on_ping(BytesView payload) {
  // Who pings and does not read is not answered.
  if (queued_bytes() < kMaxQueuedPongBytes) responder_->write(net::web_socket_pong(payload));
}

void WebSocketCall::on_end(WebSocketEnd why) {
  finish(why == WebSocketEnd::kNoReason ? WebSocketEnd::kNormal : why);
}

void WebSocketCall::ask_once(const Bytes& json) {
  absl::StatusOr<Bytes> request = method_->request_from_json(json);
  if (!request.ok()) return fail(request.status());
  if (method_->streams_answers()) {
    answers_ = std::make_shared<AnswerStream>(*method_, shared_from_this(), responder_->loop());
    return answers_->follow(
        caller_.stream(method_->grpc_path(), {*std::move(request)}, metadata_, answers_));
  }
  call_ = caller_.call(
      method_->grpc_path(), *std::move(request), metadata_,
      [self = shared_from_this()](absl::StatusOr<Bytes> response) {
        self->responder_->loop().post([self, response = std::move(response)]() mutable {
          if (response.ok()) response = self->method_->json_of(*response);
          if (!response.ok()) return self->fail(response.status());
          self->text(*std::move(response));
          self->finish(WebSocketEnd::kNormal);
        });
      });
}

void WebSocketCall::ask_more(const Bytes& json) {
  absl::StatusOr<std::vector<Bytes>> requests = method_->requests_from_json(json);
  if (!requests.ok()) return fail(requests.status());
  if (stream_ == nullptr) return;
  constexpr std::size_t kEachBytes = 64;  // of a request, whatever it says
  for (Bytes& request : *requests) {
    unsent_.push_back(request.size() + kEachBytes);
    unsent_bytes_ += unsent_.back();
    stream_->send(std::move(request));
  }
  if (unsent_bytes_ > kMaxUnsentBytes) responder_->pause_body();
}

void WebSocketCall::on_sent() {
  if (unsent_.empty()) return;
  unsent_bytes_ -= unsent_.front();
  unsent_.pop_front();
  account();
  if (unsent_bytes_ <= kMaxUnsentBytes / 2) responder_->resume_body();
}

// --- ours ---------------------------------------------------------------------------------------

void WebSocketCall::text(Bytes json) {
  responder_->write(net::web_socket_text(json));
}

void WebSocketCall::end(const Reply* error) {
  if (error != nullptr) text(error->body);
  finish(WebSocketEnd::kNormal);
}

void WebSocketCall::fail(const absl::Status& status) {
  const Reply reply = error_reply(status);
  end(&reply);
}

void WebSocketCall::on_ping_due() {
  if (!active()) return;
  if (!std::exchange(heard_, false)) {
    cancel();
    return responder_->abandon();
  }
  responder_->write(net::web_socket_ping());
  responder_->loop().arm(ping_timer_, kPingInterval);
}

void WebSocketCall::finish(WebSocketEnd why) {
  if (!active()) return;
  responder_->write(net::web_socket_end(why));
  responder_->finish();
  cancel();
}

void WebSocketCall::cancel() {
  ping_timer_.cancel();
  if (answers_ != nullptr) std::exchange(answers_, nullptr)->cancel();
  if (call_ != nullptr) call_->cancel();
}

}  // namespace holdfast::http
