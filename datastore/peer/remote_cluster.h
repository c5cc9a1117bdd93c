#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datastore/base/ids.h"
#include "datastore/codec/member_json.h"
#include "datastore/node/peers.h"

namespace holdfast::peer {

/// Members of a cluster as one of them tells them.
struct RemoteMembers {
  ClusterId cluster;
  std::vector<codec::Member> members;
};

/// What a member that is not one yet asks a cluster over its peer URLs, before anything of its own
/// runs: blocking, one request after the other, on a connection each. Follows no redirects and
/// reads no more than kMaxAnswerBytes. One thread. Source: etcd-facts 1.3, 4.
class RemoteCluster {
 public:
  struct Options {
    /// Files in PEM. Without `trusted_ca_file` a server is held to the system's CAs.
    std::string trusted_ca_file;
    std::string cert_file;
    std::string key_file;
    /// The name that a server's certificate must bear; empty: the URL's host.
    std::string server_name;
    /// False takes any certificate, as in a cluster whose members made their own.
    bool verify_servers = true;
    /// For one request, connecting and the whole answer.
    std::chrono::milliseconds timeout = std::chrono::seconds(10);
    /// Hears each request that failed, though another may succeed.
    std::function<void(const std::string& url, const absl::Status& why)> on_failure;
  };
  static constexpr std::size_t kMaxAnswerBytes = std::size_t{1} << 20;

  explicit RemoteCluster(Options options);

  /// The first usable answer to GET /members, asked in the order of `peer_urls`.
  /// Errors: Unavailable if none is, with etcd's text; InvalidArgument if the first usable one
  /// names no member.
  absl::StatusOr<RemoteMembers> members(const std::vector<std::string>& peer_urls) const;

  /// GET /version and GET /downgrade/enabled of one member, by any of its URLs.
  /// Errors: the last URL's.
  absl::StatusOr<node::PeerVersion> version(const std::vector<std::string>& peer_urls) const;
  absl::StatusOr<bool> downgrade_enabled(const std::vector<std::string>& peer_urls) const;

 private:
  struct Answer {
    std::string cluster_id;  // X-Etcd-Cluster-ID
    std::string body;
  };
  /// Any HTTP status will do, as for etcd: what counts is whether the body can be read.
  absl::StatusOr<Answer> get(const std::string& url, const char* path) const;
  absl::Status first_readable(const std::vector<std::string>& peer_urls, const char* path,
                              absl::FunctionRef<absl::Status(const Answer& answer)> read) const;

  const Options options_;
};

}  // namespace holdfast::peer
