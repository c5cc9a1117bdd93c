#pragma once

#include <http_parser.h>

#include <memory>
#include <string>

#include "datastore/net/connection.h"
#include "datastore/net/http.h"
#include "datastore/net/session.h"

namespace holdfast::net {

class Http1Exchange;

/// HTTP/1.1 and 1.0, the server's side, over libhttp-parser: one request at a time; further ones
/// wait, unparsed, in a single read buffer. Every phase has its time: idle, headers, body.
class Http1Session final : public Session {
 public:
  explicit Http1Session(Connection& connection);
  ~Http1Session() override;
  Http1Session(const Http1Session&) = delete;
  Http1Session& operator=(const Http1Session&) = delete;

  void on_bytes(BytesView bytes) override;
  void on_end_of_input() override;
  void produce() override;
  void drain() override;
  bool finished() const override { return closing_ && exchange_ == nullptr; }
  bool wants_input() const override {
    if (upload_ != nullptr) return !upload_paused_ && !closing_;
    // Who asks on and on and takes no answer is not heard.
    return exchange_ == nullptr && !closing_ && !connection_.output_above_high_water();
  }

  /// What a paused upload, or a client that takes no answers, has left in the socket is still to be
  /// read.
  bool wants_hang_up() const override {
    return upload_ == nullptr && !connection_.output_above_high_water();
  }

  Connection& connection() { return connection_; }

 private:
  friend class Http1Exchange;

  static const http_parser_settings& callbacks();
  void parse(BytesView input);
  void parse_held();
  void on_parse_error();
  int on_header_bytes(BytesView bytes, bool is_name);
  int on_headers_complete();
  int on_body(BytesView bytes);
  int on_message_complete();
  void begin_request();
  void wait_for_request();
  void dispatch();
  /// Offers the request, whose headers are whole, as an upload.
  void offer_upload(HttpHandler& handler);
  void end_upload();
  /// The request is whole, and what follows belongs to another protocol, if it is taken.
  void offer_upgrade();
  /// Its bytes make no sense.
  void break_upload();
  /// The request is over, but the upload may be on the stack.
  void let_go_of_upload();
  void pause_upload(bool paused);
  bool is_http_1_1() const { return parser_.http_major == 1 && parser_.http_minor >= 1; }
  /// Of the request whose headers are whole.
  bool has_body() const {
    const bool has_length = parser_.content_length != ~std::uint64_t{0};
    return (parser_.flags & F_CHUNKED) != 0 || (has_length && parser_.content_length > 0);
  }
  bool names_no_host() const { return is_http_1_1() && !request_.header("host"); }
  std::shared_ptr<Http1Exchange> open_exchange();
  /// What the client still sends stands between this answer and the next request.
  bool body_incomplete() const { return phase_ == Phase::kBody; }
  /// Answers and closes: what follows in the stream can't be trusted.
  void refuse(int status, std::string_view text);
  void give_back_body();
  void on_timeout();
  /// The present answer is whole.
  void answered(bool keep_alive);

  enum class Phase { kIdle, kHeaders, kBody, kAnswering };

  Connection& connection_;
  http_parser parser_;
  Phase phase_ = Phase::kIdle;
  bool closing_ = false;
  bool draining_ = false;
  bool above_low_water_ = false;
  int refusal_ = 0;   // status decided in a parser callback
  std::string held_;  // input not yet parsed; one read buffer at most
  HttpRequest request_;
  std::string target_;
  std::size_t header_bytes_ = 0;
  bool last_was_name_ = false;
  std::size_t charged_bytes_ = 0;  // of the body, to the loop's budget
  std::shared_ptr<Http1Exchange> exchange_;
  std::unique_ptr<HttpUpload> upload_;  // null again once its body is whole
  bool upload_paused_ = false;
  /// The upload takes all that comes, unparsed.
  bool upgraded_ = false;
  Timer timer_;
};

}  // namespace holdfast::net
