#include "operator/specs/flags.h"

#include "absl/strings/str_join.h"
#include "operator/api/text.h"

namespace holdfast::specs {
namespace {

using Flags = std::vector<std::string>;

bool has_certificates(api::TlsMode mode) {
  return mode != api::TlsMode::kOff;
}

/// "[::]" is one socket for both families.
std::string listen_url(std::string_view scheme, std::uint16_t port) {
  return api::str_cat(scheme, "://[::]:", port);
}

/// Clients in both schemes, where both are accepted: told apart by what they say first.
std::string client_listen_urls(api::TlsMode mode) {
  std::string plain = listen_url("http", api::kClientPort);
  std::string secure = listen_url("https", api::kClientPort);
  switch (mode) {
    case api::TlsMode::kOff:
      return plain;
    case api::TlsMode::kMixed:
      return api::str_cat(secure, ",", plain);
    case api::TlsMode::kOn:
      break;
  }
  return secure;
}

void add_addresses(Flags& flags, const api::HoldfastCluster& cluster, const TlsModes& tls,
                   std::string_view name) {
  const std::string_view peer_scheme = tls.peer == api::TlsMode::kOff ? "http" : "https";
  flags.push_back(api::str_cat("--listen-client-urls=", client_listen_urls(tls.client)));
  flags.push_back(
      api::str_cat("--advertise-client-urls=", member_url(cluster, name, api::Side::kClient, tls)));
  flags.push_back(api::str_cat("--listen-peer-urls=", listen_url(peer_scheme, api::kPeerPort)));
  flags.push_back(api::str_cat("--initial-advertise-peer-urls=",
                               member_url(cluster, name, api::Side::kPeer, tls)));
  flags.push_back(api::str_cat("--listen-metrics-urls=", listen_url("http", api::kMetricsPort)));
}

/// Who may form a cluster if its volume is empty after all.
bool may_form(Start start) {
  return start == Start::kNewCluster || start == Start::kForceNewCluster;
}

void add_start(Flags& flags, const api::HoldfastCluster& cluster, Start start,
               const std::vector<InitialMember>& initial_cluster) {
  const auto entry = [](std::string* out, const InitialMember& member) {
    *out += api::str_cat(member.name, "=", member.peer_url);
  };
  flags.push_back(api::str_cat("--initial-cluster=", absl::StrJoin(initial_cluster, ",", entry)));
  flags.push_back(api::str_cat("--initial-cluster-state=", may_form(start) ? "new" : "existing"));
  flags.push_back(api::str_cat("--initial-cluster-token=", cluster.metadata.uid));
  if (start == Start::kForceNewCluster) flags.emplace_back("--force-new-cluster=true");
}

void add_options(Flags& flags, const MemberTemplate& member) {
  const api::Options& options = member.options;
  flags.push_back(api::str_cat("--quota-backend-bytes=", member.quota_bytes));
  switch (options.compaction.mode) {
    case api::CompactionMode::kOff:
      flags.emplace_back("--auto-compaction-retention=0");
      break;
    case api::CompactionMode::kPeriodic:
    case api::CompactionMode::kRevision:
      flags.push_back(api::str_cat(
          "--auto-compaction-mode=",
          options.compaction.mode == api::CompactionMode::kPeriodic ? "periodic" : "revision"));
      flags.push_back(api::str_cat("--auto-compaction-retention=", options.compaction.retention));
      break;
  }
  flags.push_back(api::str_cat("--snapshot-count=", options.snapshot_count));
  flags.push_back(api::str_cat("--heartbeat-interval=", options.heartbeat_milliseconds));
  flags.push_back(api::str_cat("--election-timeout=", options.election_milliseconds));
  flags.push_back(api::str_cat("--max-request-bytes=", options.max_request_bytes));
}

void add_tls(Flags& flags, const TlsModes& tls) {
  if (has_certificates(tls.client)) {
    flags.push_back(api::str_cat("--cert-file=", kClientTlsDirectory, "/tls.crt"));
    flags.push_back(api::str_cat("--key-file=", kClientTlsDirectory, "/tls.key"));
    flags.push_back(api::str_cat("--trusted-ca-file=", kTrustDirectory, "/", kClientBundle));
    flags.emplace_back("--client-cert-auth=true");
  }
  if (has_certificates(tls.peer)) {
    flags.push_back(api::str_cat("--peer-cert-file=", kPeerTlsDirectory, "/tls.crt"));
    flags.push_back(api::str_cat("--peer-key-file=", kPeerTlsDirectory, "/tls.key"));
    flags.push_back(api::str_cat("--peer-trusted-ca-file=", kTrustDirectory, "/", kPeerBundle));
    flags.emplace_back("--peer-client-cert-auth=true");
    // A Pod's address is new with every Pod, and DNS may tell the old one, or none, for half a
    // minute: checked against it a member would be kept out for as long after each restart. The
    // cluster's own CA already says who is a member.
    flags.emplace_back("--peer-skip-client-san-verification=true");
  }
  if (tls.peer == api::TlsMode::kMixed) flags.emplace_back("--accept-plain-and-tls=true");
}

}  // namespace

std::string member_url(const api::HoldfastCluster& cluster, std::string_view member, api::Side side,
                       const TlsModes& tls) {
  const bool client = side == api::Side::kClient;
  const api::TlsMode mode = client ? tls.client : tls.peer;
  const bool wanted = (client ? cluster.spec.tls.client : cluster.spec.tls.peer).enabled;
  const bool secure = mode == api::TlsMode::kOn || (mode == api::TlsMode::kMixed && !wanted);
  return api::str_cat(secure ? "https://" : "http://",
                      api::member_host(cluster.metadata.name, cluster.metadata.ns, member), ":",
                      client ? api::kClientPort : api::kPeerPort);
}

Flags member_flags(const api::HoldfastCluster& cluster, const MemberTemplate& member,
                   std::string_view name, Start start,
                   const std::vector<InitialMember>& initial_cluster) {
  Flags flags = {api::str_cat("--name=", name), api::str_cat("--data-dir=", kDataDirectory)};
  add_addresses(flags, cluster, member.tls, name);
  add_start(flags, cluster, start, initial_cluster);
  add_options(flags, member);
  add_tls(flags, member.tls);
  if (!member.keys_secret.empty()) {
    flags.push_back(api::str_cat("--encryption-key-file=", kKeysDirectory, "/", kKeys));
  }
  return flags;
}

}  // namespace holdfast::specs
