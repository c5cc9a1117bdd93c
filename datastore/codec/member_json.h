#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "datastore/base/bytes.h"
#include "datastore/base/ids.h"

/// A member as etcd writes it in JSON: configuration changes, the members bucket, /members
/// (etcd-facts 1.3, 2.5, 3.8).
namespace holdfast::codec {

struct Member {
  MemberId id;
  std::vector<std::string> peer_urls;
  bool is_learner = false;
  std::string name;
  std::vector<std::string> client_urls;
  friend bool operator==(const Member&, const Member&) = default;
};

/// The bytes that etcd would write: its order of fields, its escapes, empty ones left out; the
/// members bucket is hashed.
Bytes encode_member_json(const Member& member);
/// Errors: InvalidArgument for what is not a JSON object with a numeric id.
absl::StatusOr<Member> decode_member_json(BytesView json);

/// The context of a change that makes a learner a voter.
Bytes encode_promotion_json(MemberId id);
/// True if a change's context asks for a promotion. Errors as decode_member_json().
absl::StatusOr<bool> is_promotion_json(BytesView json);

}  // namespace holdfast::codec
