#pragma once

#include <list>
#include <memory>
#include <string>

#include "datastore/net/event_loop.h"
#include "datastore/net/output_queue.h"
#include "datastore/net/server_loop.h"
#include "datastore/net/session.h"
#include "datastore/net/transport.h"

namespace holdfast::net {

/// One peer's connection: its transport, the session that speaks its protocol, what is still to be
/// written, and the clocks that bound each phase. The protocol is told by ALPN, or else by whether
/// the first bytes are HTTP/2's preface.
///
/// All writes happen in flush(), once per turn. A connection lives in its ServerLoop until close(),
/// which ends it at the end of the turn: nobody ever destroys it from under its own stack.
class Connection final : public IoHandler, public Flushable {
 public:
  /// Registers with the loop. Owned by `home.connections` from adopt() on.
  static Connection& adopt(ServerLoop& home, std::shared_ptr<const Endpoint> endpoint,
                           std::unique_ptr<Transport> transport, std::string peer);
  ~Connection() override;

  ServerLoop& home() { return home_; }
  EventLoop& loop() { return home_.loop; }
  const ServerOptions& options() const { return home_.options; }
  const Endpoint& endpoint() const { return *endpoint_; }
  const ConnectionLimits& limits() const {
    return endpoint_->limits ? *endpoint_->limits : home_.options.connection;
  }
  const std::string& peer() const { return peer_; }
  bool secure() const { return transport_->secure(); }
  /// See Transport::peer_common_name().
  std::optional<std::string> peer_common_name() const { return transport_->peer_common_name(); }
  OutputQueue& output() { return output_; }
  bool output_above_high_water() const {
    return output_.size_bytes() >= home_.options.output_high_water_bytes;
  }

  /// Produce and write at the end of this turn.
  void request_flush() { home_.loop.request_flush(*this); }
  /// Ends it now, without regard to what is queued. `reason` is for the observer.
  void close(std::string_view reason);
  /// Ends it when the output is written.
  void close_after_output(std::string_view reason);
  /// Begins the graceful end.
  void drain();
  /// Begins the graceful end if its transport is not going to stay allowed.
  void retire();
  /// Ends it if its transport is no longer allowed: see Transport::still_allowed().
  void recheck();
  /// Tells the observer that the peer broke a rule.
  void protocol_error(std::string_view what) { home_.observer->protocol_error(peer_, what); }

  /// Takes bytes as if they had been read. Tests and fuzzers of sessions use it directly.
  void on_bytes(BytesView bytes);
  void on_io(std::uint32_t events) override;
  void flush() override;

 private:
  enum class Phase {
    kHandshaking,
    kSniffing,
    kServing,
    kLingering,  // all written and said; waiting for the peer to close too
    kClosed,
  };

  Connection(ServerLoop& home, std::shared_ptr<const Endpoint> endpoint,
             std::unique_ptr<Transport> transport, std::string peer);
  /// One step of the handshake; false while it is not over, or if it failed.
  bool step_handshake();
  bool continue_handshake();
  void begin_handshake();
  void end_handshake();
  void on_handshake_failed();
  /// What the transport waited for elsewhere has come.
  void on_woken();
  std::uint32_t wanted_events() const;
  void read_some();
  void sniff(BytesView bytes);
  void start_session(bool http2);
  void on_read_end(bool orderly);
  void close_broken();
  void write_output();
  void start_lingering();
  void watch();
  void on_phase_timeout();
  void on_write_stalled();

  ServerLoop& home_;
  std::shared_ptr<const Endpoint> endpoint_;
  std::unique_ptr<Transport> transport_;
  std::string peer_;
  OutputQueue output_;
  std::unique_ptr<Session> session_;
  Phase phase_ = Phase::kHandshaking;
  bool input_ended_ = false;
  bool blocked_ = false;  // the transport takes no more for now
  bool bulky_ = false;    // what it says fills rounds: those are shared out
  bool close_after_output_ = false;
  std::string close_reason_;
  std::uint32_t watched_events_ = 0;
  std::string sniffed_;                           // shorter than the preface
  std::list<Connection*>::iterator handshaking_;  // into the loop's list, in that phase
  Timer phase_timer_;
  Timer write_timer_;
};

}  // namespace holdfast::net
