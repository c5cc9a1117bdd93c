#pragma once

#include <memory>

#include "datastore/net/http.h"
#include "datastore/net/http2_stream.h"

namespace holdfast::net {

/// One plain HTTP request over HTTP/2 and its answer. The stream holds it while open; the handler's
/// references may outlive that.
class Http2Exchange final : public HttpResponder,
                            public std::enable_shared_from_this<Http2Exchange> {
 public:
  static std::shared_ptr<Http2Exchange> make(Http2Stream& stream);

  // From the stream.
  void on_headers(bool end_of_request, bool headers_too_large);
  void on_data(BytesView chunk);
  void on_end_of_request();
  void on_drained();
  void on_closed();

  EventLoop& loop() const override;
  bool active() const override { return stream_ != nullptr && !finished_; }
  void respond(int status, HttpHeaders headers, Bytes body) override;
  void start(int status, HttpHeaders headers) override;
  void write(Bytes chunk) override;
  void finish() override;
  void abandon() override;
  std::size_t queued_bytes() const override;
  void set_on_writable(absl::AnyInvocable<void()> callback) override {
    on_writable_ = std::move(callback);
  }
  void set_on_cancelled(absl::AnyInvocable<void()> callback) override {
    on_cancelled_ = std::move(callback);
  }

 private:
  explicit Http2Exchange(Http2Stream& stream);
  void submit(int status, const HttpHeaders& headers, bool end_stream);
  void give_back_body();
  void refuse(int status, std::string_view text);

  Http2Stream* stream_;  // null once closed
  std::shared_ptr<ServerLoop> home_;
  HttpRequest request_;
  std::size_t charged_bytes_ = 0;  // of the body, to the loop's budget
  bool head_ = false;
  bool started_ = false;
  bool finished_ = false;
  absl::AnyInvocable<void()> on_writable_;
  absl::AnyInvocable<void()> on_cancelled_;
};

}  // namespace holdfast::net
