// kubeconfig: lists of clusters, users and contexts, each {name, <kind>: {…}}; a context names a
// cluster and a user. Certificates stand in it as base64 (…-data, which goes first) or as paths.
#include <filesystem>

#include "absl/strings/escaping.h"
#include "operator/kube/config.h"
#include "operator/kube/text.h"
#include "yaml-cpp/yaml.h"

namespace holdfast::kube {
namespace {

/// A field's text; empty if it is missing or not a scalar.
std::string text(const YAML::Node& node, const char* field) {
  if (!node.IsMap()) {
    return "";
  }
  const YAML::Node value = node[field];
  return value.IsDefined() && value.IsScalar() ? value.Scalar() : "";
}

absl::StatusOr<YAML::Node> entry(const YAML::Node& document, const char* list, const char* kind,
                                 const std::string& name) {
  const YAML::Node entries = document[list];
  if (entries.IsDefined() && entries.IsSequence()) {
    for (const YAML::Node& candidate : entries) {
      if (text(candidate, "name") == name && candidate[kind].IsMap()) {
        return candidate[kind];
      }
    }
  }
  return absl::InvalidArgumentError(concat("it has no ", kind, " named '", name, "'"));
}

std::string beside(const std::filesystem::path& folder, const std::string& path) {
  return path.empty() ? "" : (folder / path).lexically_normal().string();
}

/// Reads <field>-data or <field>.
absl::StatusOr<Pem> pem(const YAML::Node& node, const std::string& field,
                        const std::filesystem::path& folder) {
  const std::string encoded = text(node, (field + "-data").c_str());
  if (encoded.empty()) {
    return Pem{.file = beside(folder, text(node, field.c_str()))};
  }
  Pem result;
  if (!absl::Base64Unescape(encoded, &result.data)) {
    return absl::InvalidArgumentError(concat(field, "-data is not base64"));
  }
  return result;
}

absl::StatusOr<ExecPlugin> exec_plugin(const YAML::Node& node,
                                       const std::filesystem::path& folder) {
  ExecPlugin plugin;
  plugin.api_version = text(node, "apiVersion");
  plugin.command = text(node, "command");
  plugin.install_hint = text(node, "installHint");
  if (plugin.command.empty()) {
    return absl::InvalidArgumentError("exec names no command");
  }
  if (plugin.api_version != "client.authentication.k8s.io/v1" &&
      plugin.api_version != "client.authentication.k8s.io/v1beta1") {
    return absl::UnimplementedError(
        concat("exec with apiVersion '", plugin.api_version, "': v1 and v1beta1 are known"));
  }
  if (text(node, "interactiveMode") == "Always") {
    return absl::UnimplementedError("exec with interactiveMode Always: there is no one to ask");
  }
  if (plugin.command.find('/') != std::string::npos) {
    plugin.command = beside(folder, plugin.command);
  }
  for (const YAML::Node& argument : node["args"]) {
    plugin.args.push_back(argument.as<std::string>());
  }
  for (const YAML::Node& variable : node["env"]) {
    plugin.env.emplace_back(text(variable, "name"), text(variable, "value"));
  }
  return plugin;
}

absl::Status read_cluster(Config& config, const YAML::Node& node,
                          const std::filesystem::path& folder) {
  if (!text(node, "proxy-url").empty()) {
    return absl::UnimplementedError(
        "the cluster has a proxy-url: reaching the API server through a proxy is not supported; "
        "remove it and give an address that can be reached directly");
  }
  if (absl::Status bad = set_server(config, text(node, "server")); !bad.ok()) {
    return bad;
  }
  config.tls_server_name = text(node, "tls-server-name");
  config.insecure_skip_verify = text(node, "insecure-skip-tls-verify") == "true";
  absl::StatusOr<Pem> ca = pem(node, "certificate-authority", folder);
  if (!ca.ok()) {
    return ca.status();
  }
  config.ca = *std::move(ca);
  return absl::OkStatus();
}

absl::Status read_user(Config& config, const YAML::Node& node,
                       const std::filesystem::path& folder) {
  if (!text(node, "username").empty() || node["auth-provider"].IsDefined()) {
    return absl::UnimplementedError(
        "the user has a password or an auth-provider, which API servers no longer take; use a "
        "token, a certificate or exec");
  }
  absl::StatusOr<Pem> certificate = pem(node, "client-certificate", folder);
  absl::StatusOr<Pem> key = pem(node, "client-key", folder);
  if (!certificate.ok() || !key.ok()) {
    return certificate.ok() ? key.status() : certificate.status();
  }
  config.client_certificate = *std::move(certificate);
  config.client_key = *std::move(key);
  if (config.client_certificate.empty() != config.client_key.empty()) {
    return absl::InvalidArgumentError("the user has only one of client-certificate and client-key");
  }
  config.token = text(node, "token");
  config.token_file = beside(folder, text(node, "tokenFile"));
  if (node["exec"].IsDefined() && node["exec"].IsMap()) {
    absl::StatusOr<ExecPlugin> plugin = exec_plugin(node["exec"], folder);
    if (!plugin.ok()) {
      return plugin.status();
    }
    config.exec = *std::move(plugin);
  }
  return absl::OkStatus();
}

absl::StatusOr<Config> parse(const std::string& content, const std::filesystem::path& folder,
                             std::string context_name) {
  const YAML::Node document = YAML::Load(content);
  if (!document.IsMap()) {
    return absl::InvalidArgumentError("it is not a map");
  }
  if (context_name.empty()) {
    context_name = text(document, "current-context");
  }
  const absl::StatusOr<YAML::Node> context = entry(document, "contexts", "context", context_name);
  if (!context.ok()) {
    return context.status();
  }
  const absl::StatusOr<YAML::Node> cluster =
      entry(document, "clusters", "cluster", text(*context, "cluster"));
  if (!cluster.ok()) {
    return cluster.status();
  }
  Config config;
  if (absl::Status bad = read_cluster(config, *cluster, folder); !bad.ok()) {
    return bad;
  }
  if (const std::string user_name = text(*context, "user"); !user_name.empty()) {
    const absl::StatusOr<YAML::Node> user = entry(document, "users", "user", user_name);
    if (!user.ok()) {
      return user.status();
    }
    if (absl::Status bad = read_user(config, *user, folder); !bad.ok()) {
      return bad;
    }
  }
  if (const std::string ns = text(*context, "namespace"); !ns.empty()) {
    config.default_namespace = ns;
  }
  return config;
}

}  // namespace

absl::StatusOr<Config> kubeconfig_config(const std::string& path, const std::string& context) {
  const absl::StatusOr<std::string> content = read_small_file(path);
  if (!content.ok()) {
    return content.status();
  }
  absl::StatusOr<Config> config;
  try {
    config = parse(*content, std::filesystem::absolute(path).parent_path(), context);
  } catch (const std::exception& error) {  // YAML::Exception, filesystem_error
    config = absl::InvalidArgumentError(error.what());
  }
  if (!config.ok()) {
    return absl::Status(config.status().code(),
                        concat("kubeconfig ", path, ": ", config.status().message()));
  }
  return config;
}

}  // namespace holdfast::kube
