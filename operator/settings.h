#pragma once

#include <string>
#include <variant>
#include <vector>

#include "datastore/telemetry/log_line.h"

namespace holdfast {

/// What the command line says.
struct Settings {
  std::vector<std::string> watch_namespaces;  ///< empty: all
  std::string member_image = "holdfast.dev/holdfast";
  std::string operator_image = "holdfast.dev/holdfast-operator:" HOLDFAST_RELEASE;
  /// The domain of Services' full names.
  std::string cluster_domain = "cluster.local";
  std::string leader_election_namespace;  ///< empty: the Pod's own, or "default" outside one
  std::string listen_host = "::";
  int listen_port = 8080;
  /// Where the fleet page is served; port 0: nowhere.
  std::string fleet_page_host = "::";
  int fleet_page_port = 0;
  /// A folder of kubeconfigs of other Kubernetes clusters, shown on the page too; empty: none. And
  /// what this one is called beside them.
  std::string fleet_kubeconfigs;
  std::string fleet_name = "here";
  std::string kubeconfig;
  telemetry::LogLevel log_level = telemetry::LogLevel::kInfo;
  int workers = 8;
  /// Not empty: nothing is run; the page at this URL is asked instead.
  std::string probe;
};

/// The settings, or the code to exit with (--help, --version and errors have been printed).
std::variant<Settings, int> parse_settings(int argc, char** argv);

}  // namespace holdfast
