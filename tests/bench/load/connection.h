#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <nghttp2/nghttp2.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace holdfast::bench {

/// Who is told about a connection's calls. `tag` is what start_call was given.
class CallObserver {
 public:
  virtual ~CallObserver() = default;
  /// One whole gRPC message; the bytes live until the call returns.
  virtual void on_message(uint32_t tag, std::string_view message) = 0;
  /// The call has ended: its grpc-status, -1 if the stream was reset or had none.
  virtual void on_end(uint32_t tag, int grpc_status, std::string_view grpc_message) = 0;
};

/// One plaintext HTTP/2 connection with gRPC calls on it, for a client that must cost less than the
/// server it drives: frames are written by hand, and a call's header block is encoded twice and
/// then repeated byte for byte (the block only refers to the dynamic table, which no longer
/// changes). Answers are read with nghttp2's HPACK decoder.
///
/// Not a general client: no TLS, no compression, requests of at most one frame, no padding or
/// priority. Not safe for concurrent use.
class Connection {
 public:
  /// Requests longer than this do not fit the one DATA frame they are sent in.
  static constexpr size_t kMaxRequestBytes = 16384;

  /// Connects to a numeric IPv4 address and sends the preface. Errors: Unavailable.
  static absl::StatusOr<std::unique_ptr<Connection>> open(const std::string& address, uint16_t port,
                                                          CallObserver* observer);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  int fd() const { return fd_; }

  /// Begins a call with one request. `half_close` ends the client's side (unary, server streams).
  /// Returns the stream, for send_message. Nothing is written before flush.
  uint32_t start_call(uint32_t tag, std::string_view path, std::string_view request,
                      bool half_close);

  /// Sends a further request on an open call.
  void send_message(uint32_t stream, std::string_view request) {
    send_data(stream, request, false);
  }

  /// Reads once and tells the observer. Returns whether there may be more to read. Errors:
  /// Unavailable if the server closed the connection, Internal if it broke the protocol.
  absl::StatusOr<bool> read_some();

  /// Writes as much as the socket takes. Returns whether something is left.
  absl::StatusOr<bool> flush();

 private:
  struct Stream {
    uint32_t id = 0;  // 0: free
    uint32_t tag = 0;
    int64_t send_window = 0;
    uint64_t unacknowledged_bytes = 0;  // received, not yet given back as window
    std::string partial;                // the begin of a message that has not wholly arrived
  };
  struct Waiting {
    uint32_t stream;
    std::string request;
    bool half_close;
  };
  struct HeaderBlock {
    std::string bytes;
    int encodings = 0;
  };

  Connection(int fd, CallObserver* observer);

  void append_headers(uint32_t stream, std::string_view path);
  std::string encode_headers(std::string_view path);
  void send_data(uint32_t stream, std::string_view request, bool half_close);
  bool has_window(const Stream& stream, size_t bytes) const;
  void append_data(Stream& stream, std::string_view request, bool half_close);
  void send_waiting();
  Stream* find(uint32_t id);

  absl::Status take_frame(uint8_t type, uint8_t flags, uint32_t id, std::string_view payload);
  absl::Status take_data(uint8_t flags, uint32_t id, std::string_view payload);
  absl::Status take_headers(uint8_t flags, uint32_t id, std::string_view block);
  absl::Status take_settings(uint8_t flags, std::string_view payload);
  void take_window_update(uint32_t id, std::string_view payload);
  void deliver_messages(Stream& stream, std::string_view payload);
  void give_back_window(Stream* stream, size_t bytes);
  void end_call(Stream& stream, int grpc_status, std::string_view grpc_message);

  const int fd_;
  CallObserver* const observer_;
  nghttp2_hd_deflater* deflater_ = nullptr;
  nghttp2_hd_inflater* inflater_ = nullptr;
  std::map<std::string, HeaderBlock, std::less<>> header_blocks_;
  std::vector<Stream> streams_;  // ring: stream id / 2 modulo its size
  uint32_t next_stream_ = 1;
  int64_t send_window_ = 65535;
  int64_t initial_send_window_ = 65535;
  uint64_t unacknowledged_bytes_ = 0;
  std::vector<std::string>
      spare_buffers_;            // of ended calls, for the next: large ones cost page faults
  std::deque<Waiting> waiting_;  // bounded by the caller's requests in flight
  std::string out_;
  size_t out_begin_ = 0;
  std::vector<char> in_;
  size_t in_size_ = 0;
};

}  // namespace holdfast::bench
