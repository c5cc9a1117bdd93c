#include "tests/unit/kube/fake_client.h"

namespace holdfast::kube {

absl::Status fault_status(int code, const std::string& reason, Fate fate) {
  return to_status({.code = code, .reason = reason, .message = reason, .fate = fate}, "fake");
}

absl::StatusOr<Json> FakeClient::call(const Request& request) {
  if (fault) {
    if (const std::optional<absl::Status> status = fault(request); status.has_value()) {
      return *status;
    }
  }
  const std::lock_guard lock(mutex_);
  requests_.push_back(request);
  const Json body = request.body.empty() ? Json() : *parse_json(request.body);
  std::string path = request.path;
  if (request.method == "POST") {
    path += "/" + std::string(name_of(body));
  }
  const auto found = objects_.find(path);
  if (request.method == "POST" ? found != objects_.end() : found == objects_.end()) {
    return request.method == "POST" ? fault_status(409, "AlreadyExists", Fate::kRejected)
                                    : fault_status(404, "NotFound", Fate::kRejected);
  }
  if (request.method == "GET") {
    return found->second;
  }
  const std::string_view expected = resource_version_of(body);
  if (request.method == "PUT" && expected != resource_version_of(found->second)) {
    return fault_status(409, "Conflict", Fate::kRejected);
  }
  Json next = body;
  if (request.method == "PATCH") {
    next = found->second;
    next.merge_patch(body);
  }
  next["metadata"]["resourceVersion"] = std::to_string(++version_);
  objects_[path] = next;
  return next;
}

std::vector<Request> FakeClient::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

std::map<std::string, Json> FakeClient::objects() const {
  const std::lock_guard lock(mutex_);
  return objects_;
}

}  // namespace holdfast::kube
