#include "operator/api/names.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "operator/api/text.h"

namespace holdfast::api {

namespace {

constexpr std::string_view kIssuedSuffix = "-issued";

}  // namespace

std::string member_name(std::string_view cluster, std::int32_t ordinal) {
  return str_cat(cluster, "-", ordinal);
}

std::optional<std::int32_t> ordinal_of(std::string_view cluster, std::string_view member) {
  if (!consume_prefix(member, cluster) || !consume_prefix(member, "-")) {
    return std::nullopt;
  }
  const bool digits =
      !member.empty() && std::all_of(member.begin(), member.end(),
                                     [](unsigned char c) { return absl::ascii_isdigit(c); });
  std::int32_t ordinal = 0;
  if (!digits || (member.size() > 1 && member[0] == '0') ||
      !absl::SimpleAtoi(to_absl(member), &ordinal)) {
    return std::nullopt;
  }
  return ordinal;
}

std::string claim_name(std::string_view cluster, std::int32_t ordinal) {
  return str_cat("data-", cluster, "-", ordinal);
}

std::string client_service(std::string_view cluster) {
  return std::string(cluster);
}
std::string peer_service(std::string_view cluster) {
  return str_cat(cluster, "-peers");
}
std::string disruption_budget(std::string_view cluster) {
  return std::string(cluster);
}
std::string network_policy(std::string_view cluster) {
  return std::string(cluster);
}

std::string service_account(std::string_view cluster) {
  return std::string(cluster);
}

std::string ca_secret(std::string_view cluster, Side side) {
  return str_cat(cluster, side == Side::kClient ? "-ca-client" : "-ca-peer");
}

std::string application_secret(std::string_view cluster) {
  return str_cat(cluster, "-client");
}

std::string operator_secret(std::string_view cluster) {
  return str_cat(cluster, "-operator");
}

std::string root_secret(std::string_view cluster) {
  return str_cat(cluster, "-root");
}

std::string auth_secret(std::string_view cluster) {
  return str_cat(cluster, "-auth");
}

std::string encryption_secret(std::string_view cluster) {
  return str_cat(cluster, "-encryption");
}

std::string keys_secret(std::string_view cluster) {
  return str_cat(cluster, "-keys");
}

std::string member_secret(std::string_view member, Side side) {
  return str_cat(member, side == Side::kClient ? "-server-tls" : "-peer-tls");
}

std::string issued_name(std::string_view leaf) {
  return str_cat(leaf, kIssuedSuffix);
}

std::optional<std::string> issued_for(std::string_view issued) {
  if (!issued.ends_with(kIssuedSuffix)) return std::nullopt;
  return std::string(issued.substr(0, issued.size() - kIssuedSuffix.size()));
}

std::string trust_config_map(std::string_view cluster) {
  return str_cat(cluster, "-trust");
}

std::string member_host(std::string_view cluster, std::string_view ns, std::string_view member) {
  return str_cat(member, ".", peer_service(cluster), ".", ns, ".svc");
}

std::string client_host(std::string_view cluster, std::string_view ns) {
  return str_cat(client_service(cluster), ".", ns, ".svc");
}

std::vector<std::string> member_dns_names(std::string_view cluster, std::string_view ns,
                                          std::string_view member,
                                          std::string_view cluster_domain) {
  const std::string own = str_cat(member, ".", peer_service(cluster));
  std::vector<std::string> names = {"localhost",
                                    std::string(member),
                                    own,
                                    str_cat(own, ".", ns),
                                    member_host(cluster, ns, member),
                                    client_service(cluster),
                                    str_cat(client_service(cluster), ".", ns),
                                    client_host(cluster, ns)};
  if (!cluster_domain.empty()) {
    names.push_back(str_cat(member_host(cluster, ns, member), ".", cluster_domain));
    names.push_back(str_cat(client_host(cluster, ns), ".", cluster_domain));
  }
  return names;
}

std::string member_selector(std::string_view cluster) {
  return str_cat(label::kName, "=", label_value::kName, ",", label::kComponent, "=",
                 label_value::kMember, ",", label::kCluster, "=", cluster);
}

std::string format_id(std::uint64_t id) {
  return str_cat(absl::Hex(id));
}

std::optional<std::uint64_t> parse_id(std::string_view text) {
  constexpr std::size_t kMaxDigits = 16;
  const bool hexadecimal = !text.empty() && text.size() <= kMaxDigits &&
                           std::all_of(text.begin(), text.end(),
                                       [](unsigned char c) { return absl::ascii_isxdigit(c); });
  std::uint64_t id = 0;
  if (!hexadecimal || !absl::SimpleHexAtoi(to_absl(text), &id)) return std::nullopt;
  return id;
}

}  // namespace holdfast::api
