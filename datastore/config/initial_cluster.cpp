#include "datastore/config/initial_cluster.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "datastore/config/go_values.h"
#include "fmt/format.h"

namespace holdfast::config {
namespace {

template <class... Args>
absl::Status invalid(fmt::format_string<Args...> format, Args&&... args) {
  return absl::InvalidArgumentError(fmt::format(format, std::forward<Args>(args)...));
}

/// `name=url` of those in `urls` that `others` lacks.
std::vector<std::string> missing_from(const std::vector<std::string>& others,
                                      const std::vector<std::string>& urls, std::string_view name) {
  std::vector<std::string> only;
  for (const std::string& url : urls) {
    if (!std::ranges::count(others, url)) only.push_back(fmt::format("{}={}", name, url));
  }
  return only;
}

absl::Status check_advertised(const Options& options, const ClusterMember& self,
                              const AddressLookup& lookup) {
  const std::vector<std::string> advertised = url_texts(options.initial_advertise_peer_urls);
  const absl::Status same = AddressMatcher(lookup).match(advertised, self.peer_urls);
  if (same.ok()) return same;
  if (const auto missing = missing_from(advertised, self.peer_urls, self.name); !missing.empty()) {
    return invalid(
        "--initial-cluster has {} but missing from --initial-advertise-peer-urls={} ({}); make "
        "them equal",
        fmt::join(missing, ","), fmt::join(advertised, ","), std::string(same.message()));
  }
  if (const auto missing = missing_from(self.peer_urls, advertised, self.name); !missing.empty()) {
    return invalid(
        "--initial-advertise-peer-urls has {} but missing from --initial-cluster={}; make them "
        "equal",
        fmt::join(missing, ","), initial_cluster_text({self}));
  }
  return invalid("failed to resolve {} to match --initial-cluster={} ({})",
                 fmt::join(advertised, ","), initial_cluster_text({self}),
                 std::string(same.message()));
}

}  // namespace

absl::StatusOr<std::vector<ClusterMember>> parse_initial_cluster(std::string_view text) {
  std::map<std::string, std::vector<std::string>> members;
  for (const std::string& part : split(text, ',')) {
    if (part.empty()) continue;
    const std::size_t equals = part.find('=');
    if (equals == std::string::npos || equals == 0) {
      return invalid(
          "--initial-cluster must be name=peer-url pairs separated by commas (\"{}\" is "
          "not one)",
          part);
    }
    absl::StatusOr<Url> url = parse_url(std::string_view(part).substr(equals + 1));
    if (!url.ok()) {
      return invalid("error setting up initial cluster: {}", std::string(url.status().message()));
    }
    members[std::string(trim(part.substr(0, equals)))].push_back(url->str());
  }
  std::vector<ClusterMember> out;
  for (auto& [name, urls] : members) {
    std::ranges::sort(urls);
    out.push_back({name, std::move(urls)});
  }
  return out;
}

std::string initial_cluster_text(const std::vector<ClusterMember>& members) {
  std::vector<std::string> parts;
  for (const ClusterMember& member : members) {
    for (const std::string& url : member.peer_urls) {
      parts.push_back(fmt::format("{}={}", member.name, url));
    }
  }
  std::ranges::sort(parts);
  return fmt::format("{}", fmt::join(parts, ","));
}

absl::Status validate_bootstrap(const Options& options, const std::vector<ClusterMember>& members,
                                const AddressLookup& lookup) {
  const auto self = std::ranges::find(members, options.name, &ClusterMember::name);
  if (self == members.end()) {
    return invalid(
        "couldn't find local name \"{}\" in the initial cluster configuration; add "
        "{}=<its peer URL> to --initial-cluster, or set --name to a name that is there",
        options.name, options.name);
  }
  if (options.initial_cluster_state == "new") {
    if (absl::Status status = check_advertised(options, *self, lookup); !status.ok()) {
      return status;
    }
  }
  std::set<std::string> urls;
  for (const ClusterMember& member : members) {
    for (const std::string& url : member.peer_urls) {
      if (!urls.insert(url).second) {
        return invalid("initial cluster {} has duplicate url; give each member its own",
                       initial_cluster_text(members));
      }
    }
  }
  return absl::OkStatus();
}

absl::Status validate_bootstrap(const Options& options, const AddressLookup& lookup) {
  const absl::StatusOr<std::vector<ClusterMember>> members =
      parse_initial_cluster(options.initial_cluster);
  return members.ok() ? validate_bootstrap(options, *members, lookup) : members.status();
}

}  // namespace holdfast::config
