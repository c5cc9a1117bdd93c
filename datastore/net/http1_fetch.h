#pragma once

#include <memory>

#include "datastore/net/http1_client.h"

namespace holdfast::net {

/// One Http1Client::fetch() under way: gathers the answer and tells it. Its origin owns it.
class Http1Fetch final : public Http1ResponseHandler {
 public:
  Http1Fetch(Http1Origin& origin, Http1Client::Done done);

  void hold(std::unique_ptr<Http1Call> call) { call_ = std::move(call); }
  /// Ends it at once.
  void cancel();

  void on_response(Http1Response head) override { response_ = std::move(head); }
  void on_body(BytesView piece) override { response_.body.append(piece); }
  void on_done(absl::Status status) override;

 private:
  Http1Origin& origin_;
  Http1Client::Done done_;
  Http1Response response_;
  std::unique_ptr<Http1Call> call_;
};

}  // namespace holdfast::net
