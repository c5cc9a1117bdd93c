#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datastore/proto/rpc.grpc.pb.h"
#include "operator/member/client.h"
#include "operator/member/outcome.h"
#include "operator/member/session.h"

/// What calls to a member go over. For this room's own files: protobuf and gRPC types end here.
namespace holdfast::member {

namespace pb = etcdserverpb;

/// The key of metadata that etcd looks for a token under.
inline constexpr char kTokenKey[] = "token";

std::chrono::system_clock::time_point after(std::chrono::milliseconds timeout);
void prepare(grpc::ClientContext& context, std::chrono::milliseconds timeout,
             const std::string& token);

/// The member's own words stay as they are; those of the connection say whose it is.
absl::Status status_from(const grpc::Status& status, const Endpoint& endpoint);
std::string describe(const Endpoint& endpoint);

bool says(const absl::Status& status, std::string_view sentence);
bool is_members_own(const absl::Status& status);
/// A new token is needed: this one has ended, users have changed, or auth was turned on. Said at
/// the member's door: nothing was done.
bool asks_for_token(const absl::Status& status);
/// What a member with auth answers to a read of who is nobody, or only named by a certificate.
bool is_for_users_only(const absl::Status& status);
/// Another connection may do better than this one, which is broken.
bool is_of_the_connection(const absl::Status& status);

/// A channel and the stubs on it.
struct Line {
  explicit Line(const Endpoint& endpoint);

  const std::shared_ptr<grpc::Channel> channel;
  const std::unique_ptr<pb::KV::Stub> kv;
  const std::unique_ptr<pb::Cluster::Stub> cluster;
  const std::unique_ptr<pb::Maintenance::Stub> maintenance;
  const std::unique_ptr<pb::Auth::Stub> auth;
};

/// gRPC mends a broken channel only while some call waits on it, and here none does between two
/// looks. So a line that failed is hung up, and the next call makes another at once.
struct Client::Connection {
  Connection(Endpoint where, Timeouts times) : endpoint(std::move(where)), timeouts(times) {}

  std::shared_ptr<const Line> line() const;
  /// The next call makes another.
  void hang_up() const;
  void hang_up_after(const absl::Status& status, const std::shared_ptr<const Line>& used) const;

  /// The token to show; empty where none is needed. Errors: the member's, or the connection's.
  absl::StatusOr<std::string> token(const Line& used) const;
  /// A member said `status` to this token.
  void reconsider(const absl::Status& status, const std::string& token) const;

  /// One call of a read: call(line, context). Asked again, once, with another token if it was for
  /// that alone that it was refused.
  template <class Call>
  absl::Status read(std::chrono::milliseconds timeout, const Call& call) const {
    const std::shared_ptr<const Line> used = line();
    return call_over(used, timeout, call);
  }

  /// One call of a change. Only once the connection stands, so that "cannot be reached" and "maybe
  /// done" are told apart. A refusal at the door over a token is no sending.
  template <class Call>
  absl::Status change(std::chrono::milliseconds timeout, const Call& call) const {
    const std::shared_ptr<const Line> used = line();
    if (!used->channel->WaitForConnected(after(timeouts.read))) {
      const absl::Status unreachable =
          absl::UnavailableError(describe(endpoint) + " cannot be reached; nothing was sent");
      hang_up_after(unreachable, used);
      return unreachable;
    }
    if (const auto known = token(*used); !known.ok()) {
      hang_up_after(known.status(), used);
      return known.status();
    }
    return after_sending_a_change(call_over(used, timeout, call));
  }

  const Endpoint endpoint;
  const Timeouts timeouts;

 private:
  template <class Call>
  absl::Status call_over(const std::shared_ptr<const Line>& used, std::chrono::milliseconds timeout,
                         const Call& call) const {
    absl::Status status = call_once(used, timeout, call);
    if (endpoint.session && asks_for_token(status)) status = call_once(used, timeout, call);
    hang_up_after(status, used);
    return status;
  }

  template <class Call>
  absl::Status call_once(const std::shared_ptr<const Line>& used, std::chrono::milliseconds timeout,
                         const Call& call) const {
    const absl::StatusOr<std::string> known = token(*used);
    if (!known.ok()) return known.status();
    grpc::ClientContext context;
    prepare(context, timeout, *known);
    absl::Status status = status_from(call(*used, &context), endpoint);
    reconsider(status, *known);
    return status;
  }

  mutable std::mutex mutex;
  mutable std::shared_ptr<const Line> current;
};

}  // namespace holdfast::member
