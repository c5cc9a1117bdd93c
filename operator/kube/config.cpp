#include "operator/kube/config.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"
#include "operator/kube/text.h"

namespace holdfast::kube {
namespace {

constexpr std::size_t kMaxFileBytes = 1U << 20;

std::string environment(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nothing here sets any
  return value == nullptr ? "" : value;
}

/// Sets host and port from "host", "host:port", "[v6]" or "[v6]:port".
absl::Status set_authority(Config& config, std::string_view text, const std::string& url) {
  std::string_view port;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) {
      return absl::InvalidArgumentError(concat("server ", url, ": ']' is missing"));
    }
    config.host = text.substr(1, end - 1);
    port = text.substr(end + 1);
  } else {
    const std::size_t colon = text.find(':');
    config.host = text.substr(0, colon);
    port = colon == std::string_view::npos ? std::string_view() : text.substr(colon);
  }
  config.port = config.tls ? 443 : 80;
  if (!port.empty()) {
    unsigned number = 0;
    if (!port.starts_with(':') || !absl::SimpleAtoi(to_absl(port.substr(1)), &number) ||
        number == 0 || number > 65535) {
      return absl::InvalidArgumentError(concat("server ", url, ": the port is not a number"));
    }
    config.port = static_cast<std::uint16_t>(number);
  }
  if (config.host.empty()) {
    return absl::InvalidArgumentError(concat("server ", url, ": it names no host"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> read_small_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return absl::NotFoundError(concat("cannot read ", path, ": ", std::strerror(errno)));
  }
  std::string content(kMaxFileBytes + 1, '\0');
  file.read(content.data(), static_cast<std::streamsize>(content.size()));
  if (file.bad()) {
    return absl::NotFoundError(concat("cannot read ", path));
  }
  content.resize(static_cast<std::size_t>(file.gcount()));
  if (content.size() > kMaxFileBytes) {
    return absl::ResourceExhaustedError(concat(path, " is larger than ", kMaxFileBytes, " bytes"));
  }
  return content;
}

std::string authority(const Config& config) {
  const bool v6 = config.host.find(':') != std::string::npos;
  return v6 ? concat("[", config.host, "]:", config.port) : concat(config.host, ":", config.port);
}

absl::Status set_server(Config& config, const std::string& url) {
  absl::string_view stripped = url;
  if (absl::ConsumePrefix(&stripped, "https://")) {
    config.tls = true;
  } else if (absl::ConsumePrefix(&stripped, "http://")) {
    config.tls = false;
  } else {
    return absl::InvalidArgumentError(
        concat("server ", url, ": must begin with https:// or http://"));
  }
  const std::string_view rest = from_absl(stripped);
  const std::size_t slash = rest.find('/');
  config.base_path = slash == std::string_view::npos ? "" : std::string(rest.substr(slash));
  while (config.base_path.ends_with('/')) {
    config.base_path.pop_back();
  }
  return set_authority(config, rest.substr(0, slash), url);
}

absl::StatusOr<Config> in_cluster_config(const std::string& account_dir) {
  Config config;
  config.host = environment("KUBERNETES_SERVICE_HOST");
  const std::string port = environment("KUBERNETES_SERVICE_PORT");
  unsigned number = 0;
  if (config.host.empty() || !absl::SimpleAtoi(port, &number) || number == 0 || number > 65535) {
    return absl::FailedPreconditionError(
        "not in a Pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set; "
        "outside a cluster give a kubeconfig");
  }
  if (config.host.starts_with('[') && config.host.ends_with(']')) {
    config.host = config.host.substr(1, config.host.size() - 2);
  }
  config.port = static_cast<std::uint16_t>(number);
  config.token_file = concat(account_dir, "/token");
  config.ca.file = concat(account_dir, "/ca.crt");
  if (const auto token = read_small_file(config.token_file); !token.ok()) {
    return absl::FailedPreconditionError(concat("the Pod has no service account token (",
                                                token.status().message(),
                                                "); is automountServiceAccountToken off?"));
  }
  if (const auto ns = read_small_file(concat(account_dir, "/namespace")); ns.ok()) {
    config.default_namespace = from_absl(absl::StripAsciiWhitespace(*ns));
  }
  return config;
}

absl::StatusOr<Config> load_config(const std::string& kubeconfig, const std::string& context) {
  if (!kubeconfig.empty()) {
    return kubeconfig_config(kubeconfig, context);
  }
  if (const std::string path = environment("KUBECONFIG"); !path.empty()) {
    if (path.find(':') != std::string::npos) {
      return absl::UnimplementedError(
          "KUBECONFIG names several files; merge them (kubectl config view --flatten) into one");
    }
    return kubeconfig_config(path, context);
  }
  absl::StatusOr<Config> pod = in_cluster_config();
  if (pod.ok() || !environment("KUBERNETES_SERVICE_HOST").empty()) {
    return pod;
  }
  const std::string home = environment("HOME");
  return home.empty() ? pod : kubeconfig_config(concat(home, "/.kube/config"), context);
}

}  // namespace holdfast::kube
