#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datastore/base/bytes.h"
#include "datastore/base/ids.h"
#include "datastore/net/grpc_call.h"
#include "datastore/net/timer_wheel.h"
#include "datastore/proto/rpc.pb.h"
#include "datastore/rpc/key_feed.h"

/// Queues as etcd's recipes keep them, so that its client library's locks and elections stand in
/// the same ones: the keys below "name/", first come first served by their create revisions, each
/// attached to the lease of whoever put it there and named for it.
namespace holdfast::rpc {

class LoopState;

/// How long a wait lets a refused read or a late view be.
inline constexpr std::chrono::milliseconds kQueueRetryDelay{20};

/// "name/", below which a queue's keys are.
Bytes queue_prefix(BytesView name);
/// Where the keys below `prefix` end.
Bytes queue_end(BytesView prefix);
/// A lease's key: its id in hexadecimal, as etcd writes it, below `prefix`.
Bytes queue_key(BytesView prefix, LeaseId lease);

/// What etcd's services answer for an error of the requests they make by a client inside the
/// server: its text, but no code.
absl::Status embedded_error(const absl::Status& status);

/// Adds "the key at `key` is the one created at `create_revision`" (0: there is none).
void compare_created(BytesView key, std::int64_t create_revision, etcdserverpb::TxnRequest* txn);

/// Which key of a queue is wanted: the oldest, or the newest that was created at `newest_by` at the
/// latest.
struct QueueQuery {
  Bytes prefix;
  std::optional<std::int64_t> newest_by;
};

struct QueueAnswer {
  /// The stored pair, if there is one.
  std::optional<Bytes> kv;
  /// Of the view that was read.
  Revision revision;
};

/// Reads a queue linearizably on the node's pool, in the name of `call`'s caller. `done` may run at
/// once. Errors: too_many_requests when the pool is full; those of when_linearizable() and of
/// permissions.
void read_queue(LoopState& state, net::CallRef call, QueueQuery query,
                absl::AnyInvocable<void(absl::StatusOr<QueueAnswer>)> done);

/// Waits until no key of a queue is left that was created at `last_before` or earlier: one watch,
/// on the one key before, whatever the queue's length. Patient with a member that is busy.
///
/// Loop thread only. Destroyed when nobody wants to know any more.
class TurnWait final : public KeyFeed::Follower {
 public:
  /// `done` runs once, after start() was called, and may destroy this. Errors: read_queue()'s for
  /// good.
  TurnWait(LoopState& state, net::CallRef call, Bytes prefix, std::int64_t last_before,
           absl::AnyInvocable<void(absl::Status)> done);
  ~TurnWait() override;
  TurnWait(const TurnWait&) = delete;
  TurnWait& operator=(const TurnWait&) = delete;

  void start() { look(); }
  void on_begin(Revision revision) override;
  void on_event(const watch::Event& event) override;

 private:
  /// Who is before us now?
  void look();
  void on_look(absl::StatusOr<QueueAnswer> answer);
  void look_later();
  void finish(const absl::Status& status);

  LoopState& state_;
  const net::CallRef call_;
  const QueueQuery before_;
  absl::AnyInvocable<void(absl::Status)> done_;
  /// The key that is waited for.
  Bytes awaited_;
  net::Timer retry_timer_;
  /// Gone with this; what comes back from the pool looks.
  std::shared_ptr<TurnWait*> self_ = std::make_shared<TurnWait*>(this);
};

}  // namespace holdfast::rpc
