#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datastore/config/url.h"

namespace holdfast::config {

/// One address of `host` by the system's resolver, as text. Blocks. Errors: Unavailable with why.
absl::StatusOr<std::string> system_address(const std::string& host);

struct AddressLookup {
  std::function<absl::StatusOr<std::string>(const std::string& host)> resolve = system_address;
  /// A name that is not known yet is asked for again, `pause` apart: a new machine's may come up
  /// after it. The numbers are etcd's.
  std::chrono::nanoseconds patience = std::chrono::seconds(30);
  std::chrono::nanoseconds pause = std::chrono::seconds(1);
};

/// Tells whether two lists of URLs mean the same addresses, as etcd does: by text, and where that
/// differs once every host is looked up ("localhost" never is). All comparisons of one matcher
/// share one patience, and each host is looked up once. Blocks. One thread.
class AddressMatcher {
 public:
  explicit AddressMatcher(AddressLookup lookup = {});

  /// OK if `a` and `b`, in any order, are the same. Errors: NotFound where they differ, Unavailable
  /// where a host has no address: etcd's texts.
  absl::Status match(const std::vector<std::string>& a, const std::vector<std::string>& b);

 private:
  absl::StatusOr<std::vector<Url>> resolved(std::vector<Url> urls);
  absl::StatusOr<std::string> address(const Url& url);

  const AddressLookup lookup_;
  const std::chrono::steady_clock::time_point deadline_;
  std::map<std::string, std::string> known_;
};

}  // namespace holdfast::config
