#pragma once

#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "operator/kube/client.h"

namespace holdfast::web {

/// An API server that answers TokenReviews and SubjectAccessReviews: "alice" and "bob" are the
/// tokens of users of those names.
class FakeReviews final : public kube::Client {
 public:
  std::set<std::string> everywhere;                            ///< who may list all clusters
  std::set<std::pair<std::string, std::string>> in_namespace;  ///< who may list those of which
  bool broken = false;
  bool accepts_anyone = false;
  std::vector<kube::Json> reviews;
  /// Answers everything else; a failure without.
  std::function<absl::StatusOr<kube::Json>(const kube::Request&)> other;

  absl::StatusOr<kube::Json> call(const kube::Request& request) override {
    if (broken) return absl::UnavailableError("nobody is there");
    if (request.path.find("reviews") == std::string::npos) {
      return other ? other(request) : absl::UnimplementedError("not played");
    }
    const kube::Json body = *kube::parse_json(request.body);
    reviews.push_back(body);
    if (kube::text_at(body, {"kind"}) == "TokenReview") return identify(body);
    return authorize(body);
  }

  absl::Status stream(const kube::Request&, const std::function<bool(std::string_view)>&) override {
    return absl::UnimplementedError("no watches here");
  }

 private:
  kube::Json identify(const kube::Json& body) const {
    const std::string token(kube::text_at(body, {"spec", "token"}));
    if (token != "alice" && token != "bob" && !accepts_anyone) {
      return {{"status", {{"authenticated", false}}}};
    }
    return {{"status",
             {{"authenticated", true},
              {"user",
               {{"username", token}, {"groups", {"team"}}, {"extra", {{"scopes", {"all"}}}}}}}}};
  }

  kube::Json authorize(const kube::Json& body) const {
    const std::string user(kube::text_at(body, {"spec", "user"}));
    const std::string ns(kube::text_at(body, {"spec", "resourceAttributes", "namespace"}));
    const bool allowed =
        everywhere.contains(user) || (!ns.empty() && in_namespace.contains({user, ns}));
    return {{"status", {{"allowed", allowed}}}};
  }
};

}  // namespace holdfast::web
