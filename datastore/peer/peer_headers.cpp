#include "datastore/peer/peer_headers.h"

#include <charconv>
#include <compare>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace holdfast::peer {
namespace {

/// The oldest that we and any etcd of ours speak with.
constexpr std::string_view kMinClusterVersion = "3.0.0";
/// etcd 2.0 did not say.
constexpr std::string_view kUnsaidVersion = "2.0.0";

struct MajorMinor {
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  friend auto operator<=>(const MajorMinor&, const MajorMinor&) = default;
};

/// "3.7.1", "3.7.0-rc.1" → 3.7; what is no version counts as the oldest.
MajorMinor major_minor(std::string_view text) {
  MajorMinor out;
  const char* const end = text.data() + text.size();
  const auto [dot, error] = std::from_chars(text.data(), end, out.major);
  if (error != std::errc() || dot == end || *dot != '.') return {};
  if (std::from_chars(dot + 1, end, out.minor).ec != std::errc()) return {};
  return out;
}

}  // namespace

std::string to_hex(std::uint64_t id) {
  return absl::StrCat(absl::Hex(id));
}

std::optional<std::uint64_t> parse_hex(std::string_view text) {
  std::uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, number, 16);
  if (error != std::errc() || at != end) return std::nullopt;
  return number;
}

net::HttpHeaders request_headers(const TransportOptions& options, std::optional<MemberId> to) {
  net::HttpHeaders headers = stream_headers(options);
  headers.emplace_back("x-server-from", to_hex(options.self.value));
  headers.emplace_back("x-min-cluster-version", kMinClusterVersion);
  headers.emplace_back("x-peerurls", absl::StrJoin(options.advertise_urls, ","));
  if (to) headers.emplace_back("x-raft-to", to_hex(to->value));
  return headers;
}

net::HttpHeaders cluster_header(const TransportOptions& options) {
  return {{"x-etcd-cluster-id", to_hex(options.cluster.value)}};
}

net::HttpHeaders stream_headers(const TransportOptions& options) {
  net::HttpHeaders headers = cluster_header(options);
  headers.emplace_back("x-server-version", options.api_version);
  return headers;
}

bool is_supported_version(std::optional<std::string_view> version) {
  return major_minor(version.value_or(kUnsaidVersion)) >= major_minor(kMinClusterVersion);
}

std::optional<std::string_view> incompatibility(const net::HttpRequest& request,
                                                const TransportOptions& options) {
  const std::string_view least = request.header("x-min-cluster-version").value_or(kUnsaidVersion);
  if (!is_supported_version(request.header("x-server-version")) ||
      major_minor(least) > major_minor(options.api_version)) {
    return "incompatible version";
  }
  if (request.header("x-etcd-cluster-id").value_or("") != to_hex(options.cluster.value)) {
    return "cluster ID mismatch";
  }
  return std::nullopt;
}

}  // namespace holdfast::peer
