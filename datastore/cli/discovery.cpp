#include "datastore/cli/discovery.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "datastore/node/identity.h"

namespace holdfast::cli {

namespace {

constexpr int kMaxBackoffDoublings = 8;

bool is_final(const absl::Status& status) {
  return absl::IsUnauthenticated(status) || absl::IsPermissionDenied(status) ||
         absl::IsInvalidArgument(status);
}

class Discovery {
 public:
  Discovery(const DiscoveryRequest& request, Registry& registry, const DiscoveryWaits& waits,
            telemetry::Logger& log)
      : prefix_(absl::StrCat("/_etcd/registry/", request.token)),
        self_key_(absl::StrCat(prefix_, "/members/", node::to_hex(request.self.value))),
        member_text_(config::initial_cluster_text({request.member})),
        registry_(registry),
        waits_(waits),
        log_(log) {}

  absl::StatusOr<std::vector<config::ClusterMember>> join() {
    absl::StatusOr<Standing> standing = look();
    if (standing.ok()) {
      absl::Status status =
          retry("register member itself", [&] { return registry_.put(self_key_, member_text_); });
      if (!status.ok()) return status;
      log_.info("register member itself successfully",
                {{"memberKey", self_key_}, {"memberInfo", member_text_}});
      standing = look();
    }
    while (standing.ok() && standing->members.size() < standing->size) {
      if (!waits_.wait(waits_.poll)) return cancelled();
      standing = look();
    }
    if (!standing.ok()) return standing.status();
    log_.info("found all needed peers from discovery service",
              {{"clusterSize", standing->size}, {"found-peers", standing->members.size()}});
    standing->members.resize(standing->size);
    return read_members(standing->members);
  }

 private:
  struct Standing {
    std::size_t size = 0;
    std::vector<Registry::Entry> members;  // in the order in which they came
  };

  static absl::Status cancelled() {
    return absl::CancelledError("stopped while waiting for the discovery service");
  }

  /// Again and again, until `work` succeeds or its error would stay.
  template <class Work>
  absl::Status retry(const char* step, Work work) {
    for (int attempt = 1;; ++attempt) {
      const absl::Status status = work();
      if (status.ok() || is_final(status)) return status;
      const std::chrono::seconds backoff(1 << std::min(attempt, kMaxBackoffDoublings));
      log_.warn("retry connecting to discovery service",
                {{"reason", step}, {"backoff", backoff}, telemetry::Field(status)});
      if (!waits_.wait(backoff)) return cancelled();
    }
  }

  /// Who is there. Errors: also FailedPrecondition if others have taken every place.
  absl::StatusOr<Standing> look() {
    absl::StatusOr<std::vector<Registry::Entry>> size;
    absl::StatusOr<std::vector<Registry::Entry>> members;
    const absl::Status status = retry("cluster status check", [&] {
      size = registry_.read(absl::StrCat(prefix_, "/_config/size"));
      if (!size.ok()) return size.status();
      members = registry_.read_prefix(absl::StrCat(prefix_, "/members"));
      return members.status();
    });
    if (!status.ok()) return status;
    Standing standing;
    if (size->empty()) {
      return absl::NotFoundError(
          absl::StrCat("discovery: size key not found; put the number of "
                       "members at ",
                       prefix_, "/_config/size"));
    }
    if (!absl::SimpleAtoi(size->front().value, &standing.size) || standing.size == 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          "discovery: size key is bad; ", prefix_, "/_config/size must be the number of members"));
    }
    standing.members = readable(*std::move(members));
    const auto self = std::ranges::find(standing.members, self_key_, &Registry::Entry::key);
    if (static_cast<std::size_t>(self - standing.members.begin()) >= standing.size) {
      return absl::FailedPreconditionError(
          "discovery: cluster is full; use a new token for a new cluster, or add this member to "
          "the running one and start it with --initial-cluster-state=existing");
    }
    return standing;
  }

  std::vector<Registry::Entry> readable(std::vector<Registry::Entry> entries) {
    std::vector<Registry::Entry> out;
    for (Registry::Entry& entry : entries) {
      entry.value = std::string(absl::StripAsciiWhitespace(entry.value));
      if (entry.value.find('=') == std::string::npos) {
        log_.warn("invalid peer info returned from discovery service",
                  {{"memberKey", entry.key}, {"memberInfo", entry.value}});
        continue;
      }
      out.push_back(std::move(entry));
    }
    std::ranges::stable_sort(out, {}, &Registry::Entry::create_revision);
    return out;
  }

  static absl::StatusOr<std::vector<config::ClusterMember>> read_members(
      const std::vector<Registry::Entry>& entries) {
    std::vector<config::ClusterMember> members;
    for (const Registry::Entry& entry : entries) {
      absl::StatusOr<std::vector<config::ClusterMember>> parsed =
          config::parse_initial_cluster(entry.value);
      if (!parsed.ok()) {
        return absl::InvalidArgumentError(
            absl::StrCat("discovery: invalid peer URL: ", entry.key, " has ", entry.value));
      }
      for (config::ClusterMember& member : *parsed) {
        if (std::ranges::count(members, member.name, &config::ClusterMember::name) > 0) {
          return absl::InvalidArgumentError(absl::StrCat(
              "discovery: two members are called ", member.name, "; give each its own --name"));
        }
        members.push_back(std::move(member));
      }
    }
    std::ranges::sort(members, {}, &config::ClusterMember::name);
    return members;
  }

  const std::string prefix_;
  const std::string self_key_;
  const std::string member_text_;
  Registry& registry_;
  const DiscoveryWaits& waits_;
  telemetry::Logger& log_;
};

}  // namespace

absl::StatusOr<std::vector<config::ClusterMember>> discover_cluster(const DiscoveryRequest& request,
                                                                    Registry& registry,
                                                                    const DiscoveryWaits& waits,
                                                                    telemetry::Logger& log) {
  return Discovery(request, registry, waits, log).join();
}

}  // namespace holdfast::cli
