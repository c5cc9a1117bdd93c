#pragma once

#include <http_parser.h>

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "datastore/base/bytes.h"
#include "datastore/net/http1_client.h"

namespace holdfast::net {

/// One answer, from bytes as they come, over libhttp-parser. It knows no socket and trusts nothing:
/// headers and body are bounded, interim answers too. Sink is called from within parse().
class Http1ResponseParser {
 public:
  class Sink {
   public:
    virtual ~Sink() = default;
    virtual void on_head(Http1Response head) = 0;
    virtual void on_piece(BytesView piece) = 0;
  };

  /// `to_head`: the request was HEAD, so that no body follows whatever the headers say.
  Http1ResponseParser(bool to_head, const Http1Limits& limits, Sink& sink);
  Http1ResponseParser(const Http1ResponseParser&) = delete;
  Http1ResponseParser& operator=(const Http1ResponseParser&) = delete;

  /// Takes `bytes`, up to the end of the answer. Nothing once complete or failed. Errors: as
  /// Http1ResponseHandler::on_done(), without the URL.
  absl::Status parse(BytesView bytes);
  /// The peer will send no more. Errors: Unavailable if the answer is not whole.
  absl::Status end_of_input();

  bool complete() const { return complete_; }
  /// Once complete: the connection is as good as new.
  bool reusable() const { return complete_ && keep_alive_ && !bytes_left_over_; }
  bool anything_arrived() const { return anything_arrived_; }

 private:
  static const http_parser_settings& callbacks();
  static Http1ResponseParser& of(http_parser* parser);
  int on_header_bytes(BytesView bytes, bool is_name);
  int on_headers_complete();
  int on_body(BytesView piece);
  int on_message_complete();
  int fail(absl::Status status);

  /// Answers before the real one that a peer may send. Source: RFC 9110 section 15.2.
  static constexpr int kMaxInterimAnswers = 16;
  /// What a header costs beyond its bytes.
  static constexpr std::size_t kHeaderOverheadBytes = 32;

  http_parser parser_;
  const Http1Limits limits_;
  const bool to_head_;
  Sink& sink_;
  absl::Status failure_;
  Http1Response head_;
  bool in_body_ = false;  // the headers are told; what header bytes come are trailers
  bool last_was_name_ = false;
  std::size_t header_bytes_ = 0;
  std::size_t body_bytes_ = 0;
  int interim_answers_ = 0;
  bool anything_arrived_ = false;
  bool complete_ = false;
  bool keep_alive_ = false;
  bool bytes_left_over_ = false;
};

}  // namespace holdfast::net
