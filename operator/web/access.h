#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "operator/kube/client.h"

namespace holdfast::web {

/// Who somebody is to Kubernetes.
struct User {
  std::string name;
  std::string uid;
  std::vector<std::string> groups;
  kube::Json extra = kube::Json::object();  ///< as TokenReview gives it
};

/// Which namespaces' clusters somebody may see.
struct Sight {
  bool everything = false;
  std::set<std::string> namespaces;  ///< if not everything

  bool covers(const std::string& ns) const { return everything || namespaces.contains(ns); }
};

/// Kubernetes' own authentication and authorization: the API server says who a bearer token is
/// (TokenReview) and what that user may see (SubjectAccessReview for `list` on holdfastclusters, in
/// all namespaces and else in each). Both answers are kept for kKeep, by a digest of the token: a
/// right that is taken away is gone within that. No token is kept, logged or sent elsewhere.
/// Any thread.
class Access {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds kKeep{30};
  /// A longer token is no token.
  static constexpr std::size_t kMaxTokenBytes = 16 * 1024;
  /// Users remembered at once; beyond that the one asked about longest ago is forgotten.
  static constexpr std::size_t kMaxKept = 1024;
  /// Namespaces asked about one by one; who may see more than that may be given a ClusterRole.
  static constexpr std::size_t kMaxNamespaces = 256;

  explicit Access(kube::Client& client) : client_(client) {}

  /// Errors: Unauthenticated if the token is nobody's; else the API's, where nothing is known.
  absl::StatusOr<User> identify(const std::string& token, Clock::time_point now);

  /// Of `namespaces`, those whose clusters the user may see. Errors: the API's.
  absl::StatusOr<Sight> sight_of(const std::string& token, const User& user,
                                 const std::set<std::string>& namespaces, Clock::time_point now);

 private:
  struct Kept {
    User user;
    Clock::time_point until;
    std::map<std::string, bool> may_list;  // by namespace; "" is all of them
  };

  absl::StatusOr<bool> may_list(const std::string& digest, const User& user, const std::string& ns);
  absl::StatusOr<bool> ask(const User& user, const std::string& ns);
  void make_room();

  kube::Client& client_;
  std::mutex mutex_;                  // guards all below; never held while the API is asked
  std::map<std::string, Kept> kept_;  // by digest of the token
};

}  // namespace holdfast::web
