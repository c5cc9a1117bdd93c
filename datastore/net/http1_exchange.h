#pragma once

#include <memory>

#include "datastore/net/http.h"
#include "datastore/net/server_loop.h"

namespace holdfast::net {

class Http1Session;

/// One HTTP/1.1 request's answer, written straight to the connection's output.
class Http1Exchange final : public HttpResponder {
 public:
  Http1Exchange(Http1Session& session, const HttpRequest& request, bool http_1_1, bool keep_alive);

  // From the session.
  void on_drained();
  /// The client will send no more, or is gone for good.
  void on_client_leaving();
  void on_closed();

  bool started() const { return started_; }

  EventLoop& loop() const override { return home_->loop; }
  bool active() const override { return session_ != nullptr && !finished_; }
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
  void pause_body() override;
  void resume_body() override;

 private:
  void write_head(int status, const HttpHeaders& headers);
  void end();

  std::shared_ptr<ServerLoop> home_;
  Http1Session* session_;  // null once closed
  bool head_;
  bool http_1_1_;
  bool keep_alive_;
  bool started_ = false;
  bool finished_ = false;
  bool chunked_ = false;
  absl::AnyInvocable<void()> on_writable_;
  absl::AnyInvocable<void()> on_cancelled_;
};

}  // namespace holdfast::net
