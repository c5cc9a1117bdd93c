#include "datastore/net/web_socket.h"

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "datastore/crypto/digest.h"
#include "datastore/net/text.h"

namespace holdfast::net {
namespace {

constexpr std::string_view kKeySuffix = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
constexpr std::size_t kKeyBytes = 16;
constexpr std::string_view kVersion = "13";

constexpr unsigned kFinal = 0x80;
constexpr unsigned kReserved = 0x70;
constexpr unsigned kOpcodeBits = 0x0f;
constexpr unsigned kMasked = 0x80;
constexpr unsigned kLengthBits = 0x7f;
constexpr std::size_t kShortHeaderBytes = 2;
constexpr std::size_t kMaskBytes = 4;
constexpr std::size_t kMaxControlBytes = 125;
/// In place of a length: it follows, in two bytes or in eight.
constexpr unsigned kLength16 = 126;
constexpr unsigned kLength64 = 127;

unsigned byte_at(BytesView bytes, std::size_t i) {
  return static_cast<unsigned char>(bytes[i]);
}

/// Whether a list header has `token`, in any case.
bool lists(const HttpRequest& request, std::string_view name, std::string_view token) {
  for (const auto& [key, value] : request.headers) {
    if (key != name) continue;
    for (const absl::string_view part : absl::StrSplit(to_absl(value), ',')) {
      if (absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(part), to_absl(token))) return true;
    }
  }
  return false;
}

Bytes frame(unsigned opcode, BytesView payload) {
  Bytes out;
  out.reserve(payload.size() + 10);
  out.push_back(static_cast<char>(kFinal | opcode));
  const std::uint64_t size = payload.size();
  int length_bytes = 0;
  if (size < kLength16) {
    out.push_back(static_cast<char>(size));
  } else if (size <= 0xffff) {
    out.push_back(static_cast<char>(kLength16));
    length_bytes = 2;
  } else {
    out.push_back(static_cast<char>(kLength64));
    length_bytes = 8;
  }
  for (int i = length_bytes - 1; i >= 0; --i) out.push_back(static_cast<char>(size >> (8 * i)));
  out.append(payload);
  return out;
}

}  // namespace

bool wants_web_socket(const HttpRequest& request) {
  return lists(request, "connection", "upgrade") && lists(request, "upgrade", "websocket");
}

std::optional<HttpHeaders> accept_web_socket(const HttpRequest& request) {
  const std::string_view key = request.header("sec-websocket-key").value_or("");
  std::string decoded;
  if (request.method != "GET" || !lists(request, "sec-websocket-version", kVersion) ||
      !absl::Base64Unescape(to_absl(key), &decoded) || decoded.size() != kKeyBytes) {
    return std::nullopt;
  }
  const crypto::Sha1Digest digest = crypto::sha1(concat(key, kKeySuffix));
  return HttpHeaders{
      {"upgrade", "websocket"},
      {"connection", "Upgrade"},
      {"sec-websocket-accept", absl::Base64Escape(absl::string_view(digest.data(), digest.size()))},
  };
}

Bytes web_socket_text(BytesView text) {
  return frame(1, text);
}

Bytes web_socket_ping() {
  return frame(9, {});
}

Bytes web_socket_pong(BytesView ping) {
  return frame(10, ping);
}

Bytes web_socket_end(WebSocketEnd why) {
  const auto code = static_cast<std::uint16_t>(why);
  const char payload[] = {static_cast<char>(code >> 8), static_cast<char>(code & 0xff)};
  return frame(8, BytesView(payload, sizeof payload));
}

bool WebSocketReader::read(BytesView bytes, Receiver& receiver) {
  while (!ended_ && !bytes.empty()) {
    if (in_payload_) {
      take_payload(bytes);
    } else {
      header_.push_back(bytes.front());
      bytes.remove_prefix(1);
      if (header_.size() < header_bytes()) continue;
      if (const auto fault = begin_frame()) {
        end(*fault, receiver);
        break;
      }
    }
    if (in_payload_ && left_bytes_ == 0) end_frame(receiver);
  }
  return !ended_;
}

std::size_t WebSocketReader::header_bytes() const {
  if (header_.size() < kShortHeaderBytes) return kShortHeaderBytes;
  const unsigned length = byte_at(header_, 1) & kLengthBits;
  const std::size_t more = length == kLength64 ? 8 : length == kLength16 ? 2 : 0;
  return kShortHeaderBytes + more + kMaskBytes;
}

std::optional<WebSocketEnd> WebSocketReader::begin_frame() {
  const unsigned first = byte_at(header_, 0);
  const unsigned second = byte_at(header_, 1);
  opcode_ = static_cast<std::uint8_t>(first & kOpcodeBits);
  final_ = (first & kFinal) != 0;
  left_bytes_ = second & kLengthBits;
  if (left_bytes_ >= kLength16) {
    left_bytes_ = 0;
    for (std::size_t i = kShortHeaderBytes; i < header_.size() - kMaskBytes; ++i) {
      left_bytes_ = left_bytes_ << 8 | byte_at(header_, i);
    }
  }
  // No extension was agreed on, and clients mask what they send.
  if ((first & kReserved) != 0 || (second & kMasked) == 0) return WebSocketEnd::kProtocolError;
  if (is_control()) {
    if (!final_ || left_bytes_ > kMaxControlBytes || opcode_ > kPong) {
      return WebSocketEnd::kProtocolError;
    }
  } else {
    if (opcode_ > kBinary || (opcode_ == kContinuation) != in_message_) {
      return WebSocketEnd::kProtocolError;
    }
    if (left_bytes_ > max_message_bytes_ - message_.size()) return WebSocketEnd::kTooBig;
    in_message_ = true;
  }
  in_payload_ = true;
  mask_place_ = 0;
  return std::nullopt;
}

void WebSocketReader::take_payload(BytesView& bytes) {
  Bytes& into = is_control() ? control_ : message_;
  const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(left_bytes_, bytes.size()));
  const std::size_t mask = header_.size() - kMaskBytes;
  for (std::size_t i = 0; i < size; ++i) {
    into.push_back(static_cast<char>(bytes[i] ^ header_[mask + mask_place_++ % kMaskBytes]));
  }
  left_bytes_ -= size;
  bytes.remove_prefix(size);
}

void WebSocketReader::end_frame(Receiver& receiver) {
  in_payload_ = false;
  header_.clear();
  if (!is_control()) {
    if (!final_) return;
    in_message_ = false;
    return receiver.on_message(std::exchange(message_, {}));
  }
  const Bytes payload = std::exchange(control_, {});
  if (opcode_ == kPing) return receiver.on_ping(payload);
  if (opcode_ == kPong) return receiver.on_pong();
  if (payload.size() == 1) return end(WebSocketEnd::kProtocolError, receiver);
  end(payload.empty() ? WebSocketEnd::kNoReason
                      : static_cast<WebSocketEnd>(byte_at(payload, 0) << 8 | byte_at(payload, 1)),
      receiver);
}

void WebSocketReader::end(WebSocketEnd why, Receiver& receiver) {
  ended_ = true;
  receiver.on_end(why);
}

}  // namespace holdfast::net
