#include "operator/plugin/show.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_format.h"
#include "operator/api/text.h"

namespace holdfast::plugin {
namespace {

namespace condition = api::condition;

constexpr std::string_view kUnknown = "-";

std::string or_dash(std::string_view text) {
  return std::string(text.empty() ? kUnknown : text);
}

std::string status_of(const api::HoldfastCluster& cluster, std::string_view type) {
  const api::Condition* found = api::find_condition(cluster.status.conditions, type);
  return found == nullptr ? std::string(kUnknown) : std::string(api::name_of(found->status));
}

/// How many voters may still be lost: "spare 1", "spare 0", or "lost".
std::string quorum_of(const api::HoldfastCluster& cluster) {
  const auto& conditions = cluster.status.conditions;
  if (api::find_condition(conditions, condition::kQuorumHealthy) == nullptr) {
    return std::string(kUnknown);
  }
  if (!api::is_true(cluster.status.conditions, condition::kQuorumHealthy)) return "lost";
  int voters = 0;
  int ready = 0;
  for (const api::MemberStatus& member : cluster.status.members) {
    if (member.role == api::MemberRole::kLearner) continue;
    ++voters;
    ready += member.ready ? 1 : 0;
  }
  return absl::StrFormat("spare %d", std::max(ready - (voters / 2 + 1), 0));
}

std::string backup_of(const api::HoldfastCluster& cluster) {
  const api::Condition* found =
      api::find_condition(cluster.status.conditions, condition::kBackupHealthy);
  return found == nullptr ? "none" : found->reason;
}

std::string age_of(const api::ObjectMeta& metadata, absl::Time now) {
  return metadata.creation_timestamp ? short_age(now - *metadata.creation_timestamp)
                                     : std::string(kUnknown);
}

/// What is done to it now, in a word or two.
std::string doing(const api::HoldfastCluster& cluster) {
  if (cluster.metadata.deletion_timestamp) return "Deleting";
  const auto& operation = cluster.status.operation;
  if (!operation) return std::string(kUnknown);
  return api::str_cat(operation->type, " ", operation->member);
}

/// The step that it is at, if that is known: ", at CatchingUp for 5s: db-3 joins and catches up".
std::string step_of(const api::OperationInFlight& operation, absl::Time now) {
  if (operation.step.empty()) return "";
  std::string out = api::str_cat(", at ", operation.step);
  if (operation.step_started_at) {
    out += api::str_cat(" for ", short_age(now - *operation.step_started_at));
  }
  return operation.message.empty() ? out : api::str_cat(out, ": ", operation.message);
}

std::string days_until(const std::optional<absl::Time>& end, absl::Time now) {
  if (!end) return std::string(kUnknown);
  return absl::StrFormat("%d d", (*end - now) / absl::Hours(24));
}

/// Whether a condition says that something is not as it should be.
bool asks_for_attention(const api::Condition& found) {
  static constexpr std::array<std::string_view, 5> kGood = {
      condition::kReady, condition::kQuorumHealthy, condition::kTlsReady, condition::kBackupHealthy,
      condition::kStorageHealthy};
  const bool good = std::find(kGood.begin(), kGood.end(), found.type) != kGood.end();
  const auto expected = good ? api::ConditionStatus::kTrue : api::ConditionStatus::kFalse;
  return found.status != expected;
}

std::string clean(std::string text) {
  for (char& each : text) {
    if (static_cast<unsigned char>(each) < 0x20 || each == 0x7f) each = ' ';
  }
  return text;
}

void add_line(std::string& out, std::string_view name, const std::string& text) {
  out += absl::StrFormat("%-15s %s\n", absl::string_view(name.data(), name.size()), clean(text));
}

std::string show_members(const ClusterView& view, absl::Time now) {
  std::vector<std::vector<std::string>> rows = {
      {"MEMBER", "ROLE", "READY", "VERSION", "STORE", "CERTIFICATE", "ZONE", "NODE"}};
  for (const api::MemberStatus& member : view.cluster.status.members) {
    const auto store = view.store_bytes.find(member.name);
    rows.push_back(
        {member.name, std::string(api::name_of(member.role)), member.ready ? "yes" : "no",
         or_dash(member.version),
         store == view.store_bytes.end() ? std::string(kUnknown) : short_bytes(store->second),
         days_until(member.cert_not_after, now), or_dash(member.zone), or_dash(member.node)});
  }
  return table(rows);
}

}  // namespace

std::string table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += clean(row[i]);
      if (i + 1 < row.size()) line.append(widths[i] - row[i].size() + 2, ' ');
    }
    out += line + "\n";
  }
  return out;
}

std::string short_age(absl::Duration age) {
  const std::pair<absl::Duration, char> units[] = {
      {absl::Hours(24), 'd'}, {absl::Hours(1), 'h'}, {absl::Minutes(1), 'm'}};
  for (const auto& [unit, letter] : units) {
    // Two of a unit before it is used: 100m says more than 1h.
    if (age >= 2 * unit) return absl::StrFormat("%d%c", age / unit, letter);
  }
  return absl::StrFormat("%ds", std::max<std::int64_t>(absl::ToInt64Seconds(age), 0));
}

std::string short_bytes(std::int64_t bytes) {
  const std::pair<int, const char*> units[] = {{40, "TiB"}, {30, "GiB"}, {20, "MiB"}, {10, "KiB"}};
  for (const auto& [shift, name] : units) {
    if (bytes >= std::int64_t{1} << shift) {
      return absl::StrFormat("%.1f %s",
                             static_cast<double>(bytes) / static_cast<double>(1LL << shift), name);
    }
  }
  return absl::StrFormat("%d B", bytes);
}

std::string show_clusters(const std::vector<ClusterView>& views, bool with_namespace,
                          absl::Time now) {
  if (views.empty()) return "there is no HoldfastCluster here\n";
  std::vector<std::vector<std::string>> rows;
  rows.push_back(
      {"NAME", "READY", "MEMBERS", "QUORUM", "LEADER", "VERSION", "BACKUP", "DOING", "AGE"});
  if (with_namespace) rows.front().insert(rows.front().begin(), "NAMESPACE");
  for (const ClusterView& view : views) {
    const api::HoldfastCluster& cluster = view.cluster;
    std::vector<std::string> row = {cluster.metadata.name,
                                    status_of(cluster, condition::kReady),
                                    or_dash(cluster.status.members_ready),
                                    quorum_of(cluster),
                                    or_dash(cluster.status.leader),
                                    or_dash(cluster.status.current_version),
                                    backup_of(cluster),
                                    doing(cluster),
                                    age_of(cluster.metadata, now)};
    if (with_namespace) row.insert(row.begin(), cluster.metadata.ns);
    rows.push_back(std::move(row));
  }
  return table(rows);
}

std::string show_cluster(const ClusterView& view, absl::Time now) {
  const api::HoldfastCluster& cluster = view.cluster;
  std::string out = show_clusters({view}, true, now);
  out += "\n";
  if (!cluster.status.members.empty()) out += show_members(view, now) + "\n";
  if (const auto& operation = cluster.status.operation) {
    add_line(out, "Doing",
             api::str_cat(doing(cluster), " for ", short_age(now - operation->started_at),
                          step_of(*operation, now)));
  }
  if (const auto& restore = cluster.status.restore) {
    add_line(out, "Restore",
             api::str_cat(restore->name, ": ", api::name_of(restore->step),
                          restore->message.empty() ? "" : ": ", restore->message));
  }
  if (const auto& backup = cluster.status.last_backup) {
    add_line(
        out, "Backup",
        api::str_cat(backup->name, ", ", short_age(now - backup->time), " ago: ", backup->uri));
  }
  for (const api::Condition& found : cluster.status.conditions) {
    if (!asks_for_attention(found)) continue;
    add_line(out, found.type, api::str_cat(found.reason, ": ", found.message));
  }
  return out;
}

std::string clusters_as_json(const std::vector<ClusterView>& views) {
  kube::Json items = kube::Json::array();
  for (const ClusterView& view : views) {
    items.push_back({{"cluster", view.object}, {"storeBytes", view.store_bytes}});
  }
  return items.dump(2, ' ', false, kube::Json::error_handler_t::replace) + "\n";
}

}  // namespace holdfast::plugin
