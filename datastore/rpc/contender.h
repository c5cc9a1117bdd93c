#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "datastore/base/bytes.h"
#include "datastore/base/ids.h"
#include "datastore/net/grpc_call.h"
#include "datastore/node/node.h"
#include "datastore/proto/rpc.pb.h"
#include "datastore/rpc/key_queue.h"
#include "datastore/rpc/loop_state.h"

namespace holdfast::rpc {

/// A unary call that puts a key into a queue and is answered when that key is the first: a lock, a
/// campaign. In etcd's order: a lease, unless the caller has one; the key, unless the lease's is
/// there already; the wait.
///
/// A caller that goes, whose deadline passes or whose wait fails leaves the queue: its key is
/// deleted in its name, guarded by its create revision. One that was answered keeps it until it
/// deletes it or its lease ends. Loop thread only. The call keeps it alive.
class Contender : public std::enable_shared_from_this<Contender> {
 public:
  virtual ~Contender() = default;
  Contender(const Contender&) = delete;
  Contender& operator=(const Contender&) = delete;

  /// Once, after make_shared. `lease` 0: one of kOwnLeaseSeconds is granted.
  void start(LeaseId lease);

  /// etcd's sessions'.
  static constexpr std::int64_t kOwnLeaseSeconds = 60;

 protected:
  Contender(LoopState& state, net::CallRef call, BytesView name);

  /// Fills in what puts the key (`own_key()`, `lease()`) if it is not there, and reads what
  /// on_entered() needs.
  virtual void fill_entry(etcdserverpb::TxnRequest* txn) = 0;
  /// The transaction is applied; enter() has been called by now, or fail().
  virtual void on_entered(const node::Applied& applied) = 0;
  virtual void on_turn() = 0;

  /// Says since when the key stands in the queue. False if the caller has gone: there is then
  /// nothing left to do.
  bool enter(std::int64_t create_revision);
  /// on_turn() runs once nobody is before the key.
  void await_turn();
  /// Applies `txn` in the caller's name; `next` runs with what came of it if the caller is still
  /// there and it went well, else the call fails.
  void apply(const etcdserverpb::TxnRequest& txn,
             absl::AnyInvocable<void(const node::Applied&)> next);
  /// Leaves the queue, and answers the call with an error of a request made for it.
  void fail(const absl::Status& status);

  LoopState& state() const { return state_; }
  net::GrpcCall& call() const { return *call_; }
  const net::CallRef& call_ref() const { return call_; }
  const Bytes& prefix() const { return prefix_; }
  const Bytes& own_key() const { return key_; }
  LeaseId lease() const { return lease_; }
  std::int64_t create_revision() const { return create_revision_; }

 private:
  void grant_lease();
  void put_key(LeaseId lease);
  void on_turn_or_error(const absl::Status& status);
  void on_gone();
  /// Deletes the key, if it is in the queue.
  void withdraw();

  LoopState& state_;
  const net::CallRef call_;
  const Bytes prefix_;
  Bytes key_;
  LeaseId lease_;
  /// Whoever made the call, for when it is over; empty: nobody was asked.
  Bytes user_;
  /// 0 before the key is in the queue, and after it was withdrawn.
  std::int64_t create_revision_ = 0;
  std::optional<TurnWait> wait_;
};

/// The lease that a recipe's request names or, for 0, a new one. Errors: the grant's.
void with_lease(LoopState& state, const net::CallRef& call, LeaseId lease,
                absl::AnyInvocable<void(absl::StatusOr<LeaseId>)> done);

/// Where the transaction's range was answered with a pair, that; else nothing.
std::optional<BytesView> first_pair(const statemachine::TxnOutcome& outcome, std::size_t response);

}  // namespace holdfast::rpc
