#include "datastore/net/http1_exchange.h"

#include "datastore/net/http1_session.h"
#include "datastore/net/http1_wire.h"
#include "datastore/net/responder_handle.h"
#include "datastore/net/text.h"

namespace holdfast::net {

Http1Exchange::Http1Exchange(Http1Session& session, const HttpRequest& request, bool http_1_1,
                             bool keep_alive)
    : home_(session.connection().home().shared_from_this()),
      session_(&session),
      head_(request.method == "HEAD"),
      http_1_1_(http_1_1),
      keep_alive_(keep_alive) {
}

void Http1Exchange::write_head(int status, const HttpHeaders& headers) {
  started_ = true;
  if (session_->body_incomplete()) keep_alive_ = false;
  std::string head = concat("HTTP/1.", http_1_1_ ? 1 : 0, " ", status, " ", http_reason(status),
                            "\r\ndate: ", http_date(), "\r\n");
  bool has_length = false;
  for (const auto& [name, value] : headers) {
    has_length = has_length || name == "content-length";
    head += concat(name, ": ", value, "\r\n");
  }
  const bool body_follows = !has_length && !http_status_has_no_body(status);
  if (body_follows && http_1_1_) {
    chunked_ = true;
    head += "transfer-encoding: chunked\r\n";
  } else if (body_follows) {
    keep_alive_ = false;  // the body ends where the connection does
  }
  constexpr int kSwitchingProtocols = 101;
  if (status == kSwitchingProtocols) {
    // The handler's headers say what becomes of the connection: nothing follows in HTTP.
    keep_alive_ = false;
  } else if (!keep_alive_) {
    head += "connection: close\r\n";
  } else if (!http_1_1_) {
    head += "connection: keep-alive\r\n";
  }
  head += "\r\n";
  session_->connection().output().append(BytesView(head));
  session_->connection().request_flush();
}

void Http1Exchange::respond(int status, HttpHeaders headers, Bytes body) {
  if (!active() || started_) return;
  if (!http_status_has_no_body(status)) {
    headers.emplace_back("content-length", concat(body.size()));
  }
  write_head(status, headers);
  write(std::move(body));
  finish();
}

void Http1Exchange::start(int status, HttpHeaders headers) {
  if (active() && !started_) write_head(status, headers);
}

void Http1Exchange::write(Bytes chunk) {
  if (!active() || !started_ || head_ || chunk.empty()) return;
  OutputQueue& output = session_->connection().output();
  Slice piece = Slice::own(std::move(chunk));
  if (chunked_) {
    append_chunk(output, std::move(piece));
  } else {
    output.append(std::move(piece));
  }
  session_->above_low_water_ = output.size_bytes() > home_->options.call_low_water_bytes;
  session_->connection().request_flush();
}

void Http1Exchange::finish() {
  if (!active() || !started_) return;
  if (chunked_ && !head_) session_->connection().output().append(kLastChunk);
  end();
}

void Http1Exchange::abandon() {
  if (!active()) return;
  keep_alive_ = false;
  end();
}

void Http1Exchange::end() {
  finished_ = true;
  on_writable_ = nullptr;
  on_cancelled_ = nullptr;
  session_->answered(keep_alive_);  // may let go of this
}

std::size_t Http1Exchange::queued_bytes() const {
  return session_ == nullptr ? 0 : session_->connection().output().size_bytes();
}

void Http1Exchange::pause_body() {
  if (active()) session_->pause_upload(true);
}

void Http1Exchange::resume_body() {
  if (active()) session_->pause_upload(false);
}

void Http1Exchange::on_drained() {
  if (active() && on_writable_ != nullptr) on_writable_();
}

void Http1Exchange::on_client_leaving() {
  keep_alive_ = false;
  if (active() && on_cancelled_ != nullptr) std::exchange(on_cancelled_, nullptr)();
}

void Http1Exchange::on_closed() {
  on_client_leaving();
  session_ = nullptr;
  on_writable_ = nullptr;
}

}  // namespace holdfast::net
