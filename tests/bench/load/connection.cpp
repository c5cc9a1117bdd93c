// HTTP/2 framing (RFC 9113 section 4.1): 3 bytes of length, type, flags, 4 bytes of stream id.
#include "tests/bench/load/connection.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace holdfast::bench {
namespace {

enum FrameType : uint8_t {
  kData = 0,
  kHeaders = 1,
  kRstStream = 3,
  kSettings = 4,
  kPing = 6,
  kGoaway = 7,
  kWindowUpdate = 8,
  kContinuation = 9,
};
constexpr uint8_t kEndStream = 0x1;
constexpr uint8_t kAck = 0x1;
constexpr uint8_t kEndHeaders = 0x4;
constexpr uint8_t kPaddedOrPriority = 0x8 | 0x20;
constexpr size_t kFrameHeaderBytes = 9;
constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What grpc-go's client grows to on a fast link.
constexpr uint32_t kReceiveWindowBytes = 16 << 20;
/// Streams may end in any order; one still open this many calls later is our bug.
constexpr size_t kStreamRing = 1 << 16;
constexpr size_t kReadBytes = 1 << 20;
/// Answers that grew beyond this leave their buffer to the next call.
constexpr size_t kKeptBufferBytes = 4096;

uint32_t big_endian(std::string_view bytes) {
  uint32_t value = 0;
  for (const char byte : bytes) value = (value << 8) | static_cast<uint8_t>(byte);
  return value;
}

void append_big_endian(uint32_t value, int bytes, std::string* out) {
  for (int i = bytes - 1; i >= 0; --i) out->push_back(static_cast<char>(value >> (8 * i)));
}

void append_frame_header(size_t length, FrameType type, uint8_t flags, uint32_t stream,
                         std::string* out) {
  append_big_endian(static_cast<uint32_t>(length), 3, out);
  out->push_back(static_cast<char>(type));
  out->push_back(static_cast<char>(flags));
  append_big_endian(stream, 4, out);
}

void append_window_update(uint32_t stream, uint32_t bytes, std::string* out) {
  append_frame_header(4, kWindowUpdate, 0, stream, out);
  append_big_endian(bytes, 4, out);
}

nghttp2_nv header(std::string_view name, std::string_view value) {
  const auto bytes = [](std::string_view text) {
    return reinterpret_cast<uint8_t*>(const_cast<char*>(text.data()));
  };
  return {bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

}  // namespace

absl::StatusOr<std::unique_ptr<Connection>> Connection::open(const std::string& address,
                                                             uint16_t port,
                                                             CallObserver* observer) {
  sockaddr_in peer{};
  peer.sin_family = AF_INET;
  peer.sin_port = htons(port);
  if (inet_pton(AF_INET, address.c_str(), &peer.sin_addr) != 1) {
    return absl::InvalidArgumentError(absl::StrCat("not an IPv4 address: ", address));
  }
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, reinterpret_cast<sockaddr*>(&peer), sizeof peer) != 0) {
    const absl::Status status = absl::UnavailableError(
        absl::StrCat("cannot connect to ", address, ":", port, ": ", std::strerror(errno)));
    if (fd >= 0) close(fd);
    return status;
  }
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  std::unique_ptr<Connection> connection(new Connection(fd, observer));
  if (const absl::StatusOr<bool> left = connection->flush(); !left.ok()) return left.status();
  return connection;
}

Connection::Connection(int fd, CallObserver* observer)
    : fd_(fd), observer_(observer), streams_(kStreamRing), in_(kReadBytes) {
  nghttp2_hd_deflate_new(&deflater_, 4096);
  nghttp2_hd_inflate_new(&inflater_);
  out_.append(kPreface);
  append_frame_header(6, kSettings, 0, 0, &out_);
  append_big_endian(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 2, &out_);
  append_big_endian(kReceiveWindowBytes, 4, &out_);
  append_window_update(0, kReceiveWindowBytes - 65535, &out_);
}

Connection::~Connection() {
  close(fd_);
  nghttp2_hd_deflate_del(deflater_);
  nghttp2_hd_inflate_del(inflater_);
}

uint32_t Connection::start_call(uint32_t tag, std::string_view path, std::string_view request,
                                bool half_close) {
  const uint32_t id = next_stream_;
  next_stream_ += 2;
  Stream& stream = streams_[(id / 2) % kStreamRing];
  if (stream.id != 0) std::abort();  // see kStreamRing
  stream.id = id;
  stream.tag = tag;
  stream.send_window = initial_send_window_;
  stream.unacknowledged_bytes = 0;
  if (!spare_buffers_.empty()) {
    stream.partial = std::move(spare_buffers_.back());
    spare_buffers_.pop_back();
  }
  append_headers(id, path);
  send_data(id, request, half_close);
  return id;
}

void Connection::append_headers(uint32_t stream, std::string_view path) {
  auto block = header_blocks_.find(path);
  if (block == header_blocks_.end()) {
    block = header_blocks_.emplace(std::string(path), HeaderBlock{}).first;
  }
  if (block->second.encodings < 2) {  // the first fills the dynamic table, the second refers to it
    block->second.bytes = encode_headers(path);
    ++block->second.encodings;
  }
  append_frame_header(block->second.bytes.size(), kHeaders, kEndHeaders, stream, &out_);
  out_.append(block->second.bytes);
}

std::string Connection::encode_headers(std::string_view path) {
  const std::array<nghttp2_nv, 7> headers = {
      header(":method", "POST"),
      header(":scheme", "http"),
      header(":path", path),
      header(":authority", "localhost"),
      header("content-type", "application/grpc"),
      header("user-agent", "holdfast-load"),
      header("te", "trailers"),
  };
  std::string block(nghttp2_hd_deflate_bound(deflater_, headers.data(), headers.size()), '\0');
  const auto size = nghttp2_hd_deflate_hd(deflater_, reinterpret_cast<uint8_t*>(block.data()),
                                          block.size(), headers.data(), headers.size());
  block.resize(static_cast<size_t>(size));
  return block;
}

bool Connection::has_window(const Stream& stream, size_t bytes) const {
  const auto needed = static_cast<int64_t>(bytes);
  return send_window_ >= needed && stream.send_window >= needed;
}

void Connection::send_data(uint32_t id, std::string_view request, bool half_close) {
  Stream* stream = find(id);
  if (stream == nullptr) return;  // ended meanwhile; the observer has been told
  if (!waiting_.empty() || !has_window(*stream, request.size())) {
    waiting_.push_back({id, std::string(request), half_close});
    return;
  }
  append_data(*stream, request, half_close);
}

void Connection::append_data(Stream& stream, std::string_view request, bool half_close) {
  append_frame_header(request.size(), kData, half_close ? kEndStream : 0, stream.id, &out_);
  out_.append(request);
  send_window_ -= static_cast<int64_t>(request.size());
  stream.send_window -= static_cast<int64_t>(request.size());
}

void Connection::send_waiting() {
  while (!waiting_.empty()) {
    const Waiting& first = waiting_.front();
    if (Stream* stream = find(first.stream); stream != nullptr) {
      if (!has_window(*stream, first.request.size())) return;
      append_data(*stream, first.request, first.half_close);
    }
    waiting_.pop_front();
  }
}

Connection::Stream* Connection::find(uint32_t id) {
  Stream& stream = streams_[(id / 2) % kStreamRing];
  return id != 0 && stream.id == id ? &stream : nullptr;
}

absl::StatusOr<bool> Connection::flush() {
  while (out_begin_ < out_.size()) {
    const ssize_t written =
        send(fd_, out_.data() + out_begin_, out_.size() - out_begin_, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (written < 0) {
      if (errno == EAGAIN) return true;
      if (errno == EINTR) continue;
      return absl::UnavailableError(absl::StrCat("cannot write: ", std::strerror(errno)));
    }
    out_begin_ += static_cast<size_t>(written);
  }
  out_.clear();
  out_begin_ = 0;
  return false;
}

absl::StatusOr<bool> Connection::read_some() {
  const ssize_t size = recv(fd_, in_.data() + in_size_, in_.size() - in_size_, MSG_DONTWAIT);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return errno == EINTR;
  if (size < 0) return absl::UnavailableError(absl::StrCat("cannot read: ", std::strerror(errno)));
  if (size == 0) return absl::UnavailableError("the server closed the connection");
  in_size_ += static_cast<size_t>(size);
  const bool filled = in_size_ == in_.size();
  std::string_view rest(in_.data(), in_size_);
  while (rest.size() >= kFrameHeaderBytes) {
    const size_t length = big_endian(rest.substr(0, 3));
    if (rest.size() < kFrameHeaderBytes + length) break;
    const absl::Status status = take_frame(
        static_cast<uint8_t>(rest[3]), static_cast<uint8_t>(rest[4]),
        big_endian(rest.substr(5, 4)) & 0x7fffffff, rest.substr(kFrameHeaderBytes, length));
    if (!status.ok()) return status;
    rest.remove_prefix(kFrameHeaderBytes + length);
  }
  std::memmove(in_.data(), rest.data(), rest.size());
  in_size_ = rest.size();
  return filled;  // a short read has emptied the socket; what comes later raises the next edge
}

absl::Status Connection::take_frame(uint8_t type, uint8_t flags, uint32_t id,
                                    std::string_view payload) {
  if ((type == kData || type == kHeaders) && (flags & kPaddedOrPriority) != 0) {
    return absl::InternalError("padded or prioritized frames are not supported");
  }
  switch (type) {
    case kData:
      return take_data(flags, id, payload);
    case kHeaders:
      return take_headers(flags, id, payload);
    case kSettings:
      return take_settings(flags, payload);
    case kPing:
      if ((flags & kAck) == 0) {
        append_frame_header(payload.size(), kPing, kAck, 0, &out_);
        out_.append(payload);
      }
      return absl::OkStatus();
    case kWindowUpdate:
      take_window_update(id, payload);
      return absl::OkStatus();
    case kRstStream:
      if (Stream* stream = find(id); stream != nullptr) {
        end_call(*stream, -1, absl::StrCat("reset by the server, code ", big_endian(payload)));
      }
      return absl::OkStatus();
    case kGoaway:
      return absl::UnavailableError(
          absl::StrCat("the server is going away: ",
                       std::string(payload.substr(std::min<size_t>(8, payload.size())))));
    case kContinuation:
      return absl::InternalError("CONTINUATION frames are not supported");
    default:
      return absl::OkStatus();
  }
}

absl::Status Connection::take_data(uint8_t flags, uint32_t id, std::string_view payload) {
  Stream* stream = find(id);
  give_back_window(stream, payload.size());
  if (stream == nullptr) return absl::OkStatus();
  deliver_messages(*stream, payload);
  if ((flags & kEndStream) != 0) end_call(*stream, -1, "ended without trailers");
  return absl::OkStatus();
}

void Connection::give_back_window(Stream* stream, size_t bytes) {
  unacknowledged_bytes_ += bytes;
  if (unacknowledged_bytes_ >= kReceiveWindowBytes / 2) {
    append_window_update(0, static_cast<uint32_t>(unacknowledged_bytes_), &out_);
    unacknowledged_bytes_ = 0;
  }
  if (stream == nullptr) return;
  stream->unacknowledged_bytes += bytes;
  if (stream->unacknowledged_bytes >= kReceiveWindowBytes / 2) {
    append_window_update(stream->id, static_cast<uint32_t>(stream->unacknowledged_bytes), &out_);
    stream->unacknowledged_bytes = 0;
  }
}

void Connection::deliver_messages(Stream& stream, std::string_view payload) {
  const bool assembled = !stream.partial.empty();
  if (assembled) {
    stream.partial.append(payload);
    payload = stream.partial;
  }
  size_t taken = 0;
  while (payload.size() - taken >= 5) {
    const size_t length = big_endian(payload.substr(taken + 1, 4));
    if (payload.size() - taken - 5 < length) break;
    observer_->on_message(stream.tag, payload.substr(taken + 5, length));
    taken += 5 + length;
  }
  if (assembled) {
    stream.partial.erase(0, taken);
  } else {
    stream.partial.assign(payload.substr(taken));
  }
}

absl::Status Connection::take_headers(uint8_t flags, uint32_t id, std::string_view block) {
  if ((flags & kEndHeaders) == 0) return absl::InternalError("CONTINUATION is not supported");
  int grpc_status = -1;
  std::string message;
  const auto* next = reinterpret_cast<const uint8_t*>(block.data());
  size_t left = block.size();
  for (;;) {
    nghttp2_nv field;
    int inflate_flags = 0;
    const auto taken = nghttp2_hd_inflate_hd2(inflater_, &field, &inflate_flags, next, left, 1);
    if (taken < 0) return absl::InternalError("a header block cannot be decoded");
    next += taken;
    left -= static_cast<size_t>(taken);
    if ((inflate_flags & NGHTTP2_HD_INFLATE_EMIT) != 0) {
      const std::string_view name(reinterpret_cast<char*>(field.name), field.namelen);
      const std::string_view value(reinterpret_cast<char*>(field.value), field.valuelen);
      if (name == "grpc-status") grpc_status = std::atoi(std::string(value).c_str());
      if (name == "grpc-message") message = value;
    }
    if ((inflate_flags & NGHTTP2_HD_INFLATE_FINAL) != 0) break;
  }
  nghttp2_hd_inflate_end_headers(inflater_);
  if (Stream* stream = find(id); stream != nullptr && (flags & kEndStream) != 0) {
    end_call(*stream, grpc_status, message);
  }
  return absl::OkStatus();
}

absl::Status Connection::take_settings(uint8_t flags, std::string_view payload) {
  if ((flags & kAck) != 0) return absl::OkStatus();
  for (size_t at = 0; at + 6 <= payload.size(); at += 6) {
    const uint32_t id = big_endian(payload.substr(at, 2));
    const uint32_t value = big_endian(payload.substr(at + 2, 4));
    if (id == NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE) {
      const int64_t change = static_cast<int64_t>(value) - initial_send_window_;
      initial_send_window_ = value;
      for (Stream& stream : streams_) stream.send_window += change;
    }
    if (id == NGHTTP2_SETTINGS_HEADER_TABLE_SIZE && value < 4096) {
      return absl::InternalError("a server with an HPACK table below 4096 bytes is not supported");
    }
  }
  append_frame_header(0, kSettings, kAck, 0, &out_);
  send_waiting();
  return absl::OkStatus();
}

void Connection::take_window_update(uint32_t id, std::string_view payload) {
  const int64_t bytes = big_endian(payload) & 0x7fffffff;
  if (id == 0) {
    send_window_ += bytes;
  } else if (Stream* stream = find(id); stream != nullptr) {
    stream->send_window += bytes;
  }
  send_waiting();
}

void Connection::end_call(Stream& stream, int grpc_status, std::string_view grpc_message) {
  const uint32_t tag = stream.tag;
  stream.id = 0;  // first: the observer may start the next call
  if (stream.partial.capacity() > kKeptBufferBytes) {
    stream.partial.clear();
    spare_buffers_.push_back(std::move(stream.partial));
  }
  stream.partial = std::string();
  observer_->on_end(tag, grpc_status, grpc_message);
}

}  // namespace holdfast::bench
