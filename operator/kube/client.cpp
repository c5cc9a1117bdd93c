#include "operator/kube/client.h"

#include <iterator>

#include "operator/kube/text.h"

namespace holdfast::kube {
namespace {

using Query = std::vector<std::pair<std::string, std::string>>;

const Resource kPods{.group = "", .version = "v1", .plural = "pods", .namespaced = true};
const Resource kServiceAccounts{
    .group = "", .version = "v1", .plural = "serviceaccounts", .namespaced = true};

void add_unless_empty(Query& query, const char* name, const std::string& value) {
  if (!value.empty()) {
    query.emplace_back(name, value);
  }
}

Query write_query(const std::string& field_manager, bool dry_run) {
  Query query;
  add_unless_empty(query, "fieldManager", field_manager);
  if (dry_run) {
    query.emplace_back("dryRun", "All");
  }
  return query;
}

absl::Status check_key(const Resource& resource, const ObjectKey& key) {
  if (key.name.empty()) {
    return absl::InvalidArgumentError(concat(resource.plural, ": the object has no metadata.name"));
  }
  if (resource.namespaced && key.ns.empty()) {
    return absl::InvalidArgumentError(
        concat(resource.plural, " ", key.name, ": the object has no metadata.namespace"));
  }
  return absl::OkStatus();
}

std::string_view name_of_propagation(Propagation propagation) {
  switch (propagation) {
    case Propagation::kForeground:
      return "Foreground";
    case Propagation::kBackground:
      return "Background";
    case Propagation::kOrphan:
      return "Orphan";
    case Propagation::kDefault:
      return "";
  }
  return "";
}

Json delete_body(const DeleteOptions& options) {
  Json body = {{"apiVersion", "v1"}, {"kind", "DeleteOptions"}};
  if (!options.uid.empty()) {
    body["preconditions"]["uid"] = options.uid;
  }
  if (!options.resource_version.empty()) {
    body["preconditions"]["resourceVersion"] = options.resource_version;
  }
  const std::string_view propagation = name_of_propagation(options.propagation);
  if (!propagation.empty()) {
    body["propagationPolicy"] = propagation;
  }
  if (options.grace_seconds.has_value()) {
    body["gracePeriodSeconds"] = *options.grace_seconds;
  }
  if (options.dry_run) {
    body["dryRun"] = Json::array({"All"});
  }
  return body;
}

}  // namespace

absl::StatusOr<Json> Client::get(const Resource& resource, const ObjectKey& key,
                                 const CallOptions& options, std::string_view subresource) {
  if (absl::Status bad = check_key(resource, key); !bad.ok()) {
    return bad;
  }
  return call({.verb = "get",
               .method = "GET",
               .path = object_path(resource, key, subresource),
               .repeatable = true,
               .options = options});
}

absl::StatusOr<ListPage> Client::list_page(const Resource& resource, const ListOptions& options) {
  Request request{.verb = "list",
                  .method = "GET",
                  .path = collection_path(resource, options.ns),
                  .repeatable = true,
                  .options = options.call};
  request.query.emplace_back("limit", concat(options.limit));
  add_unless_empty(request.query, "labelSelector", options.label_selector);
  add_unless_empty(request.query, "fieldSelector", options.field_selector);
  add_unless_empty(request.query, "continue", options.continue_token);
  add_unless_empty(request.query, "resourceVersion", options.resource_version);
  absl::StatusOr<Json> answer = call(request);
  if (!answer.ok()) {
    return answer.status();
  }
  const auto items = answer->find("items");
  if (!answer->is_object() || items == answer->end() || !(items->is_array() || items->is_null())) {
    return absl::InternalError(
        concat("list ", request.path, ": the answer is not a list of objects"));
  }
  ListPage page;
  page.resource_version = resource_version_of(*answer);
  page.continue_token = text_at(*answer, {"metadata", "continue"});
  if (items->is_array()) {
    auto& array = items->get_ref<Json::array_t&>();
    page.items.assign(std::make_move_iterator(array.begin()), std::make_move_iterator(array.end()));
  }
  return page;
}

absl::StatusOr<ListPage> Client::list(const Resource& resource, ListOptions options,
                                      std::size_t max_objects) {
  ListPage all;
  do {
    absl::StatusOr<ListPage> page = list_page(resource, options);
    if (!page.ok()) {
      return page.status();
    }
    if (all.items.size() + page->items.size() > max_objects) {
      return absl::ResourceExhaustedError(concat("list ", resource.plural, ": more than ",
                                                 max_objects, " objects; narrow the selector"));
    }
    all.items.insert(all.items.end(), std::make_move_iterator(page->items.begin()),
                     std::make_move_iterator(page->items.end()));
    all.resource_version = page->resource_version;
    options.continue_token = page->continue_token;
  } while (!options.continue_token.empty());
  return all;
}

absl::StatusOr<Json> Client::create(const Resource& resource, const Json& object,
                                    const WriteOptions& options) {
  return call({.verb = "create",
               .method = "POST",
               .path = collection_path(resource, namespace_of(object)),
               .query = write_query(options.field_manager, options.dry_run),
               .content_type = "application/json",
               .body = to_text(object),
               .options = options.call});
}

absl::StatusOr<Json> Client::replace(const Resource& resource, const Json& object,
                                     const WriteOptions& options, std::string_view subresource) {
  const ObjectKey key = key_of(object);
  if (absl::Status bad = check_key(resource, key); !bad.ok()) {
    return bad;
  }
  return call({.verb = "update",
               .method = "PUT",
               .path = object_path(resource, key, subresource),
               .query = write_query(options.field_manager, options.dry_run),
               .content_type = "application/json",
               .body = to_text(object),
               // Repeating an update that was done would report a conflict with ourselves.
               .repeatable = false,
               .options = options.call});
}

absl::StatusOr<Json> Client::apply(const Resource& resource, const Json& object,
                                   const ApplyOptions& options) {
  const ObjectKey key = key_of(object);
  if (absl::Status bad = check_key(resource, key); !bad.ok()) {
    return bad;
  }
  if (options.field_manager.empty()) {
    return absl::InvalidArgumentError("apply: a field manager is required");
  }
  Query query = write_query(options.field_manager, options.dry_run);
  query.emplace_back("force", options.force ? "true" : "false");
  return call({.verb = "apply",
               .method = "PATCH",
               .path = object_path(resource, key, options.subresource),
               .query = std::move(query),
               .content_type = "application/apply-patch+yaml",  // JSON is YAML
               .body = to_text(object),
               .repeatable = true,
               .options = options.call});
}

absl::StatusOr<Json> Client::merge_patch(const Resource& resource, const ObjectKey& key,
                                         const Json& patch, const WriteOptions& options,
                                         std::string_view subresource) {
  if (absl::Status bad = check_key(resource, key); !bad.ok()) {
    return bad;
  }
  return call({.verb = "patch",
               .method = "PATCH",
               .path = object_path(resource, key, subresource),
               .query = write_query(options.field_manager, options.dry_run),
               .content_type = "application/merge-patch+json",
               .body = to_text(patch),
               // Guarded by a version, a patch that was done would conflict with itself.
               .repeatable = resource_version_of(patch).empty(),
               .options = options.call});
}

absl::Status Client::remove(const Resource& resource, const ObjectKey& key,
                            const DeleteOptions& options) {
  if (absl::Status bad = check_key(resource, key); !bad.ok()) {
    return bad;
  }
  return call({.verb = "delete",
               .method = "DELETE",
               .path = object_path(resource, key),
               .content_type = "application/json",
               .body = to_text(delete_body(options)),
               // Without a uid, a repeat could take an object made since under the same name.
               .repeatable = !options.uid.empty(),
               .options = options.call})
      .status();
}

absl::Status Client::evict(const ObjectKey& pod, DeleteOptions options) {
  options.call.retry_when_throttled = false;
  const Json body = {{"apiVersion", "policy/v1"},
                     {"kind", "Eviction"},
                     {"metadata", {{"name", pod.name}, {"namespace", pod.ns}}},
                     {"deleteOptions", delete_body(options)}};
  return call({.verb = "evict",
               .method = "POST",
               .path = object_path(kPods, pod, "eviction"),
               .content_type = "application/json",
               .body = to_text(body),
               .options = options.call})
      .status();
}

absl::StatusOr<Json> Client::scale(const Resource& resource, const ObjectKey& key,
                                   std::int64_t replicas, const WriteOptions& options) {
  return merge_patch(resource, key, {{"spec", {{"replicas", replicas}}}}, options, "scale");
}

absl::StatusOr<std::string> Client::create_token(const ObjectKey& service_account,
                                                 const std::vector<std::string>& audiences,
                                                 std::chrono::seconds lifetime,
                                                 const CallOptions& options) {
  const Json body = {{"apiVersion", "authentication.k8s.io/v1"},
                     {"kind", "TokenRequest"},
                     {"spec", {{"audiences", audiences}, {"expirationSeconds", lifetime.count()}}}};
  absl::StatusOr<Json> answer =
      call({.verb = "create",
            .method = "POST",
            .path = object_path(kServiceAccounts, service_account, "token"),
            .content_type = "application/json",
            .body = to_text(body),
            .repeatable = true,
            .options = options});
  if (!answer.ok()) {
    return answer.status();
  }
  const std::string_view token = text_at(*answer, {"status", "token"});
  if (token.empty()) {
    return absl::InternalError(
        concat("token of ", to_text(service_account), ": the API server answered without one"));
  }
  return std::string(token);
}

absl::StatusOr<bool> Client::serves(const Resource& resource, const CallOptions& options) {
  const std::string path = resource.group.empty() ? concat("/api/", resource.version)
                                                  : concat("/apis/", api_version(resource));
  const absl::StatusOr<Json> answer = call(
      {.verb = "discover", .method = "GET", .path = path, .repeatable = true, .options = options});
  if (absl::IsNotFound(answer.status())) {
    return false;
  }
  if (!answer.ok()) {
    return answer.status();
  }
  const Json* resources = find_at(*answer, {"resources"});
  if (resources == nullptr || !resources->is_array()) {
    return false;
  }
  for (const Json& served : *resources) {
    if (text_at(served, {"name"}) == resource.plural) {
      return true;
    }
  }
  return false;
}

absl::StatusOr<Json> Client::server_version(const CallOptions& options) {
  return call({.verb = "discover",
               .method = "GET",
               .path = "/version",
               .repeatable = true,
               .options = options});
}

absl::Status Client::watch(const Resource& resource, const WatchOptions& options,
                           const std::function<bool(std::string_view)>& receive) {
  Request request{.verb = "watch",
                  .method = "GET",
                  .path = collection_path(resource, options.ns),
                  .repeatable = true};
  // The server ends the watch; ours is the limit for a server that does not.
  static constexpr std::chrono::seconds kGrace{30};
  request.options.timeout = options.timeout + kGrace;
  request.options.cancellation = options.cancellation;
  request.query = {{"watch", "true"},
                   {"allowWatchBookmarks", "true"},
                   {"timeoutSeconds", concat(options.timeout.count())}};
  add_unless_empty(request.query, "labelSelector", options.label_selector);
  add_unless_empty(request.query, "fieldSelector", options.field_selector);
  add_unless_empty(request.query, "resourceVersion", options.resource_version);
  return stream(request, receive);
}

}  // namespace holdfast::kube
