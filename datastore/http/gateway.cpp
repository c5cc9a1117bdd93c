#include "datastore/http/gateway.h"

#include <utility>

#include "datastore/http/answer_stream.h"
#include "datastore/http/json_methods.h"
#include "datastore/net/web_socket.h"

namespace holdfast::http {
namespace {

constexpr std::string_view kBearer = "Bearer";

void respond(net::HttpResponder& responder, Reply reply, const net::HttpHeaders& headers) {
  reply.headers.insert(reply.headers.end(), headers.begin(), headers.end());
  responder.respond(reply.status, std::move(reply.headers), std::move(reply.body));
}

/// HTTP's form of a stream's answers: lines of an answer that begins with the first.
class Lines final : public AnswerSink {
 public:
  explicit Lines(Gateway::Answer answer)
      : responder_(std::move(answer.responder)), headers_(std::move(answer.headers)) {}

  bool active() const override { return responder_->active(); }
  std::size_t queued_bytes() const override { return responder_->queued_bytes(); }
  void text(Bytes json) override {
    if (!std::exchange(started_, true)) {
      headers_.emplace_back("content-type", "application/json");
      headers_.emplace_back(kAnswered);
      responder_->start(200, headers_);
    }
    json.push_back('\n');
    responder_->write(std::move(json));
  }
  void end(const Reply* error) override {
    if (!started_) return respond(*responder_, error != nullptr ? *error : Reply{}, headers_);
    if (error != nullptr) text(error->body);
    responder_->finish();
  }

 private:
  const net::HttpResponderRef responder_;
  net::HttpHeaders headers_;
  bool started_ = false;
};

/// Headers that become request metadata: Authorization, and what grpc-gateway's prefix marks.
GrpcMetadata metadata_of(const net::HttpRequest& request) {
  constexpr std::string_view kMarked = "grpc-metadata-";
  GrpcMetadata metadata;
  for (const auto& [name, value] : request.headers) {
    if (name == "authorization") {
      metadata.emplace_back(name, value);
    } else if (name.starts_with(kMarked) && name.size() > kMarked.size()) {
      metadata.emplace_back(name.substr(kMarked.size()), value);
    }
  }
  return metadata;
}

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t");
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

/// A browser's WebSocket can't set Authorization: its token comes as a subprotocol after "Bearer".
std::string_view socket_token(const net::HttpRequest& request) {
  const std::string_view protocols = request.header("sec-websocket-protocol").value_or("");
  if (!protocols.starts_with(kBearer)) return {};
  const std::size_t comma = protocols.find(',');
  return comma == protocols.npos ? std::string_view() : trimmed(protocols.substr(comma + 1));
}

/// Only gateway's metadata that a page can't forge for its visitor: no cookie stands for a token.
GrpcMetadata metadata_of_socket(const net::HttpRequest& request) {
  GrpcMetadata metadata = metadata_of(request);
  if (const std::string_view token = socket_token(request); !token.empty()) {
    metadata.emplace_back("authorization", std::string(kBearer) + " " + std::string(token));
  }
  return metadata;
}

class WebSocketUpload final : public net::HttpUpload {
 public:
  explicit WebSocketUpload(std::shared_ptr<WebSocketCall> call) : call_(std::move(call)) {}
  void on_body(BytesView bytes) override { call_->take(bytes); }
  void on_end() override {}  // of a WebSocket there is none

 private:
  const std::shared_ptr<WebSocketCall> call_;
};

void begin_stream(GrpcCaller& caller, const JsonMethod& method, const net::HttpRequest& request,
                  std::vector<Bytes> requests, Gateway::Answer answer) {
  net::HttpResponder& responder = *answer.responder;
  const net::HttpResponderRef client = answer.responder;
  const auto answers = std::make_shared<AnswerStream>(
      method, std::make_shared<Lines>(std::move(answer)), client->loop());
  client->set_on_cancelled([weak = std::weak_ptr(answers)] {
    if (const auto stream = weak.lock()) stream->cancel();
  });
  responder.set_on_writable([weak = std::weak_ptr(answers)] {
    if (const auto stream = weak.lock()) stream->go_on();
  });
  answers->follow(
      caller.stream(method.grpc_path(), std::move(requests), metadata_of(request), answers));
}

void begin_call(GrpcCaller& caller, const JsonMethod& method, const net::HttpRequest& request,
                Bytes encoded, Gateway::Answer answer) {
  const net::HttpResponderRef client = answer.responder;
  const auto call = caller.call(
      method.grpc_path(), std::move(encoded), metadata_of(request),
      [method, answer = std::move(answer)](absl::StatusOr<Bytes> response) mutable {
        net::EventLoop& loop = answer.responder->loop();
        loop.post([method, answer = std::move(answer), response = std::move(response)]() mutable {
          if (response.ok()) response = method.json_of(*response);
          if (!response.ok()) {
            return respond(*answer.responder, error_reply(response.status()), answer.headers);
          }
          answer.headers.emplace_back(kAnswered);
          respond(*answer.responder, json_reply(200, *std::move(response)), answer.headers);
        });
      });
  if (call != nullptr) client->set_on_cancelled([call] { call->cancel(); });
}

}  // namespace

Gateway::Gateway(std::unique_ptr<GrpcCaller> caller) : caller_(std::move(caller)) {
}

bool Gateway::owns(std::string_view path) {
  return is_api_path(path);
}

void Gateway::serve(const net::HttpRequest& request, Answer answer) {
  const auto refuse = [&answer](const absl::Status& why) {
    respond(*answer.responder, error_reply(why), answer.headers);
  };
  const absl::StatusOr<JsonMethod> method = find_method(request.path);
  if (!method.ok()) return refuse(method.status());
  if (request.method != "POST") return refuse(absl::UnimplementedError("Method Not Allowed"));
  absl::StatusOr<std::vector<Bytes>> requests = method->requests_from_json(request.body);
  if (!requests.ok()) return refuse(requests.status());
  if (method->streams_requests() || method->streams_answers()) {
    return begin_stream(*caller_, *method, request, *std::move(requests), std::move(answer));
  }
  begin_call(*caller_, *method, request, std::move(requests->front()), std::move(answer));
}

std::unique_ptr<net::HttpUpload> Gateway::converse(const net::HttpRequest& request, Answer answer) {
  std::optional<net::HttpHeaders> headers = net::accept_web_socket(request);
  if (!headers) {
    Reply refusal = text_error(400, "Bad Request");
    refusal.headers.emplace_back("sec-websocket-version", "13");
    respond(*answer.responder, std::move(refusal), answer.headers);
    return nullptr;
  }
  if (request.header("sec-websocket-protocol").value_or("").starts_with(kBearer)) {
    headers->emplace_back("sec-websocket-protocol", std::string(kBearer));
  }
  auto call = std::make_shared<WebSocketCall>(*caller_, find_method(request.path),
                                              metadata_of_socket(request), answer.responder, held_);
  call->begin(*std::move(headers));
  return std::make_unique<WebSocketUpload>(std::move(call));
}

}  // namespace holdfast::http
