#include "datastore/http/answer_stream.h"

#include <utility>

#include "fmt/format.h"

namespace holdfast::http {

AnswerStream::AnswerStream(JsonMethod method, std::shared_ptr<AnswerSink> sink,
                           net::EventLoop& loop)
    : method_(method), sink_(std::move(sink)), loop_(loop) {
}

void AnswerStream::follow(std::shared_ptr<GrpcStreamCall> call) {
  call_ = std::move(call);
  if (call_ != nullptr) call_->next();
}

void AnswerStream::cancel() {
  if (call_ != nullptr) call_->cancel();
}

void AnswerStream::on_message(Bytes message) {
  loop_.post([self = shared_from_this(), message = std::move(message)] { self->take(message); });
}

void AnswerStream::on_end(absl::Status status) {
  loop_.post([self = shared_from_this(), status = std::move(status)] { self->end(status); });
}

void AnswerStream::take(const Bytes& message) {
  if (sink_ == nullptr || !sink_->active()) return cancel();
  const absl::StatusOr<Bytes> json = method_.json_of(message);
  if (!json.ok()) {
    cancel();
    return end(json.status());
  }
  begun_ = true;
  sink_->text(fmt::format(R"({{"result":{}}})", *json));
  wants_more_ = true;
  go_on();
}

void AnswerStream::go_on() {
  if (!wants_more_ || sink_ == nullptr || sink_->queued_bytes() > kMaxQueuedBytes) return;
  wants_more_ = false;
  call_->next();
}

void AnswerStream::end(const absl::Status& status) {
  const std::shared_ptr<AnswerSink> sink = std::move(sink_);
  if (sink == nullptr || !sink->active()) return;
  if (status.ok()) return sink->end(nullptr);
  Reply error = error_reply(status);
  if (begun_) error.body = fmt::format(R"({{"error":{}}})", error.body);
  sink->end(&error);
}

}  // namespace holdfast::http
