#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "operator/kube/api_error.h"
#include "operator/kube/cancellation.h"
#include "operator/kube/json.h"
#include "operator/kube/resource.h"

namespace holdfast::kube {

/// Bounds of one call. The defaults suit everything but watches.
struct CallOptions {
  /// Of the whole call: waiting for the rate limit, every attempt, every backoff.
  std::chrono::milliseconds timeout{30'000};
  Cancellation* cancellation = nullptr;  ///< outlives the call
  /// Whether 429 is waited out. Not for evictions: there it means that a budget refuses.
  bool retry_when_throttled = true;
};

/// One HTTP request to the API server.
struct Request {
  std::string verb;  ///< what metrics call it: get, list, watch, create, apply, patch, …
  std::string method;
  std::string path;                                          ///< already percent-encoded
  std::vector<std::pair<std::string, std::string>> query{};  ///< encoded by the client
  std::string content_type{};
  std::string body{};
  bool repeatable = false;  ///< sending it twice does no more than once
  CallOptions options{};

  bool changes() const { return method != "GET"; }
};

struct ListOptions {
  std::string ns{};  ///< empty: all namespaces
  std::string label_selector{};
  std::string field_selector{};
  std::uint32_t limit = 250;  ///< objects per page
  std::string continue_token{};
  std::string resource_version{};
  CallOptions call{};
};

struct ListPage {
  std::vector<Json> items;
  std::string resource_version;
  std::string continue_token;  ///< empty: this was the last page
};

struct WatchOptions {
  std::string ns{};
  std::string label_selector{};
  std::string field_selector{};
  std::string resource_version{};
  std::chrono::seconds timeout{300};  ///< the server ends the watch then
  Cancellation* cancellation = nullptr;
};

struct WriteOptions {
  std::string field_manager{};
  bool dry_run = false;
  CallOptions call{};
};

struct ApplyOptions {
  std::string field_manager;  ///< required
  bool force = false;         ///< take fields over from other managers
  bool dry_run = false;
  std::string subresource{};
  CallOptions call{};
};

enum class Propagation { kDefault, kForeground, kBackground, kOrphan };

struct DeleteOptions {
  std::string uid{};               ///< only if it is still this object
  std::string resource_version{};  ///< only if it is still this version
  Propagation propagation = Propagation::kDefault;
  std::optional<std::int64_t> grace_seconds{};
  bool dry_run = false;
  CallOptions call{};
};

/// The Kubernetes API, as objects in JSON. Any thread; calls wait.
///
/// Errors of every call: what to_status makes of the API's answer, so api_error, fate_of,
/// is_conflict and is_expired apply; Cancelled if its Cancellation was; InvalidArgument for what
/// cannot be sent. Nothing throws.
///
/// A call goes through one door, call(), and a watch through stream(): that is all that a fake for
/// tests overrides.
class Client {
 public:
  virtual ~Client() = default;

  /// Sends the request and returns the answer's body; null if it is empty.
  virtual absl::StatusOr<Json> call(const Request& request) = 0;
  /// Sends the request and hands its answer's bytes to `receive` as they come, on the calling
  /// thread, until the server ends it (OK), `receive` returns false (OK) or it fails.
  virtual absl::Status stream(const Request& request,
                              const std::function<bool(std::string_view)>& receive) = 0;

  absl::StatusOr<Json> get(const Resource& resource, const ObjectKey& key,
                           const CallOptions& options = {}, std::string_view subresource = {});
  /// Up to `limit` objects. Errors: is_expired, if a page's version is no longer kept.
  absl::StatusOr<ListPage> list_page(const Resource& resource, const ListOptions& options);
  /// All pages. Errors: ResourceExhausted beyond `max_objects`.
  absl::StatusOr<ListPage> list(const Resource& resource, ListOptions options,
                                std::size_t max_objects = 100'000);
  /// Never repeated unless the server refused to look at it: an error may be of unknown outcome.
  absl::StatusOr<Json> create(const Resource& resource, const Json& object,
                              const WriteOptions& options = {});
  /// Replaces the object if its resourceVersion is still the one given in it.
  absl::StatusOr<Json> replace(const Resource& resource, const Json& object,
                               const WriteOptions& options = {}, std::string_view subresource = {});
  /// Server-side apply of the fields in `object`, which names its apiVersion, kind and name.
  /// Errors: is_conflict names the fields that another manager owns.
  absl::StatusOr<Json> apply(const Resource& resource, const Json& object,
                             const ApplyOptions& options);
  /// Merges `patch` (RFC 7386) into the object or its subresource ("status").
  absl::StatusOr<Json> merge_patch(const Resource& resource, const ObjectKey& key,
                                   const Json& patch, const WriteOptions& options = {},
                                   std::string_view subresource = {});
  /// Asks for deletion; finalizers may keep the object. Errors: NotFound; is_conflict if a
  /// precondition does not hold.
  absl::Status remove(const Resource& resource, const ObjectKey& key,
                      const DeleteOptions& options = {});
  /// Evicts a Pod. Errors: ResourceExhausted if a disruption budget refuses now.
  absl::Status evict(const ObjectKey& pod, DeleteOptions options = {});
  /// Sets the number of replicas through /scale.
  absl::StatusOr<Json> scale(const Resource& resource, const ObjectKey& key, std::int64_t replicas,
                             const WriteOptions& options = {});
  /// A token of the service account for these audiences. Keep it out of logs.
  absl::StatusOr<std::string> create_token(const ObjectKey& service_account,
                                           const std::vector<std::string>& audiences,
                                           std::chrono::seconds lifetime,
                                           const CallOptions& options = {});

  /// Whether the API server serves the resource now: group, version and plural.
  absl::StatusOr<bool> serves(const Resource& resource, const CallOptions& options = {});
  /// {"major": "1", "minor": "36", "gitVersion": …}
  absl::StatusOr<Json> server_version(const CallOptions& options = {});

  /// Watches from `resource_version` with bookmarks; see stream().
  absl::Status watch(const Resource& resource, const WatchOptions& options,
                     const std::function<bool(std::string_view)>& receive);
};

}  // namespace holdfast::kube
