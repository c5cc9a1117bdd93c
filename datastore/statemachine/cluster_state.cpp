#include "datastore/statemachine/cluster_state.h"

#include <algorithm>
#include <charconv>

#include "datastore/base/errors.h"

namespace holdfast::statemachine {
namespace {

std::optional<std::uint32_t> take_number(BytesView& text) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

bool take_dot(BytesView& text) {
  if (text.empty() || text.front() != '.') return false;
  text.remove_prefix(1);
  return true;
}

void append_varint_field(Bytes& out, char tag, std::uint64_t number) {
  if (number == 0) return;
  out.push_back(tag);
  for (; number >= 0x80; number >>= 7) out.push_back(static_cast<char>(number | 0x80));
  out.push_back(static_cast<char>(number));
}

std::optional<std::uint64_t> take_varint(BytesView& in) {
  std::uint64_t number = 0;
  for (unsigned shift = 0; shift < 64 && !in.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(in.front());
    in.remove_prefix(1);
    number |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return number;
  }
  return std::nullopt;
}

/// Whether a member other than `except` uses one of `urls`.
bool any_url_used(const ClusterState& cluster, const std::vector<std::string>& urls,
                  MemberId except) {
  return std::any_of(cluster.members.begin(), cluster.members.end(), [&](const auto& entry) {
    const auto& used = entry.second.peer_urls;
    return entry.first != except && std::any_of(urls.begin(), urls.end(), [&](const auto& url) {
             return std::find(used.begin(), used.end(), url) != used.end();
           });
  });
}

absl::Status validate_addition(const ClusterState& cluster, const ConfChange& change,
                               const Member& member, std::size_t max_learners) {
  if (cluster.members.contains(change.node)) return errors::member_exist();
  if (any_url_used(cluster, member.peer_urls, MemberId())) return errors::peer_url_exist();
  if (!member.is_learner || change.type != ConfChangeType::kAddLearnerNode) return absl::OkStatus();
  const auto learners = std::count_if(cluster.members.begin(), cluster.members.end(),
                                      [](const auto& entry) { return entry.second.is_learner; });
  return static_cast<std::size_t>(learners) + 1 > max_learners ? errors::too_many_learners()
                                                               : absl::OkStatus();
}

}  // namespace

std::optional<ReleaseVersion> parse_release_version(BytesView text) {
  const auto major = take_number(text);
  if (!major || !take_dot(text)) return std::nullopt;
  const auto minor = take_number(text);
  if (!minor || !take_dot(text)) return std::nullopt;
  if (!take_number(text) || !text.empty()) return std::nullopt;
  return ReleaseVersion{*major, *minor};
}

absl::Status validate_conf_change(const ClusterState& cluster, const ConfChange& change,
                                  const ConfContext& context, std::size_t max_learners) {
  if (cluster.removed.contains(change.node)) return errors::member_not_found();
  const auto known = cluster.members.find(change.node);
  const bool adds =
      change.type == ConfChangeType::kAddNode || change.type == ConfChangeType::kAddLearnerNode;
  if (adds && !context.is_promote) {
    return validate_addition(cluster, change, context.member, max_learners);
  }
  if (known == cluster.members.end()) return errors::member_not_found();
  if (adds && !known->second.is_learner) return errors::member_not_learner();
  if (change.type == ConfChangeType::kUpdateNode &&
      any_url_used(cluster, context.member.peer_urls, change.node)) {
    return errors::peer_url_exist();
  }
  return absl::OkStatus();
}

Bytes member_key(MemberId id) {
  char hex[16];
  const auto [end, error] = std::to_chars(hex, hex + sizeof hex, id.value, 16);
  return Bytes(hex, end);
}

std::optional<MemberId> parse_member_key(BytesView key) {
  std::uint64_t id = 0;
  const char* const end = key.data() + key.size();
  const auto [stop, error] = std::from_chars(key.data(), end, id, 16);
  if (error != std::errc() || stop != end) return std::nullopt;
  return MemberId(id);
}

Bytes alarm_key(AlarmType type, MemberId member) {
  Bytes key;
  append_varint_field(key, 1 << 3, member.value);
  append_varint_field(key, 2 << 3, static_cast<std::uint64_t>(static_cast<std::int64_t>(type)));
  return key;
}

std::optional<std::pair<AlarmType, MemberId>> parse_alarm_key(BytesView key) {
  std::pair<AlarmType, MemberId> alarm{AlarmType::kNone, MemberId()};
  while (!key.empty()) {
    const auto tag = take_varint(key);
    const auto number = take_varint(key);
    if (!tag || !number) return std::nullopt;
    if (*tag == 1 << 3) alarm.second = MemberId(*number);
    if (*tag == 2 << 3) alarm.first = static_cast<AlarmType>(static_cast<std::int32_t>(*number));
  }
  return alarm;
}

}  // namespace holdfast::statemachine
