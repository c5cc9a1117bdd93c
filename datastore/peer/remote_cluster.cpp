#include "datastore/peer/remote_cluster.h"

#include <httplib.h>
#include <netdb.h>
#include <openssl/ssl.h>

#include <charconv>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace holdfast::peer {

namespace {

using nlohmann::json;

/// What httplib needs of a peer URL.
struct Target {
  bool tls = false;
  bool unix_socket = false;
  std::string host;  // or the socket's path
  int port = 0;
};

absl::StatusOr<Target> parse_target(absl::string_view url) {
  Target target;
  absl::string_view rest = url;
  if (absl::ConsumePrefix(&rest, "https://")) {
    target.tls = true;
  } else if (absl::ConsumePrefix(&rest, "unix://")) {
    target.unix_socket = true;
  } else if (!absl::ConsumePrefix(&rest, "http://")) {
    return absl::InvalidArgumentError(
        absl::StrCat("peer URL ", url, " is none of http, https and unix"));
  }
  if (target.unix_socket) {
    target.host = std::string(rest);
    return target;
  }
  const std::size_t colon = rest.rfind(':');
  if (colon == absl::string_view::npos || !absl::SimpleAtoi(rest.substr(colon + 1), &target.port) ||
      target.port <= 0 || target.port > 65535) {
    return absl::InvalidArgumentError(absl::StrCat("peer URL ", url, " has no port"));
  }
  absl::string_view host = rest.substr(0, colon);
  if (absl::ConsumePrefix(&host, "[")) absl::ConsumeSuffix(&host, "]");
  target.host = std::string(host);
  return target;
}

/// The address to dial when the certificate is held to another name than the host's.
std::string numeric_address(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host.c_str(), nullptr, &hints, &found);
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> list(found, freeaddrinfo);
  char text[NI_MAXHOST];
  if (error != 0 || getnameinfo(list->ai_addr, list->ai_addrlen, text, sizeof text, nullptr, 0,
                                NI_NUMERICHOST) != 0) {
    return host;  // fails where it is dialled, with the error of that
  }
  return text;
}

std::unique_ptr<httplib::ClientImpl> make_client(const Target& target,
                                                 const RemoteCluster::Options& options) {
  if (!target.tls) {
    auto client = std::make_unique<httplib::ClientImpl>(target.host, target.port);
    if (target.unix_socket) client->set_address_family(AF_UNIX);
    return client;
  }
  const std::string& name = options.server_name.empty() ? target.host : options.server_name;
  auto client =
      std::make_unique<httplib::SSLClient>(name, target.port, options.cert_file, options.key_file);
  if (client->ssl_context() != nullptr) {
    SSL_CTX_set_min_proto_version(client->ssl_context(), TLS1_2_VERSION);
  }
  if (name != target.host) client->set_hostname_addr_map({{name, numeric_address(target.host)}});
  if (!options.trusted_ca_file.empty()) client->set_ca_cert_path(options.trusted_ca_file);
  client->enable_server_certificate_verification(options.verify_servers);
  return client;
}

absl::StatusOr<std::vector<codec::Member>> read_members(const std::string& body) {
  const json parsed = json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_array()) return absl::InvalidArgumentError("the answer is no list of members");
  std::vector<codec::Member> members;
  for (const json& element : parsed) {
    absl::StatusOr<codec::Member> member = codec::decode_member_json(element.dump());
    if (!member.ok()) return member.status();
    members.push_back(*std::move(member));
  }
  return members;
}

absl::StatusOr<ClusterId> read_cluster_id(const std::string& text) {
  ClusterId id;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, id.value, 16);
  if (error != std::errc() || stop != end) {
    return absl::InvalidArgumentError(
        absl::StrCat("the answer's X-Etcd-Cluster-ID is \"", text, "\", no cluster's id"));
  }
  return id;
}

}  // namespace

RemoteCluster::RemoteCluster(Options options) : options_(std::move(options)) {
}

absl::StatusOr<RemoteCluster::Answer> RemoteCluster::get(const std::string& url,
                                                         const char* path) const {
  const absl::StatusOr<Target> target = parse_target(url);
  if (!target.ok()) return target.status();
  const std::unique_ptr<httplib::ClientImpl> client = make_client(*target, options_);
  client->set_connection_timeout(options_.timeout);
  client->set_read_timeout(options_.timeout);
  client->set_write_timeout(options_.timeout);
  const auto deadline = std::chrono::steady_clock::now() + options_.timeout;
  Answer answer;
  const httplib::Result result = client->Get(path, [&](const char* data, std::size_t size) {
    answer.body.append(data, size);
    return answer.body.size() <= kMaxAnswerBytes && std::chrono::steady_clock::now() < deadline;
  });
  if (!result) {
    return absl::UnavailableError(
        absl::StrCat("GET ", url, path, ": ", httplib::to_string(result.error())));
  }
  answer.cluster_id = result->get_header_value("X-Etcd-Cluster-ID");
  return answer;
}

absl::Status RemoteCluster::first_readable(
    const std::vector<std::string>& peer_urls, const char* path,
    absl::FunctionRef<absl::Status(const Answer& answer)> read) const {
  absl::Status last = absl::UnavailableError("it has no peer URL");
  for (const std::string& url : peer_urls) {
    const absl::StatusOr<Answer> answer = get(url, path);
    last = answer.ok() ? read(*answer) : answer.status();
    if (last.ok()) return last;
    if (options_.on_failure) options_.on_failure(absl::StrCat(url, path), last);
  }
  return last;
}

absl::StatusOr<RemoteMembers> RemoteCluster::members(
    const std::vector<std::string>& peer_urls) const {
  RemoteMembers remote;
  const absl::Status status =
      first_readable(peer_urls, "/members", [&](const Answer& answer) -> absl::Status {
        absl::StatusOr<std::vector<codec::Member>> members = read_members(answer.body);
        if (!members.ok()) return members.status();
        const absl::StatusOr<ClusterId> cluster = read_cluster_id(answer.cluster_id);
        if (!cluster.ok()) return cluster.status();
        remote = {*cluster, *std::move(members)};
        return absl::OkStatus();
      });
  if (!status.ok()) {
    return absl::UnavailableError(
        "could not retrieve cluster information from the given URLs; is one of these members "
        "running and reachable?");
  }
  if (remote.members.empty()) {
    return absl::InvalidArgumentError("failed to get raft cluster member(s) from the given URLs");
  }
  return remote;
}

absl::StatusOr<node::PeerVersion> RemoteCluster::version(
    const std::vector<std::string>& peer_urls) const {
  node::PeerVersion version;
  absl::Status status =
      first_readable(peer_urls, "/version", [&](const Answer& answer) -> absl::Status {
        const json parsed = json::parse(answer.body, nullptr, /*allow_exceptions=*/false);
        if (!parsed.is_object()) return absl::InvalidArgumentError("the answer is no version");
        const auto text = [&](const char* name) {
          const auto found = parsed.find(name);
          return found != parsed.end() && found->is_string() ? found->get<std::string>() : "";
        };
        version = {text("etcdserver"), text("etcdcluster"), text("storage")};
        return absl::OkStatus();
      });
  if (!status.ok()) return status;
  return version;
}

absl::StatusOr<bool> RemoteCluster::downgrade_enabled(
    const std::vector<std::string>& peer_urls) const {
  bool enabled = false;
  absl::Status status =
      first_readable(peer_urls, "/downgrade/enabled", [&](const Answer& answer) -> absl::Status {
        if (answer.body != "true" && answer.body != "false") {
          return absl::InvalidArgumentError("the answer is neither true nor false");
        }
        enabled = answer.body == "true";
        return absl::OkStatus();
      });
  if (!status.ok()) return status;
  return enabled;
}

}  // namespace holdfast::peer
