#include "datastore/rpc/downgrade.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "datastore/base/errors.h"
#include "datastore/codec/internal_request.h"
#include "datastore/rpc/proto_header.h"
#include "datastore/rpc/service.h"

namespace holdfast::rpc {
namespace {

using etcdserverpb::DowngradeRequest;

struct MinorVersion {
  int major = 0;
  int minor = 0;
  friend bool operator==(const MinorVersion&, const MinorVersion&) = default;
};

/// "3.6" or "3.6.1", of which the patch does not count, nor "-rc.1" or "+build" after it.
std::optional<MinorVersion> parse_version(absl::string_view text) {
  const bool has_suffix = text.find_first_of("+-") != absl::string_view::npos;
  const std::vector<absl::string_view> parts =
      absl::StrSplit(text.substr(0, text.find_first_of("+-")), '.');
  if (parts.size() != 3 && (parts.size() != 2 || has_suffix)) return std::nullopt;
  std::vector<int> numbers;
  for (absl::string_view part : parts) {
    for (char c : part) {
      if (!absl::ascii_isdigit(c)) return std::nullopt;
    }
    if (!absl::SimpleAtoi(part, &numbers.emplace_back())) return std::nullopt;
  }
  return MinorVersion{numbers[0], numbers[1]};
}

/// The version to go down to, once it is clear that the cluster may.
absl::StatusOr<MinorVersion> check_target(const node::ClusterInfo& cluster,
                                          const std::string& target_text) {
  const auto target = parse_version(target_text);
  if (!target.has_value()) return errors::wrong_downgrade_version_format();
  const auto current = parse_version(cluster.cluster_version);
  if (!current.has_value()) return errors::cluster_version_unavailable();
  if (*target != MinorVersion{current->major, current->minor - 1}) {
    return errors::invalid_downgrade_target_version();
  }
  if (cluster.downgrade_enabled) return errors::downgrade_in_process();
  return *target;
}

void answer(LoopState& state, const net::CallRef& call) {
  etcdserverpb::DowngradeResponse response;
  fill(state.header_now(), response.mutable_header());
  const auto version = parse_version(state.node().cluster()->cluster_version);
  if (version.has_value()) {
    response.set_version(absl::StrCat(version->major, ".", version->minor));
  }
  send_and_finish(call, response);
}

void propose(LoopState& state, net::CallRef call,
             const statemachine::DowngradeInfoSetRequest& request) {
  state.propose(std::move(call), codec::CommandField::kDowngradeInfoSet,
                codec::encode_downgrade_info_set(request),
                [&state](net::CallRef applied, const node::Applied&) { answer(state, applied); });
}

/// With everything in view that was committed when the client asked.
void decide(LoopState& state, net::CallRef call, const DowngradeRequest& request) {
  const auto cluster = state.node().cluster();
  if (request.action() == DowngradeRequest::CANCEL) {
    // To cancel what is not under way succeeds, as in etcd.
    if (!cluster->downgrade_enabled) return answer(state, call);
    return propose(state, std::move(call), {.enabled = false, .version = {}});
  }
  const auto target = check_target(*cluster, request.version());
  if (!target.ok()) return call->finish(target.status());
  if (request.action() == DowngradeRequest::VALIDATE) return answer(state, call);
  const std::string version = absl::StrCat(target->major, ".", target->minor, ".0");
  propose(state, std::move(call), {.enabled = true, .version = version});
}

}  // namespace

void downgrade(LoopState& state, net::CallRef call, const DowngradeRequest& request) {
  if (!DowngradeRequest::DowngradeAction_IsValid(request.action())) {
    return call->finish(absl::UnknownError("etcdserver: unknown method"));
  }
  if (request.action() != DowngradeRequest::CANCEL && !parse_version(request.version())) {
    return call->finish(errors::wrong_downgrade_version_format());
  }
  state.when_linearizable([&state, call = std::move(call), request](absl::Status status) mutable {
    if (!status.ok()) return call->finish(status);
    decide(state, std::move(call), request);
  });
}

}  // namespace holdfast::rpc
