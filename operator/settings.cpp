#include "operator/settings.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <map>
#include <optional>

#include "absl/strings/numbers.h"

namespace holdfast {

namespace {

struct Address {
  std::string host;
  int port = 0;
};

/// "[::]:8080", "127.0.0.1:8080", ":8080".
std::optional<Address> parse_address(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  Address address;
  if (colon == std::string::npos ||
      !absl::SimpleAtoi(absl::string_view(text).substr(colon + 1), &address.port) ||
      address.port < 1 || address.port > 65535) {
    return std::nullopt;
  }
  address.host = text.substr(0, colon);
  if (address.host.size() > 1 && address.host.front() == '[' && address.host.back() == ']') {
    address.host = address.host.substr(1, address.host.size() - 2);
  }
  if (address.host.empty()) address.host = "::";
  return address;
}

/// As CLI11 takes them: without the program's name, the last first. "--name=" asks for the default,
/// as in manifests whose values are templates; CLI11 would take the next argument for its value.
std::vector<std::string> arguments(int argc, char** argv) {
  std::vector<std::string> all(argv + 1, argv + argc);
  std::erase_if(
      all, [](const std::string& each) { return each.starts_with("--") && each.ends_with('='); });
  std::reverse(all.begin(), all.end());
  return all;
}

}  // namespace

std::variant<Settings, int> parse_settings(int argc, char** argv) {
  using telemetry::LogLevel;
  Settings settings;
  std::string listen = "[::]:8080";
  std::string fleet_page;
  CLI::App app("Runs holdfast clusters on Kubernetes: HoldfastCluster and its kin.");
  app.set_version_flag("--version", "holdfast-operator " HOLDFAST_RELEASE);
  app.add_option("--watch-namespace", settings.watch_namespaces,
                 "Namespaces to look after, separated by commas; none: all")
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_option("--member-image", settings.member_image,
                 "Image of members of a cluster that names none; the tag is their version")
      ->capture_default_str();
  app.add_option("--operator-image", settings.operator_image,
                 "Image of this very program, in which backups' workers run")
      ->capture_default_str();
  app.add_option("--cluster-domain", settings.cluster_domain,
                 "The domain of Services' full names, which members' certificates carry too")
      ->capture_default_str();
  app.add_option("--leader-election-namespace", settings.leader_election_namespace,
                 "Where the Lease of the acting operator is; default: its own namespace");
  app.add_option("--listen", listen, "Address of /healthz, /readyz and /metrics")
      ->capture_default_str();
  app.add_option("--fleet-page", fleet_page,
                 "Address of the fleet page, as in [::]:8081; none: it is not served");
  app.add_option(
      "--fleet-kubeconfigs", settings.fleet_kubeconfigs,
      "A folder of kubeconfigs, read again while running: the clusters of each, by its "
      "file's name, are on the fleet page too, for those who may list all clusters here");
  app.add_option("--fleet-name", settings.fleet_name,
                 "What this Kubernetes is called on the fleet page beside others")
      ->capture_default_str();
  app.add_option("--kubeconfig", settings.kubeconfig,
                 "The API server and who we are to it; default: KUBECONFIG, the Pod's own, "
                 "~/.kube/config");
  app.add_option("--workers", settings.workers, "Clusters looked at side by side")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  app.add_option("--probe", settings.probe,
                 "Only asks this page of a running operator, and exits with 0 if it answers 200");
  const std::map<std::string, LogLevel> levels = {{"debug", LogLevel::kDebug},
                                                  {"info", LogLevel::kInfo},
                                                  {"warn", LogLevel::kWarn},
                                                  {"error", LogLevel::kError}};
  app.add_option("--log-level", settings.log_level, "debug, info, warn or error")
      ->transform(CLI::CheckedTransformer(levels, CLI::ignore_case));
  try {
    app.parse(arguments(argc, argv));
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  }
  std::erase(settings.watch_namespaces, "");
  const std::optional<Address> address = parse_address(listen);
  if (!address) {
    std::cerr << "--listen takes an address and a port, as in [::]:8080; not " << listen << "\n";
    return 2;
  }
  if (!fleet_page.empty()) {
    const std::optional<Address> page = parse_address(fleet_page);
    if (!page) {
      std::cerr << "--fleet-page takes an address and a port, as in [::]:8081; not " << fleet_page
                << "\n";
      return 2;
    }
    settings.fleet_page_host = page->host;
    settings.fleet_page_port = page->port;
  }
  settings.listen_host = address->host;
  settings.listen_port = address->port;
  return settings;
}

}  // namespace holdfast
