#include "datastore/auth/auth_store.h"

#include <gtest/gtest.h>

#include "datastore/base/errors.h"

namespace holdfast::auth {
namespace {

const Bytes kOpen(1, '\0');

NewUser with_password(BytesView name) {
  return {.name = name, .password = {.clear = {}, .hashed = "aGFzaA=="}};
}

Permission permission(PermissionType type, const Bytes& key, const Bytes& end = "") {
  return {.type = static_cast<std::int32_t>(type), .key = key, .range_end = end};
}

/// Loaded, with root and its role, enabled.
AuthStore enabled() {
  AuthStore store;
  EXPECT_EQ(store.load({}).size(), 1U);
  EXPECT_TRUE(store.add_user(with_password("root")).ok());
  EXPECT_TRUE(store.grant_role("root", "root").ok());
  EXPECT_TRUE(store.enable().ok());
  return store;
}

TEST(AuthStore, CountsFromOneAndOncePerChange) {
  AuthStore store;
  const Writes first = store.load({});
  ASSERT_EQ(first.size(), 1U);
  EXPECT_EQ(first[0].key, "authRevision");
  EXPECT_EQ(*first[0].value, Bytes("\0\0\0\0\0\0\0\1", 8));
  EXPECT_EQ(store.state()->revision(), 1U);
  ASSERT_TRUE(store.add_role("r").ok());
  EXPECT_EQ(store.state()->revision(), 2U);
  EXPECT_EQ(store.add_role("r").status(), errors::role_already_exist());
  EXPECT_EQ(store.state()->revision(), 2U);
}

TEST(AuthStore, EnablingLeavesTheRevisionAndDisablingDoesNot) {
  AuthStore store = enabled();
  EXPECT_EQ(store.state()->revision(), 3U);
  EXPECT_TRUE(store.enable()->empty());
  EXPECT_EQ(store.disable().size(), 2U);
  EXPECT_EQ(store.state()->revision(), 4U);
  EXPECT_TRUE(store.disable().empty());
}

TEST(AuthStore, AStateInHandDoesNotChange) {
  AuthStore store = enabled();
  const auto before = store.state();
  ASSERT_TRUE(store.add_user(with_password("alice")).ok());
  EXPECT_EQ(before->find_user("alice"), nullptr);
  EXPECT_NE(store.state()->find_user("alice"), nullptr);
  EXPECT_EQ(before->find_user("root"), store.state()->find_user("root")) << "not shared";
}

TEST(AuthStore, LoadsWhatItPersisted) {
  AuthStore store = enabled();
  AuthStore::Loader loader;
  const auto replay = [&](const Writes& writes) {
    for (const Write& write : writes) {
      if (write.place == Write::Place::kUsers) loader.add(*decode_user(*write.value));
      if (write.place == Write::Place::kRoles) loader.add(*decode_role(*write.value));
      if (write.key == kEnabledKey) loader.set_enabled(*write.value);
      if (write.key == kRevisionKey) {
        EXPECT_TRUE(loader.set_revision(*write.value));
      }
    }
  };
  AuthStore source;
  source.load({});
  replay(*source.add_role("r"));
  replay(*source.grant_permission("r", permission(PermissionType::kRead, "a", "c")));
  replay(*source.add_user(with_password("root")));
  replay(*source.grant_role("root", "root"));
  replay(*source.grant_role("root", "r"));
  replay(*source.enable());
  AuthStore copy;
  EXPECT_TRUE(copy.load(std::move(loader)).empty());
  EXPECT_TRUE(copy.state()->enabled());
  EXPECT_EQ(copy.state()->revision(), source.state()->revision());
  EXPECT_EQ(copy.state()->find_user("root")->user, source.state()->find_user("root")->user);
  EXPECT_EQ(*copy.state()->find_role("r"), *source.state()->find_role("r"));
  EXPECT_TRUE(copy.state()->find_user("root")->readable.covers("b", ""));
  EXPECT_FALSE(loader.set_revision("short"));
}

TEST(AuthStore, PermissionsOfAllRolesCount) {
  AuthStore store = enabled();
  ASSERT_TRUE(store.add_user(with_password("alice")).ok());
  for (const BytesView role : {"r", "s"}) {
    ASSERT_TRUE(store.add_role(role).ok());
    ASSERT_TRUE(store.grant_role("alice", role).ok());
  }
  ASSERT_TRUE(store.grant_permission("r", permission(PermissionType::kRead, "a", "c")).ok());
  ASSERT_TRUE(store.grant_permission("s", permission(PermissionType::kReadWrite, "c", "e")).ok());
  const auto state = store.state();
  const Identity alice{"alice", state->revision()};
  EXPECT_TRUE(state->check_read(alice, "a", "e").ok());
  EXPECT_EQ(state->check_write(alice, "a", "e"), errors::permission_denied());
  EXPECT_TRUE(state->check_write(alice, "d", "").ok());
  ASSERT_TRUE(store.revoke_role("alice", "s").ok());
  EXPECT_EQ(state->check_read(alice, "d", ""), absl::OkStatus());
  EXPECT_EQ(store.state()->check_read(alice, "d", ""), errors::auth_old_revision());
  EXPECT_EQ(store.state()->check_read({"alice", store.state()->revision()}, "d", ""),
            errors::permission_denied());
}

TEST(AuthStore, ASecondRangeFromOneKeyIsGrantedTwiceAsInEtcd) {
  AuthStore store = enabled();
  ASSERT_TRUE(store.add_role("r").ok());
  for (const BytesView end : {"b", "c"}) {
    ASSERT_TRUE(
        store.grant_permission("r", permission(PermissionType::kRead, "a", Bytes(end))).ok());
  }
  ASSERT_TRUE(store.grant_permission("r", permission(PermissionType::kWrite, "a", "c")).ok());
  EXPECT_EQ(store.state()->find_role("r")->permissions.size(), 3U);
  ASSERT_TRUE(store.grant_permission("r", permission(PermissionType::kWrite, "a", "b")).ok());
  EXPECT_EQ(store.state()->find_role("r")->permissions.size(), 3U);
  ASSERT_TRUE(store.revoke_permission("r", "a", "c").ok());
  EXPECT_EQ(store.state()->find_role("r")->permissions.size(), 1U);
}

TEST(AuthStore, RefusesPasswordsThatAreNoHashes) {
  AuthStore store = enabled();
  for (const BytesView bad :
       {"a", "ab", "abc", "ab=c", "a===", "====", "ab c", "\xff\xff\xff\xff"}) {
    EXPECT_EQ(store.add_user({.name = "u", .password = {.clear = {}, .hashed = bad}}).status(),
              errors::no_password_user())
        << bad;
  }
  EXPECT_TRUE(absl::IsUnimplemented(
      store.add_user({.name = "u", .password = {.clear = "x", .hashed = {}}}).status()));
  const struct {
    BytesView text, hash;
  } good[] = {{"", ""}, {"aGFzaA==", "hash"}, {"aGFz\r\naDI=", "hash2"}, {"aGFz", "has"}};
  for (const auto& c : good) {
    ASSERT_TRUE(store.add_user({.name = "u", .password = {.clear = {}, .hashed = c.text}}).ok());
    EXPECT_EQ(store.state()->find_user("u")->user.password_hash, c.hash);
    ASSERT_TRUE(store.delete_user("u").ok());
  }
}

TEST(AuthState, NobodyAndStrangersMayNothing) {
  const AuthStore store = enabled();
  const auto state = store.state();
  EXPECT_EQ(state->check_read({}, "a", ""), errors::user_empty());
  EXPECT_EQ(state->check_read({"ghost", state->revision()}, "a", ""), errors::permission_denied());
  EXPECT_EQ(state->check_admin({}), errors::user_empty());
  EXPECT_EQ(state->check_admin({"ghost", 0}), errors::user_not_found());
  EXPECT_TRUE(state->check_admin({"root", 1}).ok()) << "an old revision is enough";
  EXPECT_EQ(state->check_read({"root", 1}, "a", ""), errors::auth_old_revision());
  EXPECT_TRUE(state->check_write({"root", state->revision()}, "a", kOpen).ok());
  EXPECT_TRUE(AuthStore().state()->check_write({}, "a", "").ok()) << "disabled";
}

}  // namespace
}  // namespace holdfast::auth
