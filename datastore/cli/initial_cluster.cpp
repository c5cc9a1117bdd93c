#include "datastore/cli/initial_cluster.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_split.h"

namespace holdfast::cli {

std::vector<node::InitialMember> parse_initial_cluster(const std::string& text) {
  std::vector<node::InitialMember> members;
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    const std::pair<std::string, std::string> named = absl::StrSplit(part, absl::MaxSplits('=', 1));
    const auto at = std::find_if(members.begin(), members.end(),
                                 [&](const auto& member) { return member.name == named.first; });
    if (at != members.end()) {
      at->peer_urls.push_back(named.second);
    } else {
      members.push_back({named.first, {named.second}});
    }
  }
  return members;
}

}  // namespace holdfast::cli
