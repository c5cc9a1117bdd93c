#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "datastore/net/server.h"

namespace holdfast::net {

/// Collects what the server told; wait_for() ends after ten seconds.
class Recorder final : public NetObserver {
 public:
  void connection_closed(std::string_view, std::string_view reason) override {
    record("closed", reason);
  }
  void connection_refused(std::string_view, std::string_view reason) override {
    record("refused", reason);
  }
  void protocol_error(std::string_view, std::string_view what) override { record("error", what); }
  void rpc_finished(int, const RpcSummary& summary) override;

  /// Until an event that begins with `prefix` has been told ("closed idle", "rpc /t.T/Echo 0").
  bool wait_for(const std::string& prefix);
  std::vector<std::string> events() const;

 private:
  void record(std::string_view kind, std::string_view text);

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> events_;
};

/// A server on an ephemeral port with a little service:
///   /t.T/Echo      unary: the request
///   /t.T/Later     unary: the request, answered from another thread
///   /t.T/Fail      unary: NOT_FOUND, the request as its message, with details and trailers
///   /t.T/Silent    unary: never answers
///   /t.T/Metadata  unary: the values of request header "x-test" and "x-test-bin"
///   /t.T/Count     server stream: as many messages as the request's text says
///   /t.T/Chat      bidirectional: echoes each message; OK at half-close
///   /t.T/Flood     bidirectional: on a message "n", n pieces of one shared 64 KiB slice, as room
///   allows /t.T/Paused    bidirectional: pauses reading after the first message until "resume" is
///   called
/// /tunnel changes the protocol to one that echoes up to a '!', /tunnel/no refuses to.
/// Plain HTTP: /echo answers the body, /big streams 1 MiB in pieces, /later answers from another
/// thread, /lost lets go of the request; everything else shows method, path, query and host.
class TestServer {
 public:
  explicit TestServer(ServerOptions options = {}, Serves serves = Serves::kGrpcAndHttp,
                      bool start = true,
                      std::shared_ptr<const TransportFactory> transports = nullptr);
  ~TestServer();

  int port() const { return port_; }
  Server& server() { return *server_; }
  Recorder& recorder() { return *recorder_; }
  /// Messages seen by /t.T/Paused and bytes taken in by all handlers.
  std::atomic<int> paused_messages{0};
  std::atomic<int> cancelled{0};
  std::atomic<std::size_t> flood_peak_bytes{0};
  /// Continues every paused call.
  void resume();

 private:
  friend class PausedHandler;
  void register_services();

  std::shared_ptr<GrpcServices> services_;
  std::shared_ptr<Recorder> recorder_;
  std::unique_ptr<Server> server_;
  std::mutex mutex_;
  std::vector<CallRef> paused_;
  std::vector<std::thread> threads_;
  int port_ = 0;
};

}  // namespace holdfast::net
