#include "datastore/peer/member_pages.h"

#include <charconv>
#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "datastore/base/errors.h"
#include "datastore/peer/answers.h"
#include "datastore/peer/peer_headers.h"
#include "datastore/peer/refusal.h"

namespace holdfast::peer {
namespace {

constexpr std::string_view kPromotePrefix = "/members/promote/";
/// A lease's request has two numbers. etcd's bound.
constexpr std::size_t kMaxLeaseBodyBytes = std::size_t{64} << 10;
constexpr std::chrono::seconds kApplyTimeout{1};
constexpr std::chrono::milliseconds kApplyPoll{5};

std::string_view text_of(const absl::Status& status) {
  return {status.message().data(), status.message().size()};
}

net::HttpHeaders headers_of(const Context& context, const char* content_type) {
  net::HttpHeaders headers = cluster_header(context.options);
  headers.emplace_back("content-type", content_type);
  return headers;
}

void answer_json(const Context& context, net::HttpResponder& responder, Bytes body) {
  responder.respond(200, headers_of(context, "application/json"), std::move(body));
}

void answer_protobuf(const Context& context, net::HttpResponder& responder, Bytes body) {
  responder.respond(200, headers_of(context, "application/protobuf"), std::move(body));
}

void answer_refusal(const Context& context, net::HttpResponder& responder, const Refusal& refusal) {
  answer_error(responder, context.options, refusal.status, refusal.text);
}

/// The one method that `path` is for; null for a path that is nobody's.
const char* method_for(std::string_view path) {
  if (path == "/members" || path == "/version" || path == "/downgrade/enabled" ||
      path == "/members/hashkv") {
    return "GET";
  }
  if (path == "/leases" || path == "/leases/internal" || path.starts_with(kPromotePrefix)) {
    return "POST";
  }
  return nullptr;
}

}  // namespace

void MemberPages::serve(const net::HttpRequest& request, net::HttpResponderRef responder) {
  const std::string_view path = request.path;
  const char* const method = method_for(path);
  if (method == nullptr) {
    return answer_error(*responder, context_.options, 404, "404 page not found");
  }
  if (request.method != method) {
    return answer_wrong_method(*responder, context_.options, method);
  }
  if (path == "/members") return serve_members(*responder);
  if (path == "/version") return serve_version(*responder);
  if (path == "/downgrade/enabled") return serve_downgrade(std::move(responder));
  if (path == "/members/hashkv") return serve_hash(request, std::move(responder));
  if (path == "/leases") return serve_keep_alive(request, std::move(responder));
  if (path == "/leases/internal") return serve_lease_query(request, std::move(responder));
  serve_promotion(path.substr(kPromotePrefix.size()), request, std::move(responder));
}

// --- members ------------------------------------------------------------------------------------

void MemberPages::serve_members(net::HttpResponder& responder) {
  answer_json(context_, responder, encode_members(context_.node->cluster()->members));
}

void MemberPages::serve_version(net::HttpResponder& responder) {
  const std::string cluster = context_.node->cluster()->cluster_version;
  answer_json(context_, responder,
              encode_version({.server = context_.options.api_version,
                              .cluster = cluster.empty() ? "not_decided" : cluster,
                              .storage = cluster.empty() ? "unknown" : cluster}));
}

void MemberPages::serve_downgrade(net::HttpResponderRef responder) {
  context_.node->read_index(
      [this, responder = std::move(responder)](const absl::Status& status) {
        if (!status.ok()) {
          return answer_error(*responder, context_.options, 500,
                              "failed to get downgrade enabled status");
        }
        responder->respond(200, headers_of(context_, "text/plain"),
                           context_.node->cluster()->downgrade_enabled ? "true" : "false");
      },
      context_.mailbox);
}

void MemberPages::serve_hash(const net::HttpRequest& request, net::HttpResponderRef responder) {
  const std::optional<std::string_view> cluster = request.header("x-etcd-cluster-id");
  if (cluster && *cluster != to_hex(context_.options.cluster.value)) {
    return answer_error(*responder, context_.options, 412, "cluster ID mismatch");
  }
  const absl::StatusOr<Revision> revision = decode_hash_request(request.body);
  if (!revision.ok()) {
    return answer_error(*responder, context_.options, 400, text_of(revision.status()));
  }
  context_.node->hash_kv(
      revision->value,
      [this, responder = std::move(responder)](const absl::StatusOr<node::HashResult>& result) {
        if (result.ok()) return answer_json(context_, *responder, encode_hash(*result));
        answer_error(*responder, context_.options, absl::IsOutOfRange(result.status()) ? 400 : 500,
                     text_of(result.status()));
      },
      context_.mailbox);
}

void MemberPages::serve_promotion(std::string_view text, const net::HttpRequest& request,
                                  net::HttpResponderRef responder) {
  std::uint64_t id = 0;
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, id);
  if (error != std::errc() || at != end) {
    return answer_error(*responder, context_.options, 404,
                        absl::StrCat("member ", absl::string_view(text.data(), text.size()),
                                     " not found in cluster"));
  }
  context_.port->promote_as_leader(
      MemberId(id), std::string(request.header("authorization").value_or("")),
      [this,
       responder = std::move(responder)](const absl::StatusOr<node::MembershipChange>& change) {
        if (change.ok()) return answer_json(context_, *responder, encode_members(change->members));
        answer_refusal(context_, *responder, encode_promotion_error(change.status()));
      },
      context_.mailbox);
}

// --- leases -------------------------------------------------------------------------------------

void MemberPages::when_applied(absl::AnyInvocable<void(absl::Status)> then) {
  waiting_.push_back({.target = context_.node->status().committed,
                      .deadline = context_.loop.now() + kApplyTimeout,
                      .then = std::move(then)});
  look_at_waiting();
}

void MemberPages::look_at_waiting() {
  const Index applied = context_.node->status().applied;
  std::vector<WaitingForApply> due;
  std::erase_if(waiting_, [&](WaitingForApply& one) {
    if (applied < one.target && context_.loop.now() < one.deadline) return false;
    due.push_back(std::move(one));
    return true;
  });
  if (!waiting_.empty()) context_.loop.arm(apply_timer_, kApplyPoll);
  for (WaitingForApply& one : due) {
    one.then(applied < one.target ? errors::timeout_wait_applied_index() : absl::OkStatus());
  }
}

void MemberPages::serve_keep_alive(const net::HttpRequest& request,
                                   net::HttpResponderRef responder) {
  const absl::StatusOr<LeaseId> lease = decode_keep_alive_request(request.body);
  if (request.body.size() > kMaxLeaseBodyBytes || !lease.ok()) {
    return answer_error(*responder, context_.options, 400, "error unmarshalling request");
  }
  when_applied([this, lease = *lease,
                responder = std::move(responder)](const absl::Status& status) {
    if (!status.ok()) return answer_refusal(context_, *responder, encode_lease_error(status));
    context_.port->keep_alive_as_leader(
        lease,
        [this, lease, responder](const absl::StatusOr<std::int64_t>& ttl_seconds) {
          if (ttl_seconds.ok()) {
            return answer_protobuf(context_, *responder, encode_keep_alive(lease, *ttl_seconds));
          }
          answer_refusal(context_, *responder, encode_lease_error(ttl_seconds.status()));
        },
        context_.mailbox);
  });
}

void MemberPages::serve_lease_query(const net::HttpRequest& request,
                                    net::HttpResponderRef responder) {
  const absl::StatusOr<LeaseQuery> query = decode_lease_query(request.body);
  if (request.body.size() > kMaxLeaseBodyBytes || !query.ok()) {
    return answer_error(*responder, context_.options, 400, "error unmarshalling request");
  }
  when_applied(
      [this, query = *query, responder = std::move(responder)](const absl::Status& status) {
        if (!status.ok()) return answer_refusal(context_, *responder, encode_lease_error(status));
        context_.port->time_to_live_as_leader(
            query.lease, query.keys,
            [this, responder](const absl::StatusOr<node::LeaseTimes>& times) {
              if (times.ok())
                return answer_protobuf(context_, *responder, encode_lease_times(*times));
              answer_refusal(context_, *responder, encode_lease_error(times.status()));
            },
            context_.mailbox);
      });
}

}  // namespace holdfast::peer
