#include "operator/actions/writer.h"

#include <utility>

#include "operator/api/names.h"

namespace holdfast::actions {

namespace {

const std::string kManager(api::kFieldManager);

}  // namespace

absl::Status Writer::create(const kube::Resource& resource, const kube::Json& object) {
  if (absl::Status status = may_write(); !status.ok()) return status;
  const absl::Status status =
      client_.create(resource, object, {.field_manager = kManager}).status();
  return absl::IsAlreadyExists(status) ? absl::OkStatus() : status;
}

absl::StatusOr<kube::Json> Writer::apply(const kube::Resource& resource, const kube::Json& object,
                                         const std::string& subresource) {
  if (absl::Status status = may_write(); !status.ok()) return status;
  return client_.apply(resource, object,
                       {.field_manager = kManager, .force = true, .subresource = subresource});
}

absl::Status Writer::patch(const kube::Resource& resource, const kube::ObjectKey& key,
                           const kube::Json& patch) {
  if (absl::Status status = may_write(); !status.ok()) return status;
  return client_.merge_patch(resource, key, patch, {.field_manager = kManager}).status();
}

absl::Status Writer::remove(const kube::Resource& resource, const kube::ObjectKey& key,
                            const std::string& uid, bool at_once) {
  if (absl::Status status = may_write(); !status.ok()) return status;
  kube::DeleteOptions options;
  options.uid = uid;
  options.propagation = kube::Propagation::kBackground;
  if (at_once) options.grace_seconds = 0;
  const absl::Status status = client_.remove(resource, key, options);
  return absl::IsNotFound(status) || kube::is_conflict(status) ? absl::OkStatus() : status;
}

absl::Status Writer::evict(const kube::ObjectKey& pod, const std::string& uid) {
  if (absl::Status status = may_write(); !status.ok()) return status;
  kube::DeleteOptions options;
  options.uid = uid;
  const absl::Status status = client_.evict(pod, options);
  const bool is_too_late = absl::IsNotFound(status) || kube::is_conflict(status);
  return is_too_late || absl::IsResourceExhausted(status) ? absl::OkStatus() : status;
}

absl::Status look_again_after(const absl::Status& status) {
  return absl::IsNotFound(status) || kube::is_conflict(status) ? absl::OkStatus() : status;
}

}  // namespace holdfast::actions
