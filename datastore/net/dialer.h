#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "datastore/net/event_loop.h"
#include "datastore/net/resolver.h"
#include "datastore/net/transport.h"

namespace holdfast::net {

/// Where to dial: parsed from "http://host:port", "https://host:port", "unix://path" or
/// "unixs://path" ("unixs": TLS over a unix socket).
struct DialAddress {
  std::string url;   // as it was given, for messages
  std::string host;  // without brackets; empty for a unix socket
  std::string port;
  std::string unix_path;  // set for unix sockets only
  bool tls = false;

  /// Errors: InvalidArgument, with what to write instead; a path after the port is one.
  static absl::StatusOr<DialAddress> parse(std::string_view url);
  /// The value of the Host header: "host:port"; "localhost" for a unix socket.
  std::string authority() const;
};

/// Connects, without blocking the loop that asks: looks the name up, tries its addresses in turn
/// (each with an equal share of the time that is left), and sees the transport through its
/// handshake. Holds no connections and no thread of its own. Any thread may use one Dialer.
class Dialer {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<std::unique_ptr<Transport>>)>;

  /// One attempt under way. Destroying it, on the loop's thread, gives up: `done` is not called.
  class Attempt {
   public:
    virtual ~Attempt() = default;
  };

  /// `tls` serves the addresses with TLS; null if there are none.
  explicit Dialer(std::shared_ptr<Resolver> resolver,
                  std::shared_ptr<const TransportFactory> tls = nullptr);

  /// Begins to dial `address`; `done` gets the established transport, once, on `loop`'s thread,
  /// never from within, at the latest after `timeout` (name, connection and handshake together).
  /// `loop` must outlive the Attempt. Loop thread.
  /// Errors, all naming the URL: Unavailable if the name is unknown, the connection refused
  /// (was_refused()) or the
  /// handshake failed; DeadlineExceeded; FailedPrecondition if TLS is asked for and there is none.
  std::unique_ptr<Attempt> dial(EventLoop& loop, const DialAddress& address,
                                std::chrono::milliseconds timeout, Done done) const;

 private:
  std::shared_ptr<Resolver> resolver_;
  std::shared_ptr<const TransportFactory> tls_;
};

/// Whether dialling failed because nobody listens there: the host is up, the program is not.
bool was_refused(const absl::Status& status);

}  // namespace holdfast::net
