#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "datastore/codec/requests.h"
#include "datastore/net/grpc_call.h"
#include "datastore/net/timer_wheel.h"
#include "datastore/rpc/history.h"
#include "datastore/watch/watcher_set.h"

namespace holdfast::rpc {

class LoopState;
class WatchHub;
class WatchStream;

/// One watch on one stream.
struct Watch {
  std::int64_t id = 0;  // the client's
  WatchStream* stream = nullptr;
  /// 0 once a compaction has canceled it; its id then stays taken, as in etcd.
  watch::WatcherId watcher;
  bool fragment = false;
  /// Who created it; empty where nobody was asked.
  Bytes user;
};

/// Many watches of one client, told apart by their ids. Owned by its call; the hub refers to it.
class WatchStream final : public net::GrpcHandler {
 public:
  WatchStream(WatchHub& hub, net::CallRef call);
  ~WatchStream() override;

  void on_message(BytesView message) override;
  void on_writable() override;
  void on_cancelled() override;

 private:
  friend class WatchHub;

  void create(const codec::WatchCreateRequest& request);
  void cancel(std::int64_t id);
  /// Ends the watches that their users may have no longer.
  void review();
  absl::Status check_still_permitted(const Watch& watch);
  void refuse(std::string_view reason);
  /// True if every watch is live: then `revision` is what all of them have had.
  bool all_live() const;
  std::int64_t choose_id();
  void close();

  WatchHub& hub_;
  net::CallRef call_;
  absl::flat_hash_map<std::int64_t, std::unique_ptr<Watch>> watches_;
  std::int64_t next_id_ = 0;
  /// Watches that could not take their events; they go on when the client has taken what is queued.
  absl::flat_hash_set<std::int64_t> blocked_;
};

/// All watches of one event loop. Takes the node's event batches, each encoded once for everybody,
/// and queues them, shared, on the streams that want them; brings watches up to date from history,
/// on the node's pool, in slices.
///
/// While authentication is enabled a watch is asked about when it is created, and again before
/// anything is sent after a change of permissions: whoever has lost them, with a role or as a user,
/// is told so and sees nothing more.
///
/// Memory is bounded: a stream with max_backlog_bytes() queued gets nothing more; its watches fall
/// behind, cost nothing, and read what they missed once the client has caught up. So no watch need
/// be cancelled because its client is slow.
class WatchHub {
 public:
  static constexpr std::size_t kMaxBacklogBytes = std::size_t{4} << 20;
  /// However many streams there are and however short memory is.
  static constexpr std::size_t kMinBacklogBytes = std::size_t{128} << 10;
  /// Slices of history being read for this loop at any time.
  static constexpr int kMaxCatchUps = 4;

  explicit WatchHub(LoopState& state);
  ~WatchHub();

  /// Begins to listen, once. Requests on streams may come before the first revision is known.
  void start();

  std::unique_ptr<net::GrpcHandler> open_stream(net::CallRef call);

 private:
  friend class WatchStream;

  /// What a pool thread found for some watches that are behind.
  struct PastRead {
    absl::StatusOr<HistorySlice> slice;
    /// How far it was asked to read.
    Revision target;
    Revision compacted;
  };
  struct WaitingProgress {
    WatchStream* stream;
    Revision revision;
  };

  /// At the beginning, and whenever a leader's state has replaced this member's.
  void on_started(Revision revision);
  void begin(Revision revision);
  /// Null: permissions have changed.
  void on_batch(const std::shared_ptr<const watch::EventBatch>& batch);
  void deliver(const std::shared_ptr<const watch::EventBatch>& batch,
               const watch::Delivery& delivery);
  /// Before anything is sent: ends the watches that are permitted no more.
  void review_permissions();
  void catch_up();
  void start_catch_up(std::shared_ptr<const watch::CatchUp> work);
  void finish_catch_up(const watch::CatchUp& work, const PastRead& past);
  void put_back(const watch::CatchUp& work);
  void end_watch(Watch& watch, const absl::Status& why, Revision compacted);
  void answer_progress(WatchStream& stream);
  void send_progress(const WatchStream& stream);
  void answer_waiting_progress();
  void notify_progress();
  void arm_progress_timer();
  void forget(WatchStream& stream);
  void report();
  void report_sent(std::size_t watches, std::size_t events,
                   net::EventLoop::Clock::time_point since);
  /// Whether the stream may be given more. If not, the watch is told to wait.
  bool takes_more(Watch& watch, Revision next_revision);
  Watch* find(const watch::Subscriber& subscriber);
  /// What each stream may have queued at present.
  std::size_t max_backlog_bytes() const;

  LoopState& state_;
  bool subscribed_ = false;
  /// Nothing before the subscription has begun.
  std::optional<watch::WatcherSet> set_;
  absl::flat_hash_set<WatchStream*> streams_;
  /// Requests that came too early, by stream.
  std::vector<std::pair<WatchStream*, Bytes>> early_requests_;
  std::vector<WaitingProgress> waiting_progress_;
  int catch_ups_ = 0;
  /// AuthSource::version() at the last review.
  std::uint64_t reviewed_auth_ = 0;
  /// Watches, and how many of them are slow, as the observer last heard.
  std::pair<std::size_t, std::size_t> reported_{0, 0};
  net::Timer progress_timer_;
  net::Timer retry_timer_;
};

}  // namespace holdfast::rpc
