#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "datastore/net/dialer.h"
#include "datastore/net/event_loop.h"
#include "datastore/net/http1_client.h"
#include "datastore/net/http1_response_parser.h"
#include "datastore/net/idle_transports.h"
#include "datastore/net/output_queue.h"

namespace holdfast::net {

/// What the calls to one address share. Outlived by none of them: each holds it.
struct Http1Origin {
  Http1Origin(EventLoop& event_loop, std::shared_ptr<const Dialer> its_dialer,
              DialAddress its_address, const Http1ClientOptions& its_options);
  ~Http1Origin();

  EventLoop& loop;
  const std::shared_ptr<const Dialer> dialer;
  const DialAddress address;
  const Http1ClientOptions options;
  BlockPool blocks;
  IdleTransports idle;
  std::vector<std::unique_ptr<Http1Fetch>> fetches;
};

/// One request on its way and its answer: dials or takes an idle transport, writes, reads, keeps
/// the times. When it ends it holds no transport, and tells its handler once. Loop thread only.
///
/// A request without a body in pieces that meets an idle transport which the peer is just closing
/// is sent once more on a new one, if its method promises that this does no harm (GET, HEAD).
class Http1ClientExchange final : public IoHandler,
                                  public Flushable,
                                  public Http1ResponseParser::Sink {
 public:
  Http1ClientExchange(std::shared_ptr<Http1Origin> origin, const Http1Limits& limits,
                      Http1ResponseHandler& handler);
  ~Http1ClientExchange() override;
  Http1ClientExchange(const Http1ClientExchange&) = delete;
  Http1ClientExchange& operator=(const Http1ClientExchange&) = delete;

  /// Once, first.
  void begin(Http1Request request);
  /// Tells nothing more and lets go of the transport.
  void cancel();
  EventLoop& loop() { return origin_->loop; }

  // As Http1Call.
  void write(Slice piece);
  void finish();
  std::size_t queued_bytes() const { return output_.size_bytes(); }
  void pause_reading();
  void resume_reading();

  void on_io(std::uint32_t events) override;
  void flush() override;
  void on_head(Http1Response head) override;
  void on_piece(BytesView piece) override;

 private:
  void send_again();
  void dial();
  void on_dialed(absl::StatusOr<std::unique_ptr<Transport>> dialed);
  void use(std::unique_ptr<Transport> transport);
  void watch();
  void unwatch();
  void write_output();
  void on_write_failed();
  void read_some();
  void on_read_end(bool orderly);
  void on_bytes(BytesView bytes);
  void restart_read_timer();
  bool active() const { return handler_ != nullptr; }
  bool request_sent() const { return request_whole_ && output_.empty(); }

  /// Tells it from the loop's next turns: for what the caller of a function must not hear in it.
  void fail_soon(absl::Status status);
  void on_total_timeout();
  /// The connection is gone.
  void lose(std::string_view why);
  void fail(absl::StatusCode code, std::string_view why);
  void complete();
  void end(const absl::Status& status);
  void let_go();

  const std::shared_ptr<Http1Origin> origin_;
  const Http1Limits limits_;
  Http1ResponseHandler* handler_;  // null once ended
  OutputQueue output_;
  std::unique_ptr<Http1ResponseParser> parser_;
  std::unique_ptr<Dialer::Attempt> attempt_;
  std::unique_ptr<Transport> transport_;
  std::uint32_t watched_events_ = 0;
  Bytes repeatable_;              // the request, while it may have to be sent again
  absl::Status pending_failure_;  // see fail_soon()
  std::string write_failure_;
  bool to_head_ = false;
  bool chunked_ = false;
  bool request_whole_ = false;
  bool blocked_ = false;  // the transport takes no more for now
  bool reading_paused_ = false;
  bool above_low_water_ = false;
  Timer total_timer_;
  Timer read_timer_;
  Timer write_timer_;
};

}  // namespace holdfast::net
