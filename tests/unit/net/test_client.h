#pragma once

#include <nghttp2/nghttp2.h>

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "datastore/crypto/openssl.h"

namespace holdfast::net {

/// A blocking socket to 127.0.0.1, for tests that speak bytes. Every wait ends after ten seconds.
class RawClient {
 public:
  /// With `tls`, through TLS; see tls_error() and protocol() for how the handshake went.
  explicit RawClient(int port, SSL_CTX* tls = nullptr);
  ~RawClient();
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  /// False if the server has closed.
  bool send(std::string_view bytes);
  /// What arrives next; empty at the end of the stream, or when `wait` has passed.
  std::string receive(std::chrono::milliseconds wait = std::chrono::seconds(10));
  std::string receive_until(std::string_view text);
  std::string receive_until_closed();
  void finish_sending();
  int fd() const { return fd_; }
  /// Empty after a good handshake. In TLS 1.3 a server that refuses us says so at the first read.
  const std::string& tls_error() const { return tls_error_; }
  /// What ALPN settled.
  std::string protocol() const;
  /// Sends the end of TLS and closes its half.
  void say_goodbye();

 private:
  std::string read_some();

  int fd_;
  crypto::SslPtr ssl_;
  std::string tls_error_;
};

/// An HTTP/2 client over nghttp2, driven by hand: nothing is read before run_until().
class H2Client {
 public:
  using Headers = std::vector<std::pair<std::string, std::string>>;

  struct Reply {
    std::map<std::string, std::string> headers;  // and trailers
    std::string body;
    int header_frames = 0;
    bool closed = false;
    std::uint32_t error_code = 0;
    bool reset_by_server = false;

    std::string at(const std::string& name) const {
      const auto found = headers.find(name);
      return found == headers.end() ? std::string() : found->second;
    }
    /// gRPC messages in the body, prefixes removed.
    std::vector<std::string> messages() const;
  };

  /// `stream_window` is what the server may send unasked on each stream.
  explicit H2Client(int port, std::int32_t stream_window = 65'535, SSL_CTX* tls = nullptr);
  ~H2Client();
  H2Client(const H2Client&) = delete;
  H2Client& operator=(const H2Client&) = delete;

  /// Starts a request; data follows by send() until `end`.
  std::int32_t open(const Headers& headers, std::string body = {}, bool end = true);
  void send(std::int32_t stream, std::string_view data, bool end = false);
  void reset(std::int32_t stream, std::uint32_t code);
  /// A gRPC call with one request message.
  std::int32_t call(const std::string& path, std::string_view message, Headers extra = {});
  /// A gRPC call that stays open.
  std::int32_t open_call(const std::string& path, Headers extra = {});
  /// call() and wait for its end.
  Reply unary(const std::string& path, std::string_view message, Headers extra = {});

  /// Exchanges frames until `done`; false after ten seconds or when the server has closed.
  bool run_until(const std::function<bool()>& done);
  bool run_until_closed(std::int32_t stream);
  Reply& reply(std::int32_t stream) { return replies_[stream]; }
  nghttp2_session* session() { return session_; }
  /// Writes what is queued, reads nothing.
  void flush();

  int pings_acknowledged = 0;
  int pings_received = 0;
  bool connection_closed = false;
  std::vector<std::pair<std::int32_t, std::uint32_t>> goaways;  // last stream, code
  std::string goaway_text;
  std::map<std::int32_t, std::uint32_t> settings;
  bool consume_automatically = true;
  RawClient& socket() { return socket_; }

 private:
  struct Upload {
    std::string data;
    bool end = false;
    bool deferred = false;
  };
  static ssize_t on_data_wanted(nghttp2_session*, std::int32_t, std::uint8_t*, std::size_t,
                                std::uint32_t*, nghttp2_data_source*, void*);
  static nghttp2_session_callbacks* callbacks();

  RawClient socket_;
  nghttp2_session* session_ = nullptr;
  std::map<std::int32_t, Reply> replies_;
  std::map<std::int32_t, Upload> uploads_;
};

/// `message` with gRPC's prefix.
std::string framed(std::string_view message, bool compressed = false);

}  // namespace holdfast::net
