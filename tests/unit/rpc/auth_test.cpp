#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "datastore/proto/rpc.pb.h"
#include "test_door.h"

namespace holdfast::rpc {
namespace {

using namespace etcdserverpb;  // NOLINT(google-build-using-namespace): a test of them all

constexpr char kDenied[] = "7: etcdserver: permission denied";
constexpr char kNobody[] = "3: etcdserver: user name is empty";
constexpr char kBadToken[] = "16: etcdserver: invalid auth token";

/// root, and alice, who may read and write [a, c).
class AuthTest : public RpcTest {
 protected:
  void SetUp() override {
    add_user("root");
    grant("root", "root");
    call<AuthEnableResponse>("/etcdserverpb.Auth/AuthEnable", AuthEnableRequest());
    root_ = login("root");
    add_user("alice");
    AuthRoleAddRequest role;
    role.set_name("r");
    call<AuthRoleAddResponse>("/etcdserverpb.Auth/RoleAdd", role, root_);
    AuthRoleGrantPermissionRequest permission;
    permission.set_name("r");
    permission.mutable_perm()->set_permtype(authpb::Permission::READWRITE);
    permission.mutable_perm()->set_key("a");
    permission.mutable_perm()->set_range_end("c");
    call<AuthRoleGrantPermissionResponse>("/etcdserverpb.Auth/RoleGrantPermission", permission,
                                          root_);
    grant("alice", "r");
    alice_ = login("alice");
  }

  void add_user(const std::string& name) {
    AuthUserAddRequest request;
    request.set_name(name);
    request.set_password(name);
    call<AuthUserAddResponse>("/etcdserverpb.Auth/UserAdd", request, root_);
  }
  void grant(const std::string& user, const std::string& role) {
    AuthUserGrantRoleRequest request;
    request.set_user(user);
    request.set_role(role);
    call<AuthUserGrantRoleResponse>("/etcdserverpb.Auth/UserGrantRole", request, root_);
  }
  net::H2Client::Headers login(const std::string& name) {
    AuthenticateRequest request;
    request.set_name(name);
    request.set_password(name);
    return {
        {"token", call<AuthenticateResponse>("/etcdserverpb.Auth/Authenticate", request).token()}};
  }
  static std::string put_of(const std::string& key) {
    PutRequest request;
    request.set_key(key);
    return request.SerializeAsString();
  }

  net::H2Client::Headers root_;
  net::H2Client::Headers alice_;
};

TEST_F(AuthTest, EveryMethodAsksWhoCalls) {
  AlarmRequest raise;
  raise.set_action(AlarmRequest::ACTIVATE);
  MemberAddRequest add;
  add.add_peerurls("http://127.0.0.1:1");
  CompactionRequest compact;
  compact.set_revision(1);
  const struct {
    const char* path;
    std::string request;
    bool for_users;  // else for root alone
  } methods[] = {
      {"/etcdserverpb.Maintenance/Status", "", true},
      {"/etcdserverpb.Maintenance/Alarm", "", true},
      {"/etcdserverpb.Maintenance/Alarm", raise.SerializeAsString(), false},
      {"/etcdserverpb.Maintenance/Defragment", "", false},
      {"/etcdserverpb.Maintenance/Hash", "", false},
      {"/etcdserverpb.Maintenance/HashKV", "", false},
      {"/etcdserverpb.Maintenance/MoveLeader", "", false},
      {"/etcdserverpb.Maintenance/Downgrade", "", false},
      {"/etcdserverpb.Cluster/MemberList", "", true},
      {"/etcdserverpb.Cluster/MemberAdd", add.SerializeAsString(), false},
      {"/etcdserverpb.Cluster/MemberRemove", "", false},
      {"/etcdserverpb.Cluster/MemberUpdate", "", false},
      {"/etcdserverpb.Cluster/MemberPromote", "", false},
      {"/etcdserverpb.Lease/LeaseGrant", "\x08\x3c", true},
      {"/etcdserverpb.Lease/LeaseRevoke", "", true},
      {"/etcdserverpb.Lease/LeaseTimeToLive", "", true},
      {"/etcdserverpb.Lease/LeaseLeases", "", true},
      {"/etcdserverpb.KV/Compact", compact.SerializeAsString(), false},
      {"/etcdserverpb.Auth/UserList", "", false},
      {"/etcdserverpb.Auth/RoleList", "", false},
      {"/etcdserverpb.Auth/UserAdd", "", false},
      {"/etcdserverpb.Auth/UserChangePassword", "", false},
      {"/etcdserverpb.Auth/AuthDisable", "", false},
  };
  for (const auto& method : methods) {
    SCOPED_TRACE(method.path);
    EXPECT_EQ(error(method.path, method.request), kNobody);
    EXPECT_EQ(error(method.path, method.request, {{"token", "made.up"}}), kBadToken);
    const std::string answer = error(method.path, method.request, alice_);
    if (method.for_users) {
      EXPECT_NE(answer, kDenied);
      EXPECT_NE(answer, kNobody);
    } else {
      EXPECT_EQ(answer, kDenied);
    }
  }
  TestStream snapshot(port_, "/etcdserverpb.Maintenance/Snapshot", 64 << 20, alice_);
  snapshot.send(SnapshotRequest());
  snapshot.half_close();
  EXPECT_EQ(snapshot.end(), kDenied);
}

TEST_F(AuthTest, KeysAreForWhoMayReadOrWriteThem) {
  EXPECT_EQ(error("/etcdserverpb.KV/Put", put_of("a")), kNobody);
  EXPECT_EQ(error("/etcdserverpb.KV/Put", put_of("x"), alice_), kDenied);
  EXPECT_EQ(error("/etcdserverpb.KV/Put", put_of("a"), alice_), "0: ");
  RangeRequest range;
  range.set_key("a");
  range.set_range_end("c");
  EXPECT_EQ(call<RangeResponse>("/etcdserverpb.KV/Range", range, alice_).count(), 1);
  EXPECT_EQ(error("/etcdserverpb.KV/Range", range.SerializeAsString()), kNobody);
  range.set_range_end("d");
  EXPECT_EQ(error("/etcdserverpb.KV/Range", range.SerializeAsString(), alice_), kDenied);
  TxnRequest txn;
  *txn.add_failure()->mutable_request_range() = range;
  EXPECT_EQ(error("/etcdserverpb.KV/Txn", txn.SerializeAsString(), alice_), kDenied);
  TestStream stream(port_, "/etcdserverpb.KV/RangeStream", 64 << 20, alice_);
  stream.send(range);
  stream.half_close();
  EXPECT_EQ(stream.end(), kDenied);
}

TEST_F(AuthTest, TheAuthorizationHeaderIsATokenToo) {
  const std::string token = alice_.front().second;
  EXPECT_EQ(error("/etcdserverpb.KV/Put", put_of("a"), {{"authorization", token}}), "0: ");
  EXPECT_EQ(error("/etcdserverpb.KV/Put", put_of("a"), {{"authorization", "Bearer " + token}}),
            "0: ");
}

TEST_F(AuthTest, AWatchEndsWithThePermissionAndShowsNothingAfterIt) {
  TestStream watch(port_, "/etcdserverpb.Watch/Watch", 64 << 20, alice_);
  WatchRequest create;
  create.mutable_create_request()->set_key("a");
  watch.send(create);
  EXPECT_TRUE(watch.next<WatchResponse>().created());
  create.mutable_create_request()->set_key("x");
  watch.send(create);
  const WatchResponse refused = watch.next<WatchResponse>();
  EXPECT_TRUE(refused.canceled());
  EXPECT_EQ(refused.cancel_reason(),
            "rpc error: code = PermissionDenied desc = etcdserver: permission denied");

  EXPECT_EQ(error("/etcdserverpb.KV/Put", put_of("a"), root_), "0: ");
  EXPECT_EQ(watch.next<WatchResponse>().events_size(), 1);
  AuthUserRevokeRoleRequest revoke;
  revoke.set_name("alice");
  revoke.set_role("r");
  call<AuthUserRevokeRoleResponse>("/etcdserverpb.Auth/UserRevokeRole", revoke, root_);
  EXPECT_EQ(error("/etcdserverpb.KV/Put", put_of("a"), root_), "0: ");
  const WatchResponse last = watch.next<WatchResponse>();
  EXPECT_TRUE(last.canceled());
  EXPECT_EQ(last.events_size(), 0);
}

TEST_F(AuthTest, ALeaseIsKeptAliveByWhoMayWriteItsKeys) {
  LeaseGrantRequest lease;
  lease.set_id(77);
  lease.set_ttl(60);
  call<LeaseGrantResponse>("/etcdserverpb.Lease/LeaseGrant", lease, alice_);
  PutRequest put;
  put.set_key("x");
  put.set_lease(77);
  call<PutResponse>("/etcdserverpb.KV/Put", put, root_);
  LeaseKeepAliveRequest request;
  request.set_id(77);
  TestStream denied(port_, "/etcdserverpb.Lease/LeaseKeepAlive", 64 << 20, alice_);
  denied.send(request);
  EXPECT_EQ(denied.end(), kDenied);
  TestStream allowed(port_, "/etcdserverpb.Lease/LeaseKeepAlive", 64 << 20, root_);
  allowed.send(request);
  EXPECT_EQ(allowed.next<LeaseKeepAliveResponse>().ttl(), 60);
  LeaseTimeToLiveRequest times;
  times.set_id(77);
  times.set_keys(true);
  EXPECT_EQ(error("/etcdserverpb.Lease/LeaseTimeToLive", times.SerializeAsString(), alice_),
            kDenied);
  EXPECT_EQ(error("/etcdserverpb.Lease/LeaseLeases", "", alice_), kDenied);
}

TEST_F(AuthTest, PasswordsAreCheckedAndTokensEndWithAuth) {
  AuthenticateRequest wrong;
  wrong.set_name("alice");
  wrong.set_password("not hers");
  EXPECT_EQ(error("/etcdserverpb.Auth/Authenticate", wrong.SerializeAsString()),
            "3: etcdserver: authentication failed, invalid user ID or password");
  wrong.set_name("ghost");
  EXPECT_EQ(error("/etcdserverpb.Auth/Authenticate", wrong.SerializeAsString()),
            "3: etcdserver: authentication failed, invalid user ID or password");
  call<AuthDisableResponse>("/etcdserverpb.Auth/AuthDisable", AuthDisableRequest(), root_);
  EXPECT_EQ(error("/etcdserverpb.Auth/Authenticate", wrong.SerializeAsString()),
            "9: etcdserver: authentication is not enabled");
  EXPECT_EQ(error("/etcdserverpb.KV/Put", put_of("x")), "0: ");
}

}  // namespace
}  // namespace holdfast::rpc
