#include "datastore/net/http1_response_parser.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "datastore/net/responder_handle.h"
#include "datastore/net/text.h"

namespace holdfast::net {

Http1ResponseParser& Http1ResponseParser::of(http_parser* parser) {
  return *static_cast<Http1ResponseParser*>(parser->data);
}

const http_parser_settings& Http1ResponseParser::callbacks() {
  static const http_parser_settings kCallbacks = [] {
    http_parser_settings settings;
    http_parser_settings_init(&settings);
    settings.on_status = [](http_parser* parser, const char*, std::size_t size) {
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

Http1ResponseParser::Http1ResponseParser(bool to_head, const Http1Limits& limits, Sink& sink)
    : limits_(limits), to_head_(to_head), sink_(sink) {
  http_parser_init(&parser_, HTTP_RESPONSE);
  parser_.data = this;
}

absl::Status Http1ResponseParser::parse(BytesView bytes) {
  if (complete_ || !failure_.ok()) {
    bytes_left_over_ = bytes_left_over_ || !bytes.empty();
    return failure_;
  }
  if (bytes.empty()) return absl::OkStatus();  // to the library that would be the end
  anything_arrived_ = true;
  const std::size_t parsed =
      http_parser_execute(&parser_, &callbacks(), bytes.data(), bytes.size());
  if (complete_) {
    bytes_left_over_ = parsed < bytes.size();
    return absl::OkStatus();
  }
  const auto error = static_cast<http_errno>(parser_.http_errno);
  if (!failure_.ok() || error == HPE_OK) return failure_;
  if (error == HPE_HEADER_OVERFLOW) {
    failure_ = absl::ResourceExhaustedError("the headers of the answer are too large");
  } else {
    failure_ = absl::DataLossError(
        concat("what came is not an HTTP/1.1 answer: ", http_errno_description(error)));
  }
  return failure_;
}

absl::Status Http1ResponseParser::end_of_input() {
  if (complete_ || !failure_.ok()) return failure_;
  // The end of the connection may be the end of the body: the library knows.
  http_parser_execute(&parser_, &callbacks(), nullptr, 0);
  if (complete_) {
    keep_alive_ = false;
    return absl::OkStatus();
  }
  failure_ = absl::UnavailableError(anything_arrived_ ? "the peer left in the midst of its answer"
                                                      : "the peer left without an answer");
  return failure_;
}

int Http1ResponseParser::fail(absl::Status status) {
  failure_ = std::move(status);
  return -1;
}

int Http1ResponseParser::on_header_bytes(BytesView bytes, bool is_name) {
  const bool begins = is_name && !last_was_name_;
  last_was_name_ = is_name;
  header_bytes_ += bytes.size() + (begins ? kHeaderOverheadBytes : 0);
  if (header_bytes_ > limits_.max_header_bytes) {
    return fail(absl::ResourceExhaustedError("the headers of the answer are too large"));
  }
  if (in_body_) return 0;  // trailers mean nothing to us
  if (begins) head_.headers.emplace_back();
  if (head_.headers.empty()) return fail(absl::DataLossError("a header without a name"));
  if (is_name) {
    head_.headers.back().first.append(absl::AsciiStrToLower(to_absl(bytes)));
  } else {
    head_.headers.back().second.append(bytes);
  }
  return 0;
}

int Http1ResponseParser::on_headers_complete() {
  parser_.upgrade = 0;
  last_was_name_ = false;
  if (parser_.http_major != 1) return fail(absl::DataLossError("the answer is not HTTP/1"));
  if (parser_.status_code == 101) {
    return fail(absl::DataLossError("the peer changed the protocol, unasked"));
  }
  constexpr int kNoBody = 1;  // whatever the headers say
  if (parser_.status_code < 200) return kNoBody;
  head_.status = static_cast<int>(parser_.status_code);
  const bool no_body = to_head_ || http_status_has_no_body(head_.status);
  const bool has_length = parser_.content_length != ~std::uint64_t{0};
  if (!no_body && has_length && parser_.content_length > limits_.max_body_bytes) {
    return fail(absl::ResourceExhaustedError("the body of the answer is too large"));
  }
  in_body_ = true;
  sink_.on_head(std::exchange(head_, {}));
  return no_body ? kNoBody : 0;
}

int Http1ResponseParser::on_body(BytesView piece) {
  if (piece.size() > limits_.max_body_bytes - body_bytes_) {
    return fail(absl::ResourceExhaustedError("the body of the answer is too large"));
  }
  body_bytes_ += piece.size();
  sink_.on_piece(piece);
  return 0;
}

int Http1ResponseParser::on_message_complete() {
  if (in_body_) {
    complete_ = true;
    keep_alive_ = http_should_keep_alive(&parser_) != 0;
    http_parser_pause(&parser_, 1);
    return 0;
  }
  head_ = {};
  if (++interim_answers_ > kMaxInterimAnswers) {
    return fail(absl::DataLossError("too many interim answers (1xx)"));
  }
  return 0;
}

}  // namespace holdfast::net
