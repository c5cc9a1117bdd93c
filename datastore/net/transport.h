#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

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
  /// Called once at the start and whenever the descriptor is ready, until it answers kProgress:
  /// established.
  virtual Io handshake() { return Io::kProgress; }
  /// After a handshake() or read() that answered kWouldBlock: whether it waits for room to write
  /// (TLS may), not for bytes to read.
  virtual bool blocked_on_output() const { return false; }
  /// After a handshake() that answered kWouldBlock: whether it waits for neither (a name that is
  /// looked up), so that watching the descriptor would be vain; the waker tells when to go on.
  virtual bool waits_elsewhere() const { return false; }
  /// The handshake took too long, or gives way to others: `why`, for who is told of it. Nothing but
  /// the transport's end may follow.
  virtual void give_up_handshake(std::string_view /*why*/) {}
  /// `wake` may be called on any thread, and after the transport's end. Before handshake().
  virtual void set_waker(std::function<void()> /*wake*/) {}
  /// "h2", "http/1.1", or empty if the handshake settled nothing and the first bytes decide.
  virtual std::string_view application_protocol() const { return {}; }
  /// After a handshake that failed, only to let the other end hear why before the socket closes:
  /// the bytes are nobody's. Given 16 KiB or more it keeps nothing back that the descriptor would
  /// not tell of again: a reader may stop after any read and wait for the descriptor.
  virtual Result read(char* to, std::size_t capacity_bytes) = 0;
  /// Writes a prefix of the `count` buffers.
  virtual Result write(const iovec* buffers, int count) = 0;
  /// No more will be written; reading goes on.
  virtual void finish_writing() = 0;
  /// Whether nobody on the way can read or change the bytes.
  virtual bool secure() const { return false; }
  /// The common name in the certificate that the other end showed and that was found good; nothing
  /// if it showed none. Once the handshake is done.
  virtual std::optional<std::string> peer_common_name() const { return std::nullopt; }
  /// False, and useless from then on, if what made the other end trusted holds no more.
  virtual bool still_allowed() { return true; }
  /// Whether it will be, as far as is known: false gives time for an end in order.
  virtual bool stays_allowed() { return true; }
  /// Why the last call answered kFailed ("connection reset by peer", "certificate has expired");
  /// empty if there is no more to say. For messages to people.
  virtual std::string failure() const { return {}; }
};

/// Takes over a connected, non-blocking stream socket.
std::unique_ptr<Transport> make_socket_transport(int fd);

/// Puts a Transport on connected sockets: TLS, as client or as server, is one of these, made of its
/// certificates. Used by every loop at once, so thread-safe; must not block.
class TransportFactory {
 public:
  virtual ~TransportFactory() = default;
  /// Takes over `fd`, a connected, non-blocking stream socket, also on failure. `remote` is the
  /// other end: for one that dials the host it asked for, a name or an address without brackets
  /// and port, empty for a unix socket (a TLS client checks the certificate against it and sends a
  /// name as SNI); for one that accepts, the peer's "address:port", "@" for a unix socket. Nothing
  /// is sent yet: that is handshake()'s. Errors: what the certificates or the memory do not allow.
  virtual absl::StatusOr<std::unique_ptr<Transport>> make(int fd,
                                                          std::string_view remote) const = 0;
};

}  // namespace holdfast::net
