#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace holdfast::net {

/// A byte stream to one peer, non-blocking: the place where TLS goes. A TCP socket needs no
/// handshake and names no protocol; a TLS transport handshakes, and its ALPN answer is
/// application_protocol(). Loop thread only; closes its descriptor when destroyed.
class Transport {
 public:
  enum class Io {
    kProgress,    // `size_bytes` were moved
    kWouldBlock,  // try again when the descriptor is ready
    kClosed,      // the peer ended the stream in order (reading only)
    kFailed,      // reset, or a broken record: nothing more will come or go
  };
  struct Result {
    Io io;
    std::size_t size_bytes = 0;
  };

  virtual ~Transport() = default;

  /// Descriptor to watch; -1 for a transport without one, whose owner drives the connection.
  virtual int fd() const = 0;
  /// Called when the descriptor is ready, until it answers kProgress: established.
  virtual Io handshake() { return Io::kProgress; }
  /// "h2", "http/1.1", or empty if the handshake settled nothing and the first bytes decide.
  virtual std::string_view application_protocol() const { return {}; }
  virtual Result read(char* to, std::size_t capacity_bytes) = 0;
  /// Writes a prefix of the `count` buffers.
  virtual Result write(const iovec* buffers, int count) = 0;
  /// No more will be written; reading goes on.
  virtual void finish_writing() = 0;
};

/// Takes over a connected, non-blocking stream socket.
std::unique_ptr<Transport> make_socket_transport(int fd);

}  // namespace holdfast::net
