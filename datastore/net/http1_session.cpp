#include "datastore/net/http1_session.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

#include "datastore/net/http1_exchange.h"
#include "datastore/net/responder_handle.h"
#include "datastore/net/text.h"

namespace holdfast::net {
namespace {

Http1Session& of(http_parser* parser) {
  return *static_cast<Http1Session*>(parser->data);
}

/// For a body that nobody wants.
class ThrownAway final : public HttpUpload {
 public:
  void on_body(BytesView) override {}
  void on_end() override {}
};

}  // namespace

const http_parser_settings& Http1Session::callbacks() {
  static const http_parser_settings kCallbacks = [] {
    http_parser_settings settings;
    http_parser_settings_init(&settings);
    settings.on_message_begin = [](http_parser* parser) {
      of(parser).begin_request();
      return 0;
    };
    settings.on_url = [](http_parser* parser, const char* at, std::size_t size) {
      of(parser).target_.append(at, size);
      of(parser).header_bytes_ += size;
      return 0;
    };
    settings.on_header_field = [](http_parser* parser, const char* at, std::size_t size) {
      return of(parser).on_header_bytes(BytesView(at, size), true);
    };
    settings.on_header_value = [](http_parser* parser, const char* at, std::size_t size) {
      return of(parser).on_header_bytes(BytesView(at, size), false);
    };
    settings.on_headers_complete = [](http_parser* parser) {
      return of(parser).on_headers_complete();
    };
    settings.on_body = [](http_parser* parser, const char* at, std::size_t size) {
      return of(parser).on_body(BytesView(at, size));
    };
    settings.on_message_complete = [](http_parser* parser) {
      return of(parser).on_message_complete();
    };
    return settings;
  }();
  return kCallbacks;
}

Http1Session::Http1Session(Connection& connection)
    : connection_(connection),
      timer_([](void* self) { static_cast<Http1Session*>(self)->on_timeout(); }, this) {
  http_parser_init(&parser_, HTTP_REQUEST);
  parser_.data = this;
  // The connection exists because bytes came: the first request's headers are already under way.
  connection_.loop().arm(timer_, connection_.limits().http_header_timeout);
}

Http1Session::~Http1Session() {
  give_back_body();
  // A handler that hears of it may finish the exchange, and so let go of it.
  if (const std::shared_ptr<Http1Exchange> exchange = exchange_) exchange->on_closed();
}

// --- input -----------------------------------------------------------------------------------

void Http1Session::on_bytes(BytesView bytes) {
  if (closing_) return;
  if (held_.empty() && wants_input()) {
    parse(bytes);
  } else {
    held_.append(bytes);
  }
  parse_held();
}

void Http1Session::parse_held() {
  while (wants_input() && !held_.empty()) parse(std::exchange(held_, {}));
}

void Http1Session::parse(BytesView input) {
  if (upgraded_ && upload_ != nullptr) return upload_->on_body(input);
  const std::size_t parsed =
      http_parser_execute(&parser_, &callbacks(), input.data(), input.size());
  const auto error = static_cast<http_errno>(parser_.http_errno);
  if (closing_ || error == HPE_OK) return;
  if (error != HPE_PAUSED) return upload_ != nullptr ? break_upload() : on_parse_error();
  // A whole request: the rest waits for its answer.
  http_parser_pause(&parser_, 0);
  held_ = input.substr(parsed);
  if (upgraded_) return offer_upgrade();
  if (upload_ != nullptr) {
    end_upload();
  } else {
    dispatch();
  }
}

void Http1Session::on_parse_error() {
  const auto error = static_cast<http_errno>(parser_.http_errno);
  if (refusal_ == 431 || error == HPE_HEADER_OVERFLOW) {
    return refuse(431, "request headers are too large");
  }
  if (refusal_ == 413) return refuse(413, "request body is too large");
  if (refusal_ == 503) {
    return refuse(503, "the server holds too many requests, try again later");
  }
  if (refusal_ == 505) return refuse(505, "this server speaks HTTP/1.1 and HTTP/2");
  if (refusal_ == 405) return refuse(405, "method not allowed");
  connection_.protocol_error(concat("HTTP/1.1: ", http_errno_description(error)));
  refuse(400, concat("bad request: ", http_errno_description(error)));
}

void Http1Session::begin_request() {
  request_ = HttpRequest{};
  request_.peer = connection_.peer();
  request_.secure = connection_.secure();
  request_.client_common_name = connection_.peer_common_name();
  target_.clear();
  header_bytes_ = 0;
  last_was_name_ = false;
  refusal_ = 0;
  phase_ = Phase::kHeaders;
  connection_.loop().arm(timer_, connection_.limits().http_header_timeout);
}

int Http1Session::on_header_bytes(BytesView bytes, bool is_name) {
  header_bytes_ += bytes.size();
  if (header_bytes_ > connection_.options().max_header_list_bytes) {
    refusal_ = 431;
    return 1;
  }
  // Trailers of a chunked body come here too, and mean nothing to us.
  if (phase_ != Phase::kHeaders) return 0;
  HttpHeaders& headers = request_.headers;
  // "Name : value" is read in different ways by different servers: by none of ours.
  if (is_name && bytes.find_first_of(" \t") != bytes.npos) return 1;
  if (is_name && !last_was_name_) headers.emplace_back();
  if (headers.empty()) return 1;
  if (is_name) {
    headers.back().first.append(absl::AsciiStrToLower(to_absl(bytes)));
  } else {
    headers.back().second.append(bytes);
  }
  last_was_name_ = is_name;
  return 0;
}

int Http1Session::on_headers_complete() {
  phase_ = Phase::kBody;
  const bool upgrade = parser_.upgrade != 0;
  parser_.upgrade = 0;  // we stay with HTTP/1.1, unless the handler takes it
  request_.method = http_method_str(static_cast<http_method>(parser_.method));
  split_target(target_, request_.path, request_.query);
  if (parser_.method == HTTP_CONNECT || parser_.method == HTTP_TRACE) {
    refusal_ = 405;
    return -1;
  }
  if (parser_.http_major != 1) {
    refusal_ = 505;
    return -1;
  }
  const ConnectionLimits& limits = connection_.limits();
  HttpHandler* const handler = connection_.endpoint().http_handler();
  if (upgrade && handler != nullptr && is_http_1_1() && !names_no_host() && !draining_ &&
      !has_body() && handler->takes_upgrade(request_)) {
    upgraded_ = true;
    parser_.upgrade = 1;  // the request ends with its headers
    return 0;
  }
  const bool upload = handler != nullptr && !names_no_host() && handler->takes_uploads(request_);
  const bool has_length = parser_.content_length != ~std::uint64_t{0};
  if (!upload && has_length && parser_.content_length > limits.max_http_body_bytes) {
    refusal_ = 413;
    return -1;
  }
  if (const auto expect = request_.header("expect");
      expect && absl::EqualsIgnoreCase(to_absl(*expect), "100-continue")) {
    connection_.output().append(BytesView("HTTP/1.1 100 Continue\r\n\r\n"));
    connection_.request_flush();
  }
  connection_.loop().arm(timer_,
                         upload ? limits.http_upload_stall_timeout : limits.http_body_timeout);
  if (upload) offer_upload(*handler);
  return 0;
}

void Http1Session::offer_upload(HttpHandler& handler) {
  exchange_ = open_exchange();
  const std::shared_ptr<Http1Exchange> exchange = exchange_;
  upload_paused_ = false;
  std::unique_ptr<HttpUpload> upload = handler.on_upload(request_, responder_handle(exchange));
  if (!exchange->active()) return;  // answered at once
  upload_ = upload != nullptr ? std::move(upload) : std::make_unique<ThrownAway>();
}

int Http1Session::on_body(BytesView bytes) {
  if (closing_) return 1;  // answered before its end
  if (upload_ != nullptr) {
    if (!upload_paused_) {
      connection_.loop().arm(timer_, connection_.limits().http_upload_stall_timeout);
    }
    upload_->on_body(bytes);
    return 0;
  }
  if (request_.body.size() + bytes.size() > connection_.limits().max_http_body_bytes) {
    refusal_ = 413;
    return 1;
  }
  if (!connection_.home().requests.take_piece(charged_bytes_, bytes.size())) {
    refusal_ = 503;
    return 1;
  }
  charged_bytes_ += bytes.size();
  request_.body.append(bytes);
  return 0;
}

void Http1Session::give_back_body() {
  connection_.home().requests.give_back(std::exchange(charged_bytes_, 0));
}

int Http1Session::on_message_complete() {
  http_parser_pause(&parser_, 1);
  return 0;
}

std::shared_ptr<Http1Exchange> Http1Session::open_exchange() {
  const bool keep_alive = http_should_keep_alive(&parser_) != 0 && !draining_;
  return std::make_shared<Http1Exchange>(*this, request_, is_http_1_1(), keep_alive);
}

void Http1Session::end_upload() {
  timer_.cancel();
  phase_ = Phase::kAnswering;
  upload_->on_end();
  let_go_of_upload();
}

void Http1Session::offer_upgrade() {
  timer_.cancel();
  phase_ = Phase::kAnswering;
  upgraded_ = false;
  offer_upload(*connection_.endpoint().http_handler());
  upgraded_ = upload_ != nullptr;
}

void Http1Session::break_upload() {
  const std::shared_ptr<Http1Exchange> exchange = std::move(exchange_);
  const bool started = exchange->started();
  exchange->on_closed();
  let_go_of_upload();
  if (closing_) return;  // answered nevertheless
  if (!started) return on_parse_error();
  connection_.close("bad request body, after the answer had begun");
}

void Http1Session::let_go_of_upload() {
  if (upload_ == nullptr) return;
  connection_.loop().defer([upload = std::move(upload_)] {});
}

void Http1Session::pause_upload(bool paused) {
  if (upload_ == nullptr || upload_paused_ == paused) return;
  upload_paused_ = paused;
  if (paused) {
    timer_.cancel();  // it is we who wait
  } else if (!upgraded_) {
    connection_.loop().arm(timer_, connection_.limits().http_upload_stall_timeout);
  }
  connection_.request_flush();  // parses what waits, and watches the socket or leaves it
}

void Http1Session::dispatch() {
  timer_.cancel();
  give_back_body();  // from here on the body is the handler's
  phase_ = Phase::kAnswering;
  if (names_no_host()) return refuse(400, "missing required Host header");
  exchange_ = open_exchange();
  const std::shared_ptr<Http1Exchange> exchange = exchange_;
  HttpHandler* const handler = connection_.endpoint().http_handler();
  if (handler == nullptr) {
    exchange->respond(404, {{"content-type", "text/plain; charset=utf-8"}}, "404 page not found\n");
  } else {
    handler->on_request(std::move(request_), responder_handle(exchange));
  }
}

// --- output ----------------------------------------------------------------------------------

void Http1Session::answered(bool keep_alive) {
  exchange_.reset();
  if (body_incomplete() || upgraded_) {
    // An upload answered before its end: the rest of it would have to be read to go on.
    let_go_of_upload();
    timer_.cancel();
    keep_alive = false;
  }
  request_ = HttpRequest{};
  if (!keep_alive) {
    closing_ = true;
  } else {
    wait_for_request();
  }
  connection_.request_flush();  // and parse what waits
}

void Http1Session::wait_for_request() {
  phase_ = Phase::kIdle;
  if (draining_ && held_.empty()) {
    closing_ = true;
    return;
  }
  connection_.loop().arm(timer_, connection_.limits().http_idle_timeout);
}

void Http1Session::produce() {
  if (above_low_water_ &&
      connection_.output().size_bytes() <= connection_.options().call_low_water_bytes) {
    above_low_water_ = false;
    if (const std::shared_ptr<Http1Exchange> exchange = exchange_) exchange->on_drained();
  }
  parse_held();
}

void Http1Session::refuse(int status, std::string_view text) {
  closing_ = true;
  timer_.cancel();
  held_.clear();
  connection_.output().append(BytesView(
      concat("HTTP/1.1 ", status, " ", http_reason(status),
             "\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: ", text.size() + 1,
             "\r\nconnection: close\r\n\r\n", text, "\n")));
  connection_.close_after_output(http_reason(status));
}

void Http1Session::on_timeout() {
  if (phase_ == Phase::kIdle) return connection_.close("idle");
  if (upload_ != nullptr) return connection_.close("upload stalled");
  connection_.protocol_error(phase_ == Phase::kHeaders ? "HTTP/1.1: headers took too long"
                                                       : "HTTP/1.1: body took too long");
  refuse(408, "the request took too long to arrive");
}

// --- ending ----------------------------------------------------------------------------------

void Http1Session::on_end_of_input() {
  if (exchange_ == nullptr) {
    closing_ = true;
    return;
  }
  // The client may only have shut its sending half: the answer still goes out.
  const std::shared_ptr<Http1Exchange> exchange = exchange_;
  exchange->on_client_leaving();
  if (upload_ == nullptr) return;
  let_go_of_upload();
  connection_.close("closed by peer before the end of its upload");
}

void Http1Session::drain() {
  draining_ = true;
  if (phase_ == Phase::kIdle && held_.empty()) closing_ = true;
}

}  // namespace holdfast::net
