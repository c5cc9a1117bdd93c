#include "datastore/config/default_host.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <optional>

namespace holdfast::config {
namespace {

/// Addresses kept for documentation, which only a default route leads to. Source: RFC 5737, 3849.
constexpr char kAnywhereV4[] = "192.0.2.1";
constexpr char kAnywhereV6[] = "2001:db8::1";
constexpr std::uint16_t kAnyPort = 9;

/// The address that `to` is reached from. Connecting a datagram socket chooses the route, no more.
template <class Address>
std::optional<Address> source_of(int family, const Address& to) {
  const int fd = ::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return std::nullopt;
  Address own{};
  socklen_t size = sizeof own;
  const bool found = ::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0 &&
                     ::getsockname(fd, reinterpret_cast<sockaddr*>(&own), &size) == 0;
  ::close(fd);
  return found ? std::optional(own) : std::nullopt;
}

std::string text_of(int family, const void* address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  ::inet_ntop(family, address, text.data(), text.size());
  return text.data();
}

void advertise(const std::string& host, const std::vector<Url>& listened, Url& advertised) {
  advertised.host = host;
  advertised.port = listened.front().port;
}

bool is_replaced(const std::vector<Url>& listened, const std::vector<Url>& advertised,
                 const std::vector<Url>& by_default) {
  return !listened.empty() && listened.front().host == "0.0.0.0" && advertised == by_default;
}

}  // namespace

absl::StatusOr<std::string> default_host() {
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(kAnyPort);
  ::inet_pton(AF_INET, kAnywhereV4, &v4.sin_addr);
  if (const auto own = source_of(AF_INET, v4)) return text_of(AF_INET, &own->sin_addr);
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(kAnyPort);
  ::inet_pton(AF_INET6, kAnywhereV6, &v6.sin6_addr);
  if (const auto own = source_of(AF_INET6, v6)) return text_of(AF_INET6, &own->sin6_addr);
  return absl::NotFoundError("could not find default route");
}

void advertise_default_host(const FindHost& find, Options& options, std::vector<Notice>& notices) {
  static const Options kDefaults;
  const bool for_peers = is_replaced(options.listen_peer_urls, options.initial_advertise_peer_urls,
                                     kDefaults.initial_advertise_peer_urls);
  const bool for_clients = is_replaced(options.listen_client_urls, options.advertise_client_urls,
                                       kDefaults.advertise_client_urls);
  if (!for_peers && !for_clients) return;
  const absl::StatusOr<std::string> host = find();
  if (!host.ok()) {
    notices.push_back({telemetry::LogLevel::kInfo,
                       "failed to detect default host",
                       {{"error", std::string(host.status().message())}}});
    return;
  }
  if (for_peers) {
    advertise(*host, options.listen_peer_urls, options.initial_advertise_peer_urls.front());
  }
  if (for_clients) {
    advertise(*host, options.listen_client_urls, options.advertise_client_urls.front());
  }
  notices.push_back(
      {telemetry::LogLevel::kInfo, "detected default host for advertise", {{"host", *host}}});
}

}  // namespace holdfast::config
