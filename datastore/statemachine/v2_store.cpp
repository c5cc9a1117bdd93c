#include "datastore/statemachine/v2_store.h"

#include <map>
#include <string>
#include <utility>

#include "datastore/statemachine/json_text.h"

namespace holdfast::statemachine {
namespace {

/// A file with a value, or a directory with entries by name.
struct Node {
  Bytes value;
  std::map<std::string, Node> entries;
  bool is_directory = false;
};

Node directory() {
  return {.is_directory = true};
}
Node file(Bytes value) {
  return {.value = std::move(value)};
}

Bytes raft_attributes(const Member& member) {
  Bytes json = "{\"peerURLs\":";
  append_json(json, member.peer_urls);
  json += member.is_learner ? ",\"isLearner\":true}" : "}";
  return json;
}

Bytes attributes(const Member& member) {
  Bytes json = "{\"name\":";
  append_json(json, member.name);
  if (!member.client_urls.empty()) {
    json += ",\"clientURLs\":";
    append_json(json, member.client_urls);
  }
  json.push_back('}');
  return json;
}

Node tree_of(const ClusterState& cluster) {
  Node members = directory();
  for (const auto& [id, member] : cluster.members) {
    Node& entry = members.entries[member_key(id)] = directory();
    entry.entries["raftAttributes"] = file(raft_attributes(member));
    if (member.is_started()) entry.entries["attributes"] = file(attributes(member));
  }
  Node removed = directory();
  for (const MemberId id : cluster.removed) removed.entries[member_key(id)] = file("");
  Node namespace_of_cluster = directory();
  namespace_of_cluster.entries["members"] = std::move(members);
  namespace_of_cluster.entries["removed_members"] = std::move(removed);
  if (cluster.version) namespace_of_cluster.entries["version"] = file(*cluster.version);
  Node root = directory();
  root.entries["0"] = std::move(namespace_of_cluster);
  root.entries["1"] = directory();  // once the clients' keys
  return root;
}

void append_node(Bytes& out, const std::string& path, const Node& node) {
  out += "{\"Path\":";
  append_json(out, path.empty() ? "/" : path);
  // The indexes are for watchers of the v2 API alone; nothing here ever expires.
  out +=
      ",\"CreatedIndex\":0,\"ModifiedIndex\":0,\"ExpireTime\":\"0001-01-01T00:00:00Z\",\"Value\":";
  append_json(out, node.value);
  out += ",\"Children\":";
  if (!node.is_directory) {
    out += "null}";
    return;
  }
  char before = '{';
  for (const auto& [name, child] : node.entries) {
    out.push_back(before);
    before = ',';
    append_json(out, name);
    out.push_back(':');
    append_node(out, path + "/" + name, child);
  }
  out += before == '{' ? "{}}" : "}}";
}

}  // namespace

Bytes v2_store_json(const ClusterState& cluster) {
  Bytes json = "{\"Root\":";
  append_node(json, "", tree_of(cluster));
  json += ",\"CurrentIndex\":0,\"CurrentVersion\":2}";
  return json;
}

}  // namespace holdfast::statemachine
