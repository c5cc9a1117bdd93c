#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "operator/kube/client.h"
#include "operator/kube/leader_elector.h"
#include "operator/kube/resource.h"

namespace holdfast::actions {

/// Writes to the API server, each only while we lead. What has been done already, or is refused
/// because something has changed since it was seen, is told apart from a failure: the next pass
/// looks again. One pass; one thread.
class Writer {
 public:
  Writer(kube::Client& client, std::shared_ptr<const kube::Leadership> leadership)
      : client_(client), leadership_(std::move(leadership)) {}

  /// Ok, or Aborted because the term is over.
  absl::Status may_write() const { return leadership_->check(); }

  /// Ok too if there is one of that name already: another pass made it, or nobody of ours did and
  /// the next look will say so.
  absl::Status create(const kube::Resource& resource, const kube::Json& object);
  /// Takes the fields in `object` over from whoever wrote them.
  absl::StatusOr<kube::Json> apply(const kube::Resource& resource, const kube::Json& object,
                                   const std::string& subresource = {});
  absl::Status patch(const kube::Resource& resource, const kube::ObjectKey& key,
                     const kube::Json& patch);
  /// Evicts this very Pod. Ok too if it is gone, or if a disruption budget refuses now: somebody
  /// else was faster, and the next look tells.
  absl::Status evict(const kube::ObjectKey& pod, const std::string& uid);
  /// Ok too if it is gone or another of its name stands there. `at_once`: without the grace that
  /// only its node could give.
  absl::Status remove(const kube::Resource& resource, const kube::ObjectKey& key,
                      const std::string& uid, bool at_once = false);

 private:
  kube::Client& client_;
  const std::shared_ptr<const kube::Leadership> leadership_;
};

/// A write that names what it saw, and finds something else, is no failure: the next pass decides
/// anew.
absl::Status look_again_after(const absl::Status& status);

}  // namespace holdfast::actions
