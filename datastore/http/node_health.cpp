#include "datastore/http/node_health.h"

#include <memory>

namespace holdfast::http {
namespace {

std::string_view alarm_name(statemachine::AlarmType type) {
  switch (type) {
    case statemachine::AlarmType::kNoSpace:
      return "NOSPACE";
    case statemachine::AlarmType::kCorrupt:
      return "CORRUPT";
    default:
      return "UNKNOWN";
  }
}

}  // namespace

std::vector<std::string> NodeHealth::alarms() {
  std::vector<std::string> names;
  for (const auto& alarm : node_.status().alarms) {
    names.emplace_back(alarm_name(alarm.type));
  }
  return names;
}

bool NodeHealth::has_leader() {
  return static_cast<bool>(node_.status().leader);
}

bool NodeHealth::is_learner() {
  return node_.status().is_learner;
}

void NodeHealth::read(bool serializable, absl::AnyInvocable<void(absl::Status)> done) {
  if (serializable) {
    read_locally(std::move(done));
    return;
  }
  node_.read_index(
      [this, done = std::move(done)](absl::Status status) mutable {
        if (status.ok()) {
          read_locally(std::move(done));
        } else {
          done(status);
        }
      },
      in_place_);
}

void NodeHealth::read_locally(absl::AnyInvocable<void(absl::Status)> done) {
  // Shared, because a refused run_read gives the work back to nobody.
  auto shared = std::make_shared<absl::AnyInvocable<void(absl::Status)>>(std::move(done));
  const absl::Status accepted = node_.run_read([shared](auto& reader) {
    constexpr BytesView kLowestKey("\0", 1);
    (*shared)(reader.get(kLowestKey).status());
  });
  if (!accepted.ok()) {
    (*shared)(accepted);
  }
}

}  // namespace holdfast::http
