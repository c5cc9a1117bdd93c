#include "datastore/http/access.h"

#include "fmt/format.h"

namespace holdfast::http {
namespace {

constexpr int kMisdirectedRequest = 421;

// The name in a Host header: without its port and the brackets of IPv6.
std::string host_name(std::string_view host) {
  if (host.starts_with('[')) {
    return std::string(host.substr(1, host.find(']') - 1));
  }
  return std::string(host.substr(0, host.rfind(':')));
}

}  // namespace

Access::Access(std::set<std::string> cors_origins, std::set<std::string> host_whitelist)
    : cors_origins_(std::move(cors_origins)), host_whitelist_(std::move(host_whitelist)) {
}

bool Access::allows(const std::set<std::string>& set, const std::string& value) {
  return set.empty() || set.contains("*") || set.contains(value);
}

std::optional<Reply> Access::stop(const net::HttpRequest& request) const {
  const std::string host = host_name(request.header("host").value_or(""));
  if (!request.secure && !allows(host_whitelist_, host)) {
    return text_error(
        kMisdirectedRequest,
        fmt::format("The host name \"{}\" is not one this member answers to without TLS (a guard "
                    "against DNS rebinding). Use one of its names, or add this one: "
                    "--host-whitelist \"{}\"",
                    host, host));
  }
  if (request.method == "OPTIONS") {
    return Reply{};
  }
  return std::nullopt;
}

void Access::allow_origin(const net::HttpRequest& request, Reply& reply) const {
  std::string origin = "*";
  if (!allows(cors_origins_, "*")) {
    origin = request.header("origin").value_or("");
    if (!cors_origins_.contains(origin)) {
      return;
    }
  }
  reply.headers.emplace_back("access-control-allow-headers", "accept, content-type, authorization");
  reply.headers.emplace_back("access-control-allow-methods", "POST, GET, OPTIONS, PUT, DELETE");
  reply.headers.emplace_back("access-control-allow-origin", origin);
}

}  // namespace holdfast::http
