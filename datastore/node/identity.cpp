#include "datastore/node/identity.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "datastore/base/bytes.h"
#include "datastore/crypto/digest.h"

namespace holdfast::node {

namespace {
std::uint64_t first_eight_of_sha1(BytesView data) {
  return load_be64(crypto::sha1(data).data());
}

MemberId member_id(std::vector<std::string> peer_urls, const std::string& suffix) {
  std::sort(peer_urls.begin(), peer_urls.end());
  return MemberId(first_eight_of_sha1(absl::StrCat(absl::StrJoin(peer_urls, ""), suffix)));
}
}  // namespace

MemberId static_member_id(std::vector<std::string> peer_urls, const std::string& token) {
  return member_id(std::move(peer_urls), token);
}

MemberId added_member_id(std::vector<std::string> peer_urls, std::int64_t unix_seconds) {
  return member_id(std::move(peer_urls), absl::StrCat(unix_seconds));
}

ClusterId cluster_id(std::vector<MemberId> initial_members) {
  std::sort(initial_members.begin(), initial_members.end());
  Bytes ids(initial_members.size() * 8, '\0');
  for (std::size_t i = 0; i < initial_members.size(); ++i) {
    store_be64(&ids[i * 8], initial_members[i].value);
  }
  return ClusterId(first_eight_of_sha1(ids));
}

std::string to_hex(std::uint64_t id) {
  return absl::StrCat(absl::Hex(id));
}

}  // namespace holdfast::node
