#pragma once

#include <compare>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace holdfast::config {

/// Where to listen, or where others find us: http://127.0.0.1:2379, https://[::1]:2379,
/// unix:///run/holdfast.sock.
struct Url {
  std::string scheme;  ///< http, https, unix or unixs
  std::string host;    ///< without brackets; may be empty; for unix and unixs the socket's path
  std::string port;    ///< digits; empty for unix and unixs

  std::string str() const;
  bool secure() const { return scheme == "https" || scheme == "unixs"; }
  bool unix_socket() const { return scheme == "unix" || scheme == "unixs"; }
  auto operator<=>(const Url&) const = default;
};

/// Errors: InvalidArgument with etcd's text if the scheme is another, the address is not host:port
/// or a path follows it.
absl::StatusOr<Url> parse_url(std::string_view text);

/// Parses a comma-separated list, sorted by its text and without repetitions, as etcd keeps it.
absl::StatusOr<std::vector<Url>> parse_urls(std::string_view text);

/// The texts of urls, separated by commas.
std::string join_urls(const std::vector<Url>& urls);
std::vector<std::string> url_texts(const std::vector<Url>& urls);

/// True if host is an IPv4 or IPv6 address.
bool is_ip_address(const std::string& host);

}  // namespace holdfast::config
