#include "datastore/offline/member_status.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "datastore/node/identity.h"
#include "datastore/statemachine/meta_keys.h"

namespace holdfast::offline {
namespace {

using nlohmann::ordered_json;

Cell line(std::string title, std::string key, ordered_json value, std::string text = {}) {
  std::string label = title;
  Cell made = cell(std::move(title), std::move(label), std::move(key), std::move(value));
  if (!text.empty()) made.text = std::move(text);
  return made;
}

std::string describe(const statemachine::Member& member) {
  return absl::StrCat(node::to_hex(member.id.value), " ",
                      member.is_started() ? member.name : "(never started)", " ",
                      absl::StrJoin(member.peer_urls, ","), member.is_learner ? " learner" : "");
}

Cell members_line(const statemachine::ClusterState& cluster) {
  ordered_json list = ordered_json::array();
  std::vector<std::string> texts;
  for (const auto& [id, member] : cluster.members) {
    list.push_back({{"id", node::to_hex(id.value)},
                    {"name", member.name},
                    {"peerURLs", member.peer_urls},
                    {"clientURLs", member.client_urls},
                    {"isLearner", member.is_learner}});
    texts.push_back(describe(member));
  }
  return line("members", "members", std::move(list),
              texts.empty() ? "none" : absl::StrJoin(texts, "; "));
}

Cell alarms_line(const statemachine::ClusterState& cluster) {
  ordered_json list = ordered_json::array();
  std::vector<std::string> texts;
  for (const auto& [type, member] : cluster.alarms) {
    const char* const name = type == statemachine::AlarmType::kNoSpace ? "NOSPACE" : "CORRUPT";
    list.push_back({{"type", name}, {"member", node::to_hex(member.value)}});
    texts.push_back(absl::StrCat(name, " of ", node::to_hex(member.value)));
  }
  return line("alarms", "alarms", std::move(list),
              texts.empty() ? "none" : absl::StrJoin(texts, "; "));
}

std::string stored_version(const StoppedMember& member) {
  const auto read = member.backend->begin_read();
  if (!read.ok()) return {};
  const absl::StatusOr<BytesView> version =
      (*read)->get(ports::Bucket::kMeta, statemachine::kStorageVersionKey);
  return version.ok() ? std::string(*version) : std::string();
}

}  // namespace

std::vector<Cell> status_cells(const StoppedMember& member) {
  const wal::Recovered& log = member.log.recovered;
  const statemachine::StateMachine& machine = *member.machine;
  const mvcc::Store& store = member.machine->store();
  const statemachine::ClusterState& cluster = *machine.cluster();
  const std::string version = stored_version(member);
  const ports::BackendSizes sizes = member.backend->sizes();
  std::uint64_t log_bytes = 0;
  for (const auto* segments : {&member.log.segments, &member.log.prepared}) {
    for (const wal::SegmentOnDisk& segment : *segments) log_bytes += segment.size_bytes;
  }
  std::vector<Cell> cells = {
      line("member id", "memberID", node::to_hex(log.identity.member.value)),
      line("cluster id", "clusterID", node::to_hex(log.identity.cluster.value)),
      members_line(cluster),
      line("cluster version", "clusterVersion", cluster.version.value_or(""),
           cluster.version.value_or("not decided yet")),
      line("storage version", "storageVersion", version, version.empty() ? "none" : version),
      alarms_line(cluster),
      line("auth", "authEnabled", machine.auth()->enabled(),
           machine.auth()->enabled() ? "enabled" : "disabled"),
      line("raft term", "raftTerm", log.hard_state.term.value),
      line("last log entry", "lastIndex", log.last_index.value),
      line("committed", "commitIndex", log.hard_state.commit.value),
      line("in the store", "storedIndex", member.stored_index.value),
      line("revision", "revision", store.revision().value),
      line("compact revision", "compactRevision", store.compact_revision().value),
      line("keys", "keys", store.indexed_keys(),
           absl::StrCat(store.indexed_keys(), ", deleted ones that are not compacted among them")),
      line("leases", "leases", member.machine->lessor().size()),
      line("db size", "dbSize", sizes.allocated_bytes, human_bytes(sizes.allocated_bytes)),
      line("db size in use", "dbSizeInUse", sizes.used_bytes, human_bytes(sizes.used_bytes)),
      line("log", "logBytes", log_bytes,
           absl::StrCat(member.log.segments.size(), " segments in use, ", human_bytes(log_bytes))),
  };
  if (log.torn_tail.cut_bytes > 0) {
    cells.push_back(
        line("torn tail", "tornTailBytes", log.torn_tail.cut_bytes,
             absl::StrCat(log.torn_tail.cut_bytes, " bytes at ", log.torn_tail.offset, " of ",
                          log.torn_tail.file, "; nothing of it was ever acknowledged")));
  }
  if (member.install_is_unfinished) {
    cells.push_back(line("unfinished", "installIsUnfinished", true,
                         "a state of the leader is taken over at the next start; what is said of "
                         "the store is from before"));
  }
  return cells;
}

}  // namespace holdfast::offline
