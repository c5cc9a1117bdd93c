#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "operator/kube/client.h"

namespace holdfast::kube {

/// Objects in memory behind the calls of a Client: get, create, replace and merge patch, with
/// resource versions that must match. For faults that no server shows on demand: `fault` may answer
/// in its place. Any thread.
class FakeClient final : public Client {
 public:
  /// None: let the request through.
  std::function<std::optional<absl::Status>(const Request&)> fault;

  absl::StatusOr<Json> call(const Request& request) override;
  absl::Status stream(const Request&, const std::function<bool(std::string_view)>&) override {
    return absl::UnimplementedError("the fake has no watches");
  }

  std::vector<Request> requests() const;
  /// By path.
  std::map<std::string, Json> objects() const;

 private:
  mutable std::mutex mutex_;
  std::vector<Request> requests_;
  std::map<std::string, Json> objects_;
  std::int64_t version_ = 0;
};

/// The Status that a real client gives for this code and reason.
absl::Status fault_status(int code, const std::string& reason, Fate fate);

}  // namespace holdfast::kube
