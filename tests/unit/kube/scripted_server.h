#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "datastore/telemetry/log.h"
#include "operator/kube/rest_client.h"

namespace holdfast::kube {

/// An API server that answers as the test says, byte for byte: for faults that a real one will not
/// show on demand. Each request is given to the script with its number, from 0.
class ScriptedServer {
 public:
  struct Heard {
    std::string method;
    std::string target;
    std::string head;  ///< request line and headers
    std::string body;
  };
  /// Writes an answer by `send`; the connection closes after it unless it returns true.
  using Send = std::function<void(std::string_view bytes)>;
  using Script = std::function<bool(int number, const Heard& request, const Send& send)>;

  explicit ScriptedServer(Script script);
  ~ScriptedServer();

  int port() const { return port_; }
  std::vector<Heard> heard() const;
  /// Waits until so many requests were heard; false after a generous deadline.
  bool wait_for(std::size_t requests) const;
  /// True once the server is being closed: scripts that hold a connection open wait for it.
  bool closing() const { return closing_.load(); }
  /// For scripts: keeps the connection as it is until the server closes.
  void hold() const;

 private:
  void accept_all();
  void serve(int socket);

  const Script script_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> closing_{false};
  std::thread acceptor_;

  mutable std::mutex mutex_;  // guards all below
  mutable std::condition_variable changed_;
  std::vector<Heard> heard_;
  std::vector<int> sockets_;
  std::vector<std::thread> servers_;
};

/// "HTTP/1.1 200 OK" with a length.
std::string answer(int status, std::string_view body, std::string_view headers = {});
/// A Kubernetes Status object.
std::string status_body(int code, std::string_view reason, std::string_view message);
/// The head of a chunked answer, and one chunk.
std::string chunked_head();
std::string chunk(std::string_view bytes);

/// What a client needs beside a server.
struct ClientFixture {
  std::unique_ptr<telemetry::Logger> log = telemetry::Logger::none();
  telemetry::MetricRegistry registry;
  RequestMetrics metrics{registry};

  /// A client of http://127.0.0.1:port with small backoffs.
  std::unique_ptr<RestClient> connect(
      int port, const std::function<void(Config&, RestClientOptions&)>& adjust = nullptr);
};

/// True as soon as the condition holds; false after a generous deadline.
bool eventually(const std::function<bool()>& condition);

inline const Resource kConfigMaps{
    .group = "", .version = "v1", .plural = "configmaps", .namespaced = true};

}  // namespace holdfast::kube
