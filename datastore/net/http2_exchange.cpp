#include "datastore/net/http2_exchange.h"

#include "datastore/net/connection.h"
#include "datastore/net/http2_session.h"
#include "datastore/net/responder_handle.h"
#include "datastore/net/text.h"

namespace holdfast::net {
namespace {

nghttp2_nv copied(std::string_view name, std::string_view value) {
  return {reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), name.size(),
          value.size(), NGHTTP2_NV_FLAG_NONE};
}

}  // namespace

std::shared_ptr<Http2Exchange> Http2Exchange::make(Http2Stream& stream) {
  return std::shared_ptr<Http2Exchange>(new Http2Exchange(stream));
}

Http2Exchange::Http2Exchange(Http2Stream& stream)
    : stream_(&stream), home_(stream.home().shared_from_this()) {
}

EventLoop& Http2Exchange::loop() const {
  return home_->loop;
}

void Http2Exchange::on_headers(bool end_of_request, bool headers_too_large) {
  request_.method = stream_->method();
  request_.peer = stream_->session()->connection().peer();
  request_.secure = stream_->session()->connection().secure();
  request_.client_common_name = stream_->session()->connection().peer_common_name();
  request_.http_major = 2;
  split_target(stream_->path(), request_.path, request_.query);
  head_ = request_.method == "HEAD";
  if (headers_too_large) return refuse(431, "request headers are too large");
  for (const Http2Stream::Header& field : stream_->headers()) {
    const BytesView name = field.name_view();
    if (name == ":authority") {
      request_.headers.emplace_back("host", field.value_view());
    } else if (!name.empty() && name[0] != ':') {
      request_.headers.emplace_back(name, field.value_view());
    }
  }
  if (end_of_request) on_end_of_request();
}

void Http2Exchange::on_data(BytesView chunk) {
  if (!active()) return;
  if (request_.body.size() + chunk.size() >
      stream_->session()->connection().limits().max_http_body_bytes) {
    give_back_body();
    return refuse(413, "request body is too large");
  }
  if (!home_->requests.take_piece(charged_bytes_, chunk.size())) {
    give_back_body();
    return refuse(503, "the server holds too many requests, try again later");
  }
  charged_bytes_ += chunk.size();
  request_.body.append(chunk);
  stream_->consume(chunk.size());
}

void Http2Exchange::give_back_body() {
  home_->requests.give_back(std::exchange(charged_bytes_, 0));
  Bytes().swap(request_.body);
}

void Http2Exchange::on_end_of_request() {
  if (!active()) return;
  // From here on the body is the handler's.
  home_->requests.give_back(std::exchange(charged_bytes_, 0));
  HttpHandler* const handler = stream_->session()->connection().endpoint().http_handler();
  if (handler == nullptr) return refuse(404, "404 page not found");
  handler->on_request(std::move(request_), responder_handle(shared_from_this()));
}

void Http2Exchange::on_drained() {
  if (active() && on_writable_ != nullptr) on_writable_();
}

void Http2Exchange::on_closed() {
  const bool cancelled = active();
  give_back_body();
  stream_ = nullptr;
  on_writable_ = nullptr;
  if (cancelled && on_cancelled_ != nullptr) std::exchange(on_cancelled_, nullptr)();
  on_cancelled_ = nullptr;
}

void Http2Exchange::refuse(int status, std::string_view text) {
  respond(status, {{"content-type", "text/plain; charset=utf-8"}}, concat(text, "\n"));
}

void Http2Exchange::submit(int status, const HttpHeaders& headers, bool end_stream) {
  started_ = true;
  const std::string code = concat(status);
  const std::string date = http_date();
  std::vector<nghttp2_nv> fields = {copied(":status", code), copied("date", date)};
  for (const auto& [name, value] : headers) fields.push_back(copied(name, value));
  stream_->submit_headers(fields.data(), fields.size(), end_stream);
}

void Http2Exchange::respond(int status, HttpHeaders headers, Bytes body) {
  if (!active() || started_) return;
  if (!http_status_has_no_body(status)) {
    headers.emplace_back("content-length", concat(body.size()));
  }
  if (head_ || body.empty()) {
    finished_ = true;
    return submit(status, headers, true);
  }
  submit(status, headers, false);
  write(std::move(body));
  finish();
}

void Http2Exchange::start(int status, HttpHeaders headers) {
  if (active() && !started_) submit(status, headers, false);
}

void Http2Exchange::write(Bytes chunk) {
  if (!active() || !started_ || head_ || chunk.empty()) return;
  const std::size_t size = chunk.size();
  stream_->output().append(Slice::own(std::move(chunk)));
  stream_->data_queued(size);
}

void Http2Exchange::finish() {
  if (!active() || !started_) return;
  finished_ = true;
  stream_->end(Http2Stream::Ending::kEndStream);
}

void Http2Exchange::abandon() {
  if (!active()) return;
  finished_ = true;
  stream_->reset(NGHTTP2_INTERNAL_ERROR);
}

std::size_t Http2Exchange::queued_bytes() const {
  return stream_ == nullptr ? 0 : stream_->output().size_bytes();
}

}  // namespace holdfast::net
