#include "datastore/cli/srv_discovery.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "datastore/config/url.h"

namespace holdfast::cli {

namespace {

/// `address:port` → the URL that this member advertises there.
using OwnUrls = std::map<std::string, config::Url>;

absl::StatusOr<std::string> resolve(const std::string& host, const std::string& port,
                                    const config::AddressLookup& addresses) {
  if (config::is_ip_address(host)) return absl::StrCat(host, ":", port);
  const absl::StatusOr<std::string> address = addresses.resolve(host);
  if (!address.ok()) return address.status();
  return absl::StrCat(*address, ":", port);
}

absl::StatusOr<OwnUrls> resolve_own(const config::Options& options,
                                    const config::AddressLookup& addresses) {
  OwnUrls own;
  for (const config::Url& url : options.initial_advertise_peer_urls) {
    const absl::StatusOr<std::string> address = resolve(url.host, url.port, addresses);
    if (!address.ok()) return address.status();
    own[*address] = url;
  }
  return own;
}

struct Service {
  std::string scheme;
  std::string name;  // as in DNS, without its underscore
};

/// The `name=url` parts that one service's records come to.
absl::StatusOr<std::vector<std::string>> discover_service(const config::Options& options,
                                                          const Service& service,
                                                          const OwnUrls& own,
                                                          const LookupSrv& lookup_srv,
                                                          const config::AddressLookup& addresses) {
  const absl::StatusOr<std::vector<SrvRecord>> records =
      lookup_srv(absl::StrCat("_", service.name, "._tcp.", options.discovery.srv));
  absl::Status last = records.status();
  std::vector<std::string> parts;
  int others = 0;
  for (const SrvRecord& record : records.ok() ? *records : std::vector<SrvRecord>()) {
    const std::string port = absl::StrCat(record.port);
    const absl::StatusOr<std::string> address = resolve(record.target, port, addresses);
    if (!address.ok()) {
      last = address.status();
      continue;
    }
    const std::string url = config::Url{service.scheme, record.target, port}.str();
    const auto self = own.find(*address);
    if (self != own.end() && self->second.scheme != service.scheme) {
      last = absl::InvalidArgumentError(
          absl::StrCat("bootstrap at ", url, " from DNS for ", service.name,
                       " has scheme mismatch with expected peer ", self->second.str()));
      continue;
    }
    parts.push_back(
        absl::StrCat(self != own.end() ? options.name : absl::StrCat(others++), "=", url));
  }
  if (!parts.empty()) return parts;
  return absl::Status(last.code(), absl::StrCat("error querying DNS SRV records for _",
                                                service.name, " ", last.message()));
}

}  // namespace

absl::StatusOr<std::vector<config::ClusterMember>> discover_by_srv(
    const config::Options& options, const LookupSrv& lookup_srv,
    const config::AddressLookup& addresses, telemetry::Logger& log) {
  const absl::StatusOr<OwnUrls> own = resolve_own(options, addresses);
  if (!own.ok()) return own.status();
  const std::string suffix =
      options.discovery.srv_name.empty() ? "" : absl::StrCat("-", options.discovery.srv_name);
  std::vector<std::string> parts;
  std::vector<std::string> errors;
  for (const Service& service : {Service{"https", absl::StrCat("etcd-server-ssl", suffix)},
                                 Service{"http", absl::StrCat("etcd-server", suffix)}}) {
    const absl::StatusOr<std::vector<std::string>> found =
        discover_service(options, service, *own, lookup_srv, addresses);
    if (!found.ok()) {
      errors.emplace_back(found.status().message());
      continue;
    }
    log.info("got bootstrap from DNS for etcd-server",
             {{"service-name", service.name}, {"found-cluster", *found}});
    parts.insert(parts.end(), found->begin(), found->end());
  }
  if (parts.empty()) return absl::NotFoundError(absl::StrJoin(errors, "; "));
  absl::StatusOr<std::vector<config::ClusterMember>> members =
      config::parse_initial_cluster(absl::StrJoin(parts, ","));
  if (!members.ok()) return members.status();
  if (std::ranges::find(*members, options.name, &config::ClusterMember::name) == members->end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot find local etcd member \"", options.name,
                     "\" in SRV records; one of them must resolve to an address of "
                     "--initial-advertise-peer-urls",
                     errors.empty() ? "" : absl::StrCat(" (", absl::StrJoin(errors, "; "), ")")));
  }
  return members;
}

}  // namespace holdfast::cli
