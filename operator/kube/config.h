#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace holdfast::kube {

/// PEM text, given or in a file. Files are read again while running.
struct Pem {
  std::string data{};
  std::string file{};

  bool empty() const { return data.empty() && file.empty(); }
};

/// A program that prints credentials: kubeconfig's `exec`.
struct ExecPlugin {
  std::string api_version;
  std::string command;
  std::vector<std::string> args{};
  std::vector<std::pair<std::string, std::string>> env{};  ///< added to ours
  std::string install_hint{};
};

/// Where the API server is, and who we are to it. Secrets are in here: never log one.
struct Config {
  bool tls = true;
  std::string host{};  ///< a name or an address, IPv6 without brackets
  std::uint16_t port = 443;
  std::string base_path{};  ///< "/k8s/clusters/x", or empty

  std::string tls_server_name{};  ///< what its certificate must say, if not `host`
  bool insecure_skip_verify = false;
  Pem ca{};  ///< empty: the system's
  Pem client_certificate{};
  Pem client_key{};
  std::string token{};
  std::string token_file{};  ///< goes before `token`
  std::optional<ExecPlugin> exec{};

  std::string default_namespace = "default";
};

/// "host:port", with brackets around an IPv6 address: the Host header and logs.
std::string authority(const Config& config);

/// Splits https://host:port/path into `config`. Errors: InvalidArgument says what is wrong with it.
absl::Status set_server(Config& config, const std::string& url);

/// The Pod's own: KUBERNETES_SERVICE_HOST and _PORT, and the service account's files, of which the
/// token and the CA are read again while running.
/// Errors: FailedPrecondition outside a Pod.
absl::StatusOr<Config> in_cluster_config(
    const std::string& account_dir = "/var/run/secrets/kubernetes.io/serviceaccount");

/// A kubeconfig; `context` empty means its current-context. Relative paths in it are of its folder.
/// Errors: NotFound, InvalidArgument; Unimplemented for what is not supported (proxy-url,
/// auth-provider, user name with password).
absl::StatusOr<Config> kubeconfig_config(const std::string& path, const std::string& context = {});

/// `kubeconfig` if it is not empty, else $KUBECONFIG, else the Pod's own, else ~/.kube/config.
absl::StatusOr<Config> load_config(const std::string& kubeconfig = {},
                                   const std::string& context = {});

/// Reads a whole small file. Errors: NotFound, or ResourceExhausted above a mebibyte.
absl::StatusOr<std::string> read_small_file(const std::string& path);

}  // namespace holdfast::kube
