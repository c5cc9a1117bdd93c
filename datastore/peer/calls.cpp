#include "datastore/peer/calls.h"

#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "datastore/peer/peer_headers.h"

namespace holdfast::peer {
namespace {

constexpr std::size_t kMaxAnswerBytes = std::size_t{16} << 20;

net::Http1Request post(std::string target, Bytes body) {
  return {.method = "POST",
          .target = std::move(target),
          .headers = {{"content-type", "application/protobuf"}},
          .body = std::move(body)};
}

}  // namespace

template <class Value>
void Calls::ask(MemberId to, net::Http1Request request,
                absl::StatusOr<Value> (*decode)(const net::Http1Response&), Done<Value> done) {
  Peer* const peer = peers_.find(to);
  net::Http1Client* const client = peer == nullptr ? nullptr : peer->urls().pick();
  if (client == nullptr) {
    return done(absl::UnavailableError(
        absl::StrCat("member ", to_hex(to.value), " is not known, or has no peer URL")));
  }
  net::Http1Limits limits;
  limits.dial = context_.dial_timeout();
  limits.total = context_.options.request_timeout;
  limits.max_body_bytes = kMaxAnswerBytes;
  client->fetch(std::move(request), limits,
                [this, to, client, decode,
                 done = std::move(done)](absl::StatusOr<net::Http1Response> answer) mutable {
                  if (answer.ok()) return done(decode(*answer));
                  // The peer may have gone meanwhile, and its client with it.
                  if (Peer* peer = peers_.find(to)) peer->urls().failed(client);
                  done(absl::UnavailableError(answer.status().message()));
                });
}

void Calls::keep_alive(MemberId leader, LeaseId lease, Done<std::int64_t> done) {
  ask(leader, post("/leases", encode_keep_alive_request(lease)), decode_keep_alive,
      std::move(done));
}

void Calls::time_to_live(MemberId leader, const LeaseQuery& query, Done<node::LeaseTimes> done) {
  ask(leader, post("/leases/internal", encode_lease_query(query)), decode_lease_times,
      std::move(done));
}

void Calls::promote(MemberId leader, MemberId learner, const std::string& token,
                    Done<std::vector<node::MemberInfo>> done) {
  net::Http1Request request = post(absl::StrCat("/members/promote/", learner.value), {});
  if (!token.empty()) request.headers.emplace_back("authorization", token);
  ask(leader, std::move(request), decode_promotion, std::move(done));
}

void Calls::hash_kv(MemberId peer, Revision revision, Done<node::HashResult> done) {
  net::Http1Request request{.target = "/members/hashkv",
                            .headers = cluster_header(context_.options),
                            .body = encode_hash_request(revision)};
  request.headers.emplace_back("content-type", "application/json");
  ask(peer, std::move(request), decode_hash, std::move(done));
}

void Calls::version(MemberId peer, Done<node::PeerVersion> done) {
  ask(peer, {.target = "/version"}, decode_version, std::move(done));
}

}  // namespace holdfast::peer
