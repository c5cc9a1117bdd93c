#include "datastore/config/url.h"

#include <arpa/inet.h>

#include <algorithm>

#include "datastore/config/go_values.h"
#include "fmt/format.h"

namespace holdfast::config {
namespace {

absl::Status not_host_port(std::string_view text) {
  return absl::InvalidArgumentError(
      fmt::format("URL address does not have the form \"host:port\": {}", text));
}

bool all_digits(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

std::string Url::str() const {
  if (unix_socket()) {
    return fmt::format("{}://{}", scheme, host);
  }
  const bool ipv6 = host.find(':') != std::string::npos;
  return fmt::format("{}://{}{}{}:{}", scheme, ipv6 ? "[" : "", host, ipv6 ? "]" : "", port);
}

absl::StatusOr<Url> parse_url(std::string_view text) {
  const std::string_view whole = trim(text);
  const std::size_t colon = whole.find(':');
  const std::string_view scheme = colon == std::string_view::npos ? "" : whole.substr(0, colon);
  if (scheme != "http" && scheme != "https" && scheme != "unix" && scheme != "unixs") {
    return absl::InvalidArgumentError(
        fmt::format("URL scheme must be http, https, unix, or unixs: {}", whole));
  }
  std::string_view rest = whole.substr(colon + 1);
  if (rest.starts_with("//")) {
    rest.remove_prefix(2);
  }
  if (scheme.starts_with("unix")) {
    return Url{std::string(scheme), std::string(rest), ""};
  }
  const std::size_t path = rest.find_first_of("/?#");
  if (path != std::string_view::npos) {
    return absl::InvalidArgumentError(fmt::format("URL must not contain a path: {}", whole));
  }
  const std::size_t port = rest.rfind(':');
  if (port == std::string_view::npos || !all_digits(rest.substr(port + 1))) {
    return not_host_port(whole);
  }
  std::string_view host = rest.substr(0, port);
  const bool bracketed = host.starts_with('[') && host.ends_with(']');
  if (bracketed) {
    host = host.substr(1, host.size() - 2);
  }
  if (!bracketed && host.find(':') != std::string_view::npos) {
    return not_host_port(whole);
  }
  return Url{std::string(scheme), std::string(host), std::string(rest.substr(port + 1))};
}

absl::StatusOr<std::vector<Url>> parse_urls(std::string_view text) {
  std::vector<Url> urls;
  for (const std::string& part : split(text, ',')) {
    absl::StatusOr<Url> url = parse_url(part);
    if (!url.ok()) {
      return url.status();
    }
    urls.push_back(*std::move(url));
  }
  std::ranges::sort(urls, {}, &Url::str);
  urls.erase(std::unique(urls.begin(), urls.end()), urls.end());
  return urls;
}

std::vector<std::string> url_texts(const std::vector<Url>& urls) {
  std::vector<std::string> texts;
  for (const Url& url : urls) {
    texts.push_back(url.str());
  }
  return texts;
}

std::string join_urls(const std::vector<Url>& urls) {
  return fmt::format("{}", fmt::join(url_texts(urls), ","));
}

bool is_ip_address(const std::string& host) {
  in6_addr address{};
  return inet_pton(AF_INET, host.c_str(), &address) == 1 ||
         inet_pton(AF_INET6, host.c_str(), &address) == 1;
}

}  // namespace holdfast::config
