#pragma once

#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "datastore/net/http.h"
#include "datastore/peer/context.h"

namespace holdfast::peer {

/// What peers ask each other beside raft (etcd-facts 1.3); a real follower forwards to its leader
/// by these:
///
///   GET  /members /version /downgrade/enabled
///   GET  /members/hashkv                  with a body
///   POST /members/promote/<decimal id>
///   POST /leases /leases/internal
///
/// Anything else is 404. Loop thread.
class MemberPages {
 public:
  explicit MemberPages(Context& context)
      : context_(context),
        apply_timer_([](void* self) { static_cast<MemberPages*>(self)->look_at_waiting(); }, this) {
  }
  MemberPages(const MemberPages&) = delete;
  MemberPages& operator=(const MemberPages&) = delete;

  void serve(const net::HttpRequest& request, net::HttpResponderRef responder);

 private:
  struct WaitingForApply {
    Index target;
    net::EventLoop::Clock::time_point deadline;
    absl::AnyInvocable<void(absl::Status)> then;
  };

  void serve_members(net::HttpResponder& responder);
  void serve_version(net::HttpResponder& responder);
  void serve_downgrade(net::HttpResponderRef responder);
  void serve_hash(const net::HttpRequest& request, net::HttpResponderRef responder);
  void serve_promotion(std::string_view id, const net::HttpRequest& request,
                       net::HttpResponderRef responder);
  void serve_keep_alive(const net::HttpRequest& request, net::HttpResponderRef responder);
  void serve_lease_query(const net::HttpRequest& request, net::HttpResponderRef responder);
  /// Calls `then` once everything committed by now is applied, or timeout_wait_applied_index: a
  /// lease that was just granted must be found.
  void when_applied(absl::AnyInvocable<void(absl::Status)> then);
  void look_at_waiting();

  Context& context_;
  /// One for each lease's request, of which a connection has one at a time.
  std::vector<WaitingForApply> waiting_;
  net::Timer apply_timer_;
};

}  // namespace holdfast::peer
