#include "operator/web/access.h"

#include <openssl/evp.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace holdfast::web {

namespace {

using kube::Json;

const kube::Resource kTokenReviews{"authentication.k8s.io", "v1", "tokenreviews", false};
const kube::Resource kAccessReviews{"authorization.k8s.io", "v1", "subjectaccessreviews", false};
constexpr std::chrono::seconds kPatience{10};

std::string digest_of(const std::string& token) {
  std::string digest(EVP_MAX_MD_SIZE, '\0');
  unsigned int size = 0;
  EVP_Digest(token.data(), token.size(), reinterpret_cast<unsigned char*>(digest.data()), &size,
             EVP_sha256(), nullptr);
  digest.resize(size);
  return digest;
}

/// A review is a question: asking twice does no more than once.
absl::StatusOr<Json> review(kube::Client& client, const kube::Resource& resource, Json object) {
  object["apiVersion"] = kube::api_version(resource);
  kube::Request request;
  request.verb = "review";
  request.method = "POST";
  request.path = kube::collection_path(resource, "");
  request.content_type = "application/json";
  request.body = kube::to_text(object);
  request.repeatable = true;
  request.options.timeout = kPatience;
  return client.call(request);
}

bool is_true_at(const Json& object, kube::Path path) {
  const Json* value = kube::find_at(object, path);
  return value != nullptr && value->is_boolean() && value->get<bool>();
}

User user_of(const Json& review) {
  User user;
  user.name = std::string(kube::text_at(review, {"status", "user", "username"}));
  user.uid = std::string(kube::text_at(review, {"status", "user", "uid"}));
  const Json* groups = kube::find_at(review, {"status", "user", "groups"});
  if (groups != nullptr && groups->is_array()) {
    for (const Json& group : *groups) {
      if (group.is_string()) user.groups.push_back(group.get<std::string>());
    }
  }
  const Json* extra = kube::find_at(review, {"status", "user", "extra"});
  if (extra != nullptr && extra->is_object()) user.extra = *extra;
  return user;
}

}  // namespace

absl::StatusOr<User> Access::identify(const std::string& token, Clock::time_point now) {
  if (token.empty()) return absl::UnauthenticatedError("no token was given");
  if (token.size() > kMaxTokenBytes) return absl::UnauthenticatedError("the token is too long");
  const std::string digest = digest_of(token);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = kept_.find(digest);
    if (found != kept_.end() && now < found->second.until) return found->second.user;
  }
  const auto answer =
      review(client_, kTokenReviews, {{"kind", "TokenReview"}, {"spec", {{"token", token}}}});
  if (!answer.ok()) return answer.status();
  if (!is_true_at(*answer, {"status", "authenticated"})) {
    return absl::UnauthenticatedError("Kubernetes does not know this token, or it has expired");
  }
  User user = user_of(*answer);
  if (user.name.empty())
    return absl::UnauthenticatedError("Kubernetes names no user for this token");
  const std::lock_guard<std::mutex> lock(mutex_);
  make_room();
  kept_[digest] = {user, now + kKeep, {}};
  return user;
}

absl::StatusOr<Sight> Access::sight_of(const std::string& token, const User& user,
                                       const std::set<std::string>& namespaces,
                                       Clock::time_point now) {
  const std::string digest = digest_of(token);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = kept_.find(digest);
    if (found != kept_.end() && now >= found->second.until) kept_.erase(found);
  }
  Sight sight;
  const absl::StatusOr<bool> everywhere = may_list(digest, user, "");
  if (!everywhere.ok()) return everywhere.status();
  sight.everything = *everywhere;
  if (sight.everything) return sight;
  std::size_t asked = 0;
  for (const std::string& ns : namespaces) {
    if (ns.empty()) continue;  // would ask about all of them
    if (++asked > kMaxNamespaces) break;
    const absl::StatusOr<bool> may = may_list(digest, user, ns);
    if (!may.ok()) return may.status();
    if (*may) sight.namespaces.insert(ns);
  }
  return sight;
}

absl::StatusOr<bool> Access::may_list(const std::string& digest, const User& user,
                                      const std::string& ns) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = kept_.find(digest);
    if (found != kept_.end()) {
      const auto known = found->second.may_list.find(ns);
      if (known != found->second.may_list.end()) return known->second;
    }
  }
  const absl::StatusOr<bool> may = ask(user, ns);
  if (!may.ok()) return may.status();
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = kept_.find(digest);
  if (found != kept_.end()) found->second.may_list[ns] = *may;
  return *may;
}

absl::StatusOr<bool> Access::ask(const User& user, const std::string& ns) {
  Json attributes = {{"group", "holdfast.dev"}, {"resource", "holdfastclusters"}, {"verb", "list"}};
  if (!ns.empty()) attributes["namespace"] = ns;
  const Json spec = {{"user", user.name},
                     {"uid", user.uid},
                     {"groups", user.groups},
                     {"extra", user.extra},
                     {"resourceAttributes", std::move(attributes)}};
  const auto answer =
      review(client_, kAccessReviews, {{"kind", "SubjectAccessReview"}, {"spec", spec}});
  if (!answer.ok()) return answer.status();
  return is_true_at(*answer, {"status", "allowed"}) && !is_true_at(*answer, {"status", "denied"});
}

void Access::make_room() {
  while (kept_.size() >= kMaxKept) {
    kept_.erase(std::min_element(kept_.begin(), kept_.end(), [](const auto& a, const auto& b) {
      return a.second.until < b.second.until;
    }));
  }
}

}  // namespace holdfast::web
