// The JSON of etcd's cluster state. Written by hand, for it is hashed and has to equal what Go's
// encoder writes: declaration order, no spaces; read with a parser.

#include <nlohmann/json.hpp>

#include "datastore/statemachine/cluster_state.h"
#include "datastore/statemachine/json_text.h"

namespace holdfast::statemachine {
namespace {

using Json = nlohmann::json;

void append_ids(Bytes& out, BytesView name, const std::vector<std::uint64_t>& ids) {
  if (ids.empty()) return;
  out += '"';
  out += name;
  out += "\":[";
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (i > 0) out.push_back(',');
    out += std::to_string(ids[i]);
  }
  out += "],";
}

/// Reads members of a JSON object; a wrong type makes ok() false, null and absence are the default.
class ObjectReader {
 public:
  explicit ObjectReader(BytesView text) : json_(Json::parse(text, nullptr, false)) {
    ok_ = json_.is_object();
  }
  bool ok() const { return ok_; }

  void read(const char* name, std::uint64_t& out) {
    const Json* value = find(name);
    if (value == nullptr) return;
    if (value->is_number_unsigned()) {
      out = value->get<std::uint64_t>();
    } else {
      ok_ = false;
    }
  }
  void read(const char* name, bool& out) {
    const Json* value = find(name);
    if (value == nullptr) return;
    if (value->is_boolean()) {
      out = value->get<bool>();
    } else {
      ok_ = false;
    }
  }
  void read(const char* name, std::string& out) {
    const Json* value = find(name);
    if (value == nullptr) return;
    if (value->is_string()) {
      out = value->get<std::string>();
    } else {
      ok_ = false;
    }
  }
  void read(const char* name, std::vector<std::string>& out) {
    const Json* value = find(name);
    if (value == nullptr) return;
    if (!value->is_array()) {
      ok_ = false;
      return;
    }
    for (const Json& element : *value) {
      if (element.is_string()) {
        out.push_back(element.get<std::string>());
      } else {
        ok_ = false;
      }
    }
  }

 private:
  const Json* find(const char* name) {
    if (!ok_) return nullptr;
    const auto found = json_.find(name);
    return found == json_.end() || found->is_null() ? nullptr : &*found;
  }

  Json json_;
  bool ok_ = false;
};

}  // namespace

Bytes member_json(const Member& member) {
  Bytes out = "{\"id\":" + std::to_string(member.id.value) + ",\"peerURLs\":";
  if (member.peer_urls.empty()) {
    out += "null";
  } else {
    append_json(out, member.peer_urls);
  }
  if (member.is_learner) out += ",\"isLearner\":true";
  if (!member.name.empty()) {
    out += ",\"name\":";
    append_json(out, member.name);
  }
  if (!member.client_urls.empty()) {
    out += ",\"clientURLs\":";
    append_json(out, member.client_urls);
  }
  out.push_back('}');
  return out;
}

absl::StatusOr<ConfContext> parse_conf_context(BytesView json) {
  ConfContext context;
  ObjectReader reader(json);
  reader.read("id", context.member.id.value);
  reader.read("peerURLs", context.member.peer_urls);
  reader.read("isLearner", context.member.is_learner);
  reader.read("name", context.member.name);
  reader.read("clientURLs", context.member.client_urls);
  reader.read("isPromote", context.is_promote);
  if (!reader.ok()) return absl::InvalidArgumentError("not the JSON of a member");
  return context;
}

absl::StatusOr<Member> parse_member_json(BytesView json) {
  absl::StatusOr<ConfContext> context = parse_conf_context(json);
  if (!context.ok()) return context.status();
  return std::move(context->member);
}

Bytes downgrade_json(const DowngradeInfo& downgrade) {
  Bytes out = "{\"target-version\":";
  append_json(out, downgrade.target_version);
  out += downgrade.enabled ? ",\"enabled\":true}" : ",\"enabled\":false}";
  return out;
}

absl::StatusOr<DowngradeInfo> parse_downgrade_json(BytesView json) {
  DowngradeInfo downgrade;
  ObjectReader reader(json);
  reader.read("target-version", downgrade.target_version);
  reader.read("enabled", downgrade.enabled);
  if (!reader.ok()) return absl::InvalidArgumentError("not the JSON of a downgrade");
  return downgrade;
}

Bytes conf_state_json(const ClusterState& cluster) {
  std::vector<std::uint64_t> voters;
  std::vector<std::uint64_t> learners;
  for (const auto& [id, member] : cluster.members) {
    (member.is_learner ? learners : voters).push_back(id.value);
  }
  Bytes out = "{";
  append_ids(out, "voters", voters);
  append_ids(out, "learners", learners);
  out += "\"auto_leave\":false}";
  return out;
}

}  // namespace holdfast::statemachine
