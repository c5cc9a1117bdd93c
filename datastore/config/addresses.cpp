#include "datastore/config/addresses.h"

#include <arpa/inet.h>
#include <netdb.h>

#include <algorithm>
#include <memory>
#include <thread>
#include <utility>

#include "fmt/format.h"

namespace holdfast::config {
namespace {

using Clock = std::chrono::steady_clock;

/// An IP address in its one shortest form; other names as they are.
std::string normalized(const std::string& host) {
  in6_addr address{};
  char text[INET6_ADDRSTRLEN];
  for (const int family : {AF_INET, AF_INET6}) {
    if (inet_pton(family, host.c_str(), &address) == 1 &&
        inet_ntop(family, &address, text, sizeof text) != nullptr) {
      return text;
    }
  }
  return host;
}

absl::StatusOr<std::vector<Url>> parse_sorted(const std::vector<std::string>& texts) {
  std::vector<Url> urls;
  for (const std::string& text : texts) {
    absl::StatusOr<Url> url = parse_url(text);
    if (!url.ok()) {
      return absl::NotFoundError(fmt::format("failed to parse string to URL: \"{}\"", text));
    }
    url->host = normalized(url->host);
    urls.push_back(*std::move(url));
  }
  std::ranges::sort(urls, {}, &Url::str);
  return urls;
}

/// As Go prints a list of strings: ["a" "b"].
std::string quoted(const std::vector<std::string>& texts) {
  return fmt::format("[\"{}\"]", fmt::join(texts, "\" \""));
}

}  // namespace

absl::StatusOr<std::string> system_address(const std::string& host) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host.c_str(), nullptr, &hints, &found);
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> list(found, freeaddrinfo);
  if (error != 0) {
    return absl::UnavailableError(fmt::format("lookup {}: {}", host, gai_strerror(error)));
  }
  char text[NI_MAXHOST];
  if (getnameinfo(list->ai_addr, list->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST) !=
      0) {
    return absl::UnavailableError(fmt::format("lookup {}: no address that can be shown", host));
  }
  return std::string(text);
}

AddressMatcher::AddressMatcher(AddressLookup lookup)
    : lookup_(std::move(lookup)), deadline_(Clock::now() + lookup_.patience) {
}

absl::StatusOr<std::string> AddressMatcher::address(const Url& url) {
  if (url.unix_socket() || url.host == "localhost" || is_ip_address(url.host)) return url.host;
  if (const auto known = known_.find(url.host); known != known_.end()) return known->second;
  while (true) {
    absl::StatusOr<std::string> found = lookup_.resolve(url.host);
    if (found.ok()) return known_[url.host] = normalized(*found);
    if (Clock::now() + lookup_.pause >= deadline_) {
      return absl::UnavailableError(fmt::format("failed to resolve \"{}\" ({})", url.str(),
                                                std::string(found.status().message())));
    }
    std::this_thread::sleep_for(lookup_.pause);
  }
}

absl::StatusOr<std::vector<Url>> AddressMatcher::resolved(std::vector<Url> urls) {
  for (Url& url : urls) {
    absl::StatusOr<std::string> host = address(url);
    if (!host.ok()) return host.status();
    url.host = *std::move(host);
  }
  std::ranges::sort(urls, {}, &Url::str);
  return urls;
}

absl::Status AddressMatcher::match(const std::vector<std::string>& a,
                                   const std::vector<std::string>& b) {
  if (a.size() != b.size()) {
    return absl::NotFoundError(fmt::format("len({}) != len({})", quoted(a), quoted(b)));
  }
  absl::StatusOr<std::vector<Url>> ours = parse_sorted(a);
  absl::StatusOr<std::vector<Url>> theirs = parse_sorted(b);
  if (ours.ok() && theirs.ok() && *ours == *theirs) return absl::OkStatus();
  if (ours.ok()) ours = resolved(*std::move(ours));
  if (theirs.ok()) theirs = resolved(*std::move(theirs));
  if (!ours.ok()) return ours.status();
  if (!theirs.ok()) return theirs.status();
  const auto [our, their] = std::ranges::mismatch(*ours, *theirs);
  if (our == ours->end()) return absl::OkStatus();
  return absl::NotFoundError(
      fmt::format("resolved urls: \"{}\" != \"{}\"", our->str(), their->str()));
}

}  // namespace holdfast::config
