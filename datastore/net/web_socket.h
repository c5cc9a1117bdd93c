#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "datastore/base/bytes.h"
#include "datastore/net/http.h"

/// WebSocket, the server's side: the handshake and the frames, no I/O. Source: RFC 6455.
namespace holdfast::net {

/// Why a side ends the conversation.
enum class WebSocketEnd : std::uint16_t {
  kNormal = 1000,
  kGoingAway = 1001,
  kProtocolError = 1002,
  kNoReason = 1005,  // never sent
  kTooBig = 1009,
  kTryAgainLater = 1013,
};

/// Whether the request asks for a WebSocket, rightly or not.
bool wants_web_socket(const HttpRequest& request);

/// The header of a 101 that grants what `request` asks for. Nothing: it asks wrongly, and deserves
/// a 400 that names the version we speak.
std::optional<HttpHeaders> accept_web_socket(const HttpRequest& request);

/// One whole frame with a text, a ping's answer or an end. At most 125 bytes of a ping.
Bytes web_socket_text(BytesView text);
Bytes web_socket_ping();
Bytes web_socket_pong(BytesView ping);
Bytes web_socket_end(WebSocketEnd why);

/// What one client sends, frame by frame, into messages. Bounded: it keeps one message, of at most
/// `max_message_bytes`, and one control frame.
class WebSocketReader {
 public:
  class Receiver {
   public:
    virtual ~Receiver() = default;
    /// A text or binary message, whole; valid during the call.
    virtual void on_message(BytesView message) = 0;
    virtual void on_ping(BytesView payload) = 0;
    virtual void on_pong() = 0;
    /// Once; nothing follows.
    virtual void on_end(WebSocketEnd why) = 0;
  };

  explicit WebSocketReader(std::size_t max_message_bytes) : max_message_bytes_(max_message_bytes) {}

  /// Takes all of `bytes`, cut anywhere. False once the client has ended the conversation, or
  /// broken the rules, of which on_end() tells too: kProtocolError, kTooBig.
  bool read(BytesView bytes, Receiver& receiver);
  /// Of the message that is arriving.
  std::size_t held_bytes() const { return message_.size(); }

 private:
  enum Opcode : std::uint8_t {
    kContinuation = 0,
    kText = 1,
    kBinary = 2,
    kEnd = 8,
    kPing = 9,
    kPong = 10
  };

  /// Bytes that the header has, as far as it is known.
  std::size_t header_bytes() const;
  /// The header is whole. Nothing: it is as it should be.
  std::optional<WebSocketEnd> begin_frame();
  void take_payload(BytesView& bytes);
  void end_frame(Receiver& receiver);
  void end(WebSocketEnd why, Receiver& receiver);
  bool is_control() const { return (opcode_ & 8) != 0; }

  const std::size_t max_message_bytes_;
  Bytes header_;  // of the frame that is arriving
  bool in_payload_ = false;
  std::uint8_t opcode_ = 0;
  bool final_ = false;
  std::uint64_t left_bytes_ = 0;  // of the payload
  std::size_t mask_place_ = 0;
  bool in_message_ = false;
  Bytes message_;
  Bytes control_;
  bool ended_ = false;
};

}  // namespace holdfast::net
