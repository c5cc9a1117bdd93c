#pragma once

#include <nghttp2/nghttp2.h>

#include <list>
#include <memory>
#include <optional>

#include "absl/container/flat_hash_map.h"
#include "datastore/net/connection_count.h"
#include "datastore/net/event_loop.h"
#include "datastore/net/grpc_services.h"
#include "datastore/net/http.h"
#include "datastore/net/http2_stream.h"
#include "datastore/net/observer.h"
#include "datastore/net/options.h"
#include "datastore/net/output_queue.h"
#include "datastore/net/request_budget.h"
#include "datastore/net/small_block_pool.h"
#include "datastore/net/transport.h"

namespace holdfast::net {

class Connection;

/// What a listener's URL serves.
enum class Serves { kGrpcAndHttp, kGrpcOnly, kHttpOnly };

/// What connections of one listener need to know. `http` may be null: every request is then 404.
struct Endpoint {
  Serves serves = Serves::kGrpcAndHttp;
  std::shared_ptr<HttpHandler> http;
  /// Speaks TLS on accepted sockets; null: plain bytes.
  std::shared_ptr<const TransportFactory> transports;
  /// In place of ServerOptions::connection.
  std::optional<ConnectionLimits> limits;

  /// Null if plain HTTP is not served here.
  HttpHandler* http_handler() const { return serves == Serves::kGrpcOnly ? nullptr : http.get(); }
};

/// nghttp2's callbacks and options: the same for every session of a loop.
struct Http2Config {
  explicit Http2Config(const ServerOptions& options);
  ~Http2Config();
  Http2Config(const Http2Config&) = delete;
  Http2Config& operator=(const Http2Config&) = delete;

  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_option* option = nullptr;
};

/// One loop of the server with everything its connections share. Loop thread only, but for the
/// loop's post(). Kept alive by the streams in use, so that a late CallRef is harmless.
struct ServerLoop : std::enable_shared_from_this<ServerLoop> {
  ServerLoop(int index, const ServerOptions& server_options,
             std::shared_ptr<const GrpcServices> grpc_services,
             std::shared_ptr<NetObserver> net_observer);
  ~ServerLoop();

  SmallBlockPool http2_memory;  // first, because the loop's last tasks may still hold headers
  EventLoop loop;
  const ServerOptions options;
  const std::shared_ptr<const GrpcServices> services;
  const std::shared_ptr<NetObserver> observer;
  const Http2Config http2;
  BlockPool blocks;
  StreamPool streams;
  RequestBudget requests;
  /// Answers waiting in the streams of this loop, see ServerOptions::max_loop_queued_bytes.
  std::size_t queued_bytes = 0;
  bool draining = false;
  /// Whose handshake is under way, those that began first in front.
  std::list<Connection*> handshaking;
  /// Counts a step of a handshake; false when this turn has had enough of them, which are so much
  /// dearer than requests that many at once would keep the others waiting.
  bool admit_handshake_step();
  /// Counts a round of output of a connection that has much to say; false when this turn has had
  /// enough of them: a turn must be short for the sake of those who say little.
  bool admit_bulk_round();
  /// The same for a further buffer read from a connection that has filled one.
  bool admit_bulk_read();
  absl::flat_hash_map<Connection*, std::unique_ptr<Connection>> connections;
  /// All loops' connections, shared with the listeners, which refuse beyond max_connections.
  std::shared_ptr<ConnectionCount> connection_count;

 private:
  EventLoop::Clock::time_point handshake_turn_;
  int handshake_steps_ = 0;  // of that turn
  EventLoop::Clock::time_point bulk_turn_;
  int bulk_rounds_ = 0;  // of that turn
  int bulk_reads_ = 0;
  void begin_bulk_turn();
};

}  // namespace holdfast::net
