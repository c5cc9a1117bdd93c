#include "datastore/peer/peer_server.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "datastore/codec/raft_messages.h"
#include "datastore/peer/answers.h"
#include "datastore/peer/inbox.h"
#include "datastore/peer/peer_headers.h"
#include "datastore/peer/refusal.h"

namespace holdfast::peer {
namespace {

constexpr std::string_view kMessagePath = "/raft";
constexpr std::string_view kSnapshotPath = "/raft/snapshot";
constexpr std::string_view kProbePath = "/raft/probing";
constexpr std::string_view kStreamPrefix = "/raft/stream/";

struct StreamPath {
  std::string_view kind;
  std::string_view from;
};

/// "/raft/stream/<kind>/<from>".
StreamPath split_stream_path(std::string_view path) {
  path.remove_prefix(kStreamPrefix.size());
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return {};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

std::optional<StreamKind> stream_kind(std::string_view name) {
  for (const StreamKind kind : {StreamKind::kMsgApp, StreamKind::kMessage}) {
    if (name == stream_name(kind)) return kind;
  }
  return std::nullopt;
}

MemberId sender_of(const net::HttpRequest& request) {
  return MemberId(parse_hex(request.header("x-server-from").value_or("")).value_or(0));
}

}  // namespace

void PeerServer::refuse(const net::HttpRequest& request, net::HttpResponder& responder, int status,
                        std::string_view text) {
  context_.observer.request_refused(request.peer, request.path, status, text);
  answer_error(responder, context_.options, status, text);
}

void PeerServer::on_request(net::HttpRequest request, net::HttpResponderRef responder) {
  const std::string_view path = request.path;
  if (path == kMessagePath) return serve_message(request, *responder);
  if (path.starts_with(kStreamPrefix)) return serve_stream(request, std::move(responder));
  if (path == kProbePath) return serve_probe(*responder);
  if (path == kSnapshotPath) {
    // A POST by HTTP/1.1 would have come as an upload.
    return answer_wrong_method(*responder, context_.options, "POST");
  }
  pages_.serve(request, std::move(responder));
}

void PeerServer::serve_probe(net::HttpResponder& responder) {
  responder.respond(200, {{"content-type", "application/json"}},
                    encode_probe(context_.clock.unix_milliseconds()));
}

// --- streams ------------------------------------------------------------------------------------

void PeerServer::serve_stream(const net::HttpRequest& request, net::HttpResponderRef responder) {
  if (request.method != "GET") {
    return answer_wrong_method(*responder, context_.options, "GET");
  }
  if (const auto why = incompatibility(request, context_.options)) {
    return refuse(request, *responder, 412, *why);
  }
  const StreamPath path = split_stream_path(request.path);
  const std::optional<StreamKind> kind = stream_kind(path.kind);
  if (!kind) return refuse(request, *responder, 404, "invalid path");
  const std::optional<std::uint64_t> from = parse_hex(path.from);
  if (!from) return refuse(request, *responder, 404, "invalid from");
  if (context_.is_removed(MemberId(*from))) {
    return refuse(request, *responder, 410, "removed member");
  }
  Peer* const peer = peers_.find(MemberId(*from));
  if (peer == nullptr) {
    peers_.meet(MemberId(*from), request.header("x-peerurls").value_or(""));
    return refuse(request, *responder, 404, "error sender not found");
  }
  if (request.header("x-raft-to").value_or("") != to_hex(context_.options.self.value)) {
    return refuse(request, *responder, 412, "to field mismatch");
  }
  peer->writer(*kind).attach(std::move(responder));
}

// --- messages and states ------------------------------------------------------------------------

void PeerServer::serve_message(const net::HttpRequest& request, net::HttpResponder& responder) {
  if (request.method != "POST") {
    return answer_wrong_method(responder, context_.options, "POST");
  }
  if (const auto why = incompatibility(request, context_.options)) {
    return refuse(request, responder, 412, *why);
  }
  std::vector<raft::Message> messages(1);
  raft::Message& message = messages.front();
  const absl::Status status = codec::decode(request.body, &message);
  const bool is_passed_over = absl::IsUnimplemented(status);
  if (!status.ok() && !is_passed_over) {
    return refuse(request, responder, 400, "error unmarshalling raft message");
  }
  if (context_.is_removed(message.from)) {
    return refuse(request, responder, 403, "cannot process message from removed member");
  }
  if (message.to != context_.options.self) {
    return refuse(request, responder, 500, "error processing raft message");
  }
  context_.observer.received(message.from, request.body.size());
  if (!is_passed_over) deliver(context_, std::move(messages));
  responder.respond(204, cluster_header(context_.options), {});
}

bool PeerServer::takes_uploads(const net::HttpRequest& request) const {
  return request.path == kSnapshotPath && request.method == "POST";
}

std::unique_ptr<net::HttpUpload> PeerServer::on_upload(const net::HttpRequest& request,
                                                       const net::HttpResponderRef& responder) {
  if (const auto why = incompatibility(request, context_.options)) {
    refuse(request, *responder, 412, *why);
    return nullptr;
  }
  return receive_snapshot(context_, files_, snapshots_received_, sender_of(request), responder);
}

}  // namespace holdfast::peer
