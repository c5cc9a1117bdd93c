#pragma once

#include <nghttp2/nghttp2.h>

#include <atomic>
#include <memory>
#include <vector>

#include "datastore/net/byte_queue.h"
#include "datastore/net/grpc_call.h"

namespace holdfast::net {

class Http2Exchange;
class Http2Session;
struct ServerLoop;

/// One HTTP/2 stream: its request headers, what it has to send, and what sits on it, a gRPC call or
/// a plain HTTP exchange. Counted by references: its session holds one while the stream is open,
/// each CallRef another. Taken from and returned to the loop's pool, with its capacities.
///
/// Loop thread only, except add_reference() and release().
class Http2Stream {
 public:
  Http2Stream();
  ~Http2Stream();
  Http2Stream(const Http2Stream&) = delete;
  Http2Stream& operator=(const Http2Stream&) = delete;

  void add_reference() { references_.fetch_add(1, std::memory_order_relaxed); }
  void release();

  // The request.
  struct Header {
    nghttp2_rcbuf* name;
    nghttp2_rcbuf* value;
    BytesView name_view() const;
    BytesView value_view() const;
  };
  /// Keeps references to both. False if the list grew too large; it then holds no more than before.
  bool add_header(nghttp2_rcbuf* name, nghttp2_rcbuf* value, std::size_t max_list_bytes);
  const std::vector<Header>& headers() const { return headers_; }
  BytesView method() const { return view(method_); }
  BytesView path() const { return view(path_); }
  BytesView content_type() const { return view(content_type_); }
  BytesView grpc_timeout() const { return view(grpc_timeout_); }
  bool has_grpc_timeout() const { return grpc_timeout_ != nullptr; }
  BytesView grpc_encoding() const { return view(grpc_encoding_); }
  BytesView grpc_accept_encoding() const { return view(grpc_accept_encoding_); }

  // The response. Nothing happens once the stream is detached from its session.
  enum class Ending { kOpen, kEndStream, kOkTrailers, kTrailers };
  /// Response headers, which end the stream if `end_stream`; else data may follow.
  void submit_headers(const nghttp2_nv* headers, std::size_t count, bool end_stream);
  /// Where data goes; call data_queued() after adding `size_bytes`.
  ByteQueue& output() { return output_; }
  const ByteQueue& output() const { return output_; }
  void data_queued(std::size_t size_bytes);
  /// No more data; `trailers` for kTrailers only.
  void end(Ending ending, Metadata trailers = {});
  /// Drops what is queued and resets.
  void reset(std::uint32_t error_code);
  /// Lets the peer send `size_bytes` more on this stream.
  void consume(std::size_t size_bytes);

  bool attached() const { return session_ != nullptr; }
  Http2Session* session() const { return session_; }
  ServerLoop& home() const { return *home_; }
  GrpcCall& call() { return call_; }
  std::int32_t id() const { return id_; }

 private:
  friend class Http2Session;
  friend class StreamPool;

  static BytesView view(nghttp2_rcbuf* value);
  void attach(std::shared_ptr<ServerLoop> home, Http2Session& session, std::int32_t id);
  // From the session.
  /// Counts the header list against the loop's budget; false if there is no room.
  bool charge_headers();
  void on_headers_complete(bool end_stream);
  void on_data(BytesView chunk, bool end_stream);
  void on_end_stream();
  void on_drained();
  /// The server stops: what would go on for ever ends.
  void end_endless_call();
  /// The session lets go: the stream was closed, or the connection.
  void detach();
  void recycle();

  std::atomic<std::uint32_t> references_{0};
  std::shared_ptr<ServerLoop> home_;  // while in use
  Http2Session* session_ = nullptr;
  std::int32_t id_ = 0;
  Http2Stream* previous_ = nullptr;  // the session's list of its streams
  Http2Stream* next_ = nullptr;

  std::vector<Header> headers_;
  std::size_t header_list_bytes_ = 0;
  std::size_t charged_bytes_ = 0;  // to the loop's budget
  bool headers_too_large_ = false;
  nghttp2_rcbuf* method_ = nullptr;
  nghttp2_rcbuf* path_ = nullptr;
  nghttp2_rcbuf* content_type_ = nullptr;
  nghttp2_rcbuf* grpc_timeout_ = nullptr;
  nghttp2_rcbuf* grpc_encoding_ = nullptr;
  nghttp2_rcbuf* grpc_accept_encoding_ = nullptr;

  bool is_grpc_ = false;
  bool ended_by_peer_ = false;  // the end was passed on
  bool headers_submitted_ = false;
  bool data_deferred_ = false;  // nghttp2 waits for resume_data
  bool above_low_water_ = false;
  bool drained_queued_ = false;
  Ending ending_ = Ending::kOpen;
  Metadata trailers_;
  ByteQueue output_;
  GrpcCall call_;
  std::shared_ptr<Http2Exchange> exchange_;
};

/// Idle streams of one loop. Loop thread only.
class StreamPool {
 public:
  StreamPool() = default;
  ~StreamPool();
  StreamPool(const StreamPool&) = delete;
  StreamPool& operator=(const StreamPool&) = delete;

  /// A stream with one reference, attached.
  Http2Stream& take(std::shared_ptr<ServerLoop> home, Http2Session& session, std::int32_t id);
  void give_back(Http2Stream& stream);

 private:
  static constexpr std::size_t kKeptStreams = 4096;
  std::vector<Http2Stream*> free_;
};

}  // namespace holdfast::net
