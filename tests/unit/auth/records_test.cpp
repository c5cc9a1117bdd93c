#include "datastore/auth/records.h"

#include <gtest/gtest.h>

#include "datastore/proto/auth.pb.h"

namespace holdfast::auth {
namespace {

// The generated classes write the same canonical protobuf as etcd's.
TEST(Records, UsersEqualTheGeneratedClasses) {
  for (const bool with_options : {false, true}) {
    for (const bool no_password : {false, true}) {
      User user{.name = "alice", .password_hash = "$2a$hash", .roles = {"a", "b"}};
      authpb::User expected;
      expected.set_name("alice");
      expected.set_password("$2a$hash");
      expected.add_roles("a");
      expected.add_roles("b");
      if (with_options) {
        user.no_password = no_password;
        expected.mutable_options()->set_no_password(no_password);
      }
      EXPECT_EQ(encode_user(user), expected.SerializeAsString());
      EXPECT_EQ(*decode_user(expected.SerializeAsString()), user);
    }
  }
}

TEST(Records, RolesEqualTheGeneratedClasses) {
  Role role{.name = "r",
            .permissions = {{.type = 0, .key = "a", .range_end = ""},
                            {.type = 2, .key = "b", .range_end = Bytes(1, '\0')},
                            {.type = -7, .key = "", .range_end = ""}}};
  authpb::Role expected;
  expected.set_name("r");
  for (const Permission& each : role.permissions) {
    auto* permission = expected.add_keypermission();
    permission->set_permtype(static_cast<authpb::Permission_Type>(each.type));
    permission->set_key(each.key);
    permission->set_range_end(each.range_end);
  }
  EXPECT_EQ(encode_role(role), expected.SerializeAsString());
  EXPECT_EQ(*decode_role(expected.SerializeAsString()), role);
}

TEST(Records, DamageIsFound) {
  for (const BytesView bad : {"\x0a\x05"
                              "ab",
                              "\xff", "\x0b", "\x1a", "\x22\x02\x08"}) {
    EXPECT_TRUE(absl::IsDataLoss(decode_user(bad).status()));
    EXPECT_TRUE(absl::IsDataLoss(decode_role(BytesView("\x12\x02\x12\x09", 4)).status()));
  }
}

}  // namespace
}  // namespace holdfast::auth
