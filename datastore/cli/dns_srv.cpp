#include "datastore/cli/dns_srv.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>

#include <algorithm>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"

namespace holdfast::cli {

namespace {

/// The largest message that DNS has.
constexpr std::size_t kMaxMessageBytes = 65535;
/// Priority, weight and port come before the target.
constexpr std::size_t kFixedSrvBytes = 6;

absl::Status set_server(const DnsOptions& options, res_state state) {
  sockaddr_in server{};
  server.sin_family = AF_INET;
  server.sin_port = htons(options.server_port);
  if (inet_pton(AF_INET, options.server_address.c_str(), &server.sin_addr) != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("the DNS server's address ", options.server_address, " is not IPv4"));
  }
  state->nscount = 1;
  state->nsaddr_list[0] = server;
  return absl::OkStatus();
}

absl::Status query_error(const std::string& name, int error) {
  const std::string text = absl::StrCat("lookup ", name, ": ", hstrerror(error));
  return error == HOST_NOT_FOUND || error == NO_DATA ? absl::NotFoundError(text)
                                                     : absl::UnavailableError(text);
}

absl::StatusOr<std::vector<SrvRecord>> read_answer(const std::string& name,
                                                   const std::vector<unsigned char>& message) {
  const absl::Status bad = absl::DataLossError(absl::StrCat("lookup ", name, ": bad answer"));
  ns_msg parsed;
  if (ns_initparse(message.data(), static_cast<int>(message.size()), &parsed) != 0) return bad;
  std::vector<SrvRecord> records;
  for (int i = 0; i < ns_msg_count(parsed, ns_s_an); ++i) {
    ns_rr record;
    if (ns_parserr(&parsed, ns_s_an, i, &record) != 0) return bad;
    if (ns_rr_type(record) != ns_t_srv) continue;
    const unsigned char* const data = ns_rr_rdata(record);
    char target[NS_MAXDNAME];
    if (ns_rr_rdlen(record) <= kFixedSrvBytes ||
        ns_name_uncompress(ns_msg_base(parsed), ns_msg_end(parsed), data + kFixedSrvBytes, target,
                           sizeof target) < 0) {
      return bad;
    }
    records.push_back({static_cast<std::uint16_t>(ns_get16(data)),
                       static_cast<std::uint16_t>(ns_get16(data + 2)),
                       static_cast<std::uint16_t>(ns_get16(data + 4)), target});
  }
  if (records.empty()) return query_error(name, NO_DATA);
  std::sort(records.begin(), records.end());
  return records;
}

}  // namespace

absl::StatusOr<std::vector<SrvRecord>> lookup_srv(const std::string& name,
                                                  const DnsOptions& options) {
  struct __res_state state{};
  if (res_ninit(&state) != 0) {
    return absl::UnavailableError("the system's DNS settings can't be read; see /etc/resolv.conf");
  }
  const absl::Cleanup close = [&] { res_nclose(&state); };
  state.retrans = static_cast<int>(options.timeout.count());
  state.retry = DnsOptions::kTries;
  if (!options.server_address.empty()) {
    if (absl::Status status = set_server(options, &state); !status.ok()) return status;
  }
  std::vector<unsigned char> message(kMaxMessageBytes);
  const int size = res_nquery(&state, name.c_str(), ns_c_in, ns_t_srv, message.data(),
                              static_cast<int>(message.size()));
  if (size < 0) return query_error(name, state.res_h_errno);
  message.resize(std::min(message.size(), static_cast<std::size_t>(size)));
  return read_answer(name, message);
}

}  // namespace holdfast::cli
