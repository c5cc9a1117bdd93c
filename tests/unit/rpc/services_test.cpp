#include <google/protobuf/descriptor.pb.h>

#include <set>

#include "datastore/crypto/digest.h"
#include "datastore/proto/health.pb.h"
#include "datastore/proto/reflection_v1.pb.h"
#include "datastore/proto/rpc.pb.h"
#include "test_door.h"

namespace holdfast::rpc {
namespace {

using namespace etcdserverpb;  // NOLINT: the requests under test

class ServicesTest : public RpcTest {};

TEST_F(ServicesTest, LeasesLiveAndEnd) {
  LeaseGrantRequest grant;
  grant.set_ttl(60);
  const auto granted = call<LeaseGrantResponse>("/etcdserverpb.Lease/LeaseGrant", grant);
  EXPECT_GT(granted.id(), 0);
  EXPECT_EQ(granted.ttl(), 60);
  PutRequest put;
  put.set_key("k");
  put.set_lease(granted.id());
  call<PutResponse>("/etcdserverpb.KV/Put", put);

  LeaseTimeToLiveRequest ttl;
  ttl.set_id(granted.id());
  ttl.set_keys(true);
  const auto times = call<LeaseTimeToLiveResponse>("/etcdserverpb.Lease/LeaseTimeToLive", ttl);
  EXPECT_EQ(times.grantedttl(), 60);
  ASSERT_EQ(times.keys_size(), 1);
  EXPECT_EQ(times.keys(0), "k");
  ttl.set_id(4);
  const auto none = call<LeaseTimeToLiveResponse>("/etcdserverpb.Lease/LeaseTimeToLive", ttl);
  EXPECT_EQ(none.ttl(), -1);
  EXPECT_EQ(none.id(), 4);

  const auto leases =
      call<LeaseLeasesResponse>("/etcdserverpb.Lease/LeaseLeases", LeaseLeasesRequest());
  ASSERT_EQ(leases.leases_size(), 1);
  EXPECT_EQ(leases.leases(0).id(), granted.id());

  LeaseRevokeRequest revoke;
  revoke.set_id(granted.id());
  EXPECT_EQ(
      call<LeaseRevokeResponse>("/etcdserverpb.Lease/LeaseRevoke", revoke).header().revision(), 3);
  EXPECT_EQ(error("/etcdserverpb.Lease/LeaseRevoke", revoke.SerializeAsString()),
            "5: etcdserver: requested lease not found");
}

TEST_F(ServicesTest, KeepAlivesAreAnsweredInOrder) {
  LeaseGrantRequest grant;
  grant.set_ttl(60);
  grant.set_id(5);
  call<LeaseGrantResponse>("/etcdserverpb.Lease/LeaseGrant", grant);
  TestStream stream(port_, "/etcdserverpb.Lease/LeaseKeepAlive");
  LeaseKeepAliveRequest request;
  for (int i = 0; i < 100; ++i) {
    request.set_id(i % 2 == 0 ? 5 : 6);
    stream.send(request);
  }
  stream.half_close();
  for (int i = 0; i < 100; ++i) {
    const auto answer = stream.next<LeaseKeepAliveResponse>();
    EXPECT_EQ(answer.id(), i % 2 == 0 ? 5 : 6);
    EXPECT_EQ(answer.ttl(), i % 2 == 0 ? 60 : 0);
  }
  EXPECT_EQ(stream.end(), "0: ");
}

TEST_F(ServicesTest, StatusAndAlarms) {
  AlarmRequest alarm;
  alarm.set_action(AlarmRequest::ACTIVATE);
  alarm.set_memberid(7);
  alarm.set_alarm(NOSPACE);
  EXPECT_EQ(call<AlarmResponse>("/etcdserverpb.Maintenance/Alarm", alarm).alarms(0).alarm(),
            NOSPACE);
  const auto status = call<StatusResponse>("/etcdserverpb.Maintenance/Status", StatusRequest());
  EXPECT_EQ(status.version(), "3.7.1");
  EXPECT_EQ(status.leader(), 7U);
  EXPECT_EQ(status.dbsize(), 4096);
  EXPECT_EQ(status.dbsizeinuse(), 2048);
  EXPECT_EQ(status.storageversion(), "3.7.0");
  EXPECT_EQ(status.dbsizequota(), std::int64_t{2} << 30);
  ASSERT_EQ(status.errors_size(), 1);
  EXPECT_EQ(status.errors(0), "memberID:7 alarm:NOSPACE");
}

TEST_F(ServicesTest, AFullDiskIsAmongTheErrors) {
  const auto told = [this] {
    return call<StatusResponse>("/etcdserverpb.Maintenance/Status", StatusRequest()).errors();
  };
  EXPECT_EQ(told().size(), 0);
  node_.set_disk_full(true);
  ASSERT_EQ(told().size(), 1);
  EXPECT_EQ(told()[0], errors::kDiskFull);
}

TEST_F(ServicesTest, AnAlarmOfNoMemberIsShownWithoutOne) {
  AlarmRequest alarm;
  alarm.set_action(AlarmRequest::ACTIVATE);
  alarm.set_alarm(CORRUPT);
  call<AlarmResponse>("/etcdserverpb.Maintenance/Alarm", alarm);
  const auto status = call<StatusResponse>("/etcdserverpb.Maintenance/Status", StatusRequest());
  ASSERT_EQ(status.errors_size(), 1);
  EXPECT_EQ(status.errors(0), "alarm:CORRUPT");
}

TEST_F(ServicesTest, HashesAndSmallMaintenance) {
  HashKVRequest hash_kv;
  hash_kv.set_revision(2);
  const auto hash = call<HashKVResponse>("/etcdserverpb.Maintenance/HashKV", hash_kv);
  EXPECT_EQ(hash.hash(), 12U);
  EXPECT_EQ(hash.compact_revision(), -1);
  EXPECT_EQ(hash.hash_revision(), 2);
  EXPECT_EQ(call<HashResponse>("/etcdserverpb.Maintenance/Hash", HashRequest()).hash(), 11U);
  EXPECT_FALSE(call<DefragmentResponse>("/etcdserverpb.Maintenance/Defragment", DefragmentRequest())
                   .has_header());
  MoveLeaderRequest move;
  move.set_targetid(3);
  EXPECT_EQ(error("/etcdserverpb.Maintenance/MoveLeader", move.SerializeAsString()),
            "9: etcdserver: bad leader transferee");
}

TEST_F(ServicesTest, SnapshotsEndWithTheirDigest) {
  node_.fill("k", 1000, 1000);
  net::H2Client client(port_, 64 << 20);
  const auto reply = client.unary("/etcdserverpb.Maintenance/Snapshot", "");
  ASSERT_EQ(reply.at("grpc-status"), "0") << reply.at("grpc-message");
  const auto messages = reply.messages();
  ASSERT_GE(messages.size(), 3U);
  crypto::Sha256 digest;
  std::uint64_t size = 0;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    SnapshotResponse piece;
    ASSERT_TRUE(piece.ParseFromString(messages[i]));
    EXPECT_EQ(piece.version(), "3.7.0");
    EXPECT_EQ(piece.has_header(), i == 0);
    if (i + 1 == messages.size()) {
      const auto expected = digest.finish();
      EXPECT_EQ(piece.blob(), std::string(expected.data(), expected.size()));
      break;
    }
    digest.update(piece.blob());
    size += piece.blob().size();
    EXPECT_EQ(piece.remaining_bytes() == 0, i + 2 == messages.size());
  }
  EXPECT_GT(size, 1'000'000U);
  EXPECT_EQ(observer_.snapshot_code, 0);
}

TEST_F(ServicesTest, AuthenticationIsDisabled) {
  const auto status =
      call<AuthStatusResponse>("/etcdserverpb.Auth/AuthStatus", AuthStatusRequest());
  EXPECT_FALSE(status.enabled());
  EXPECT_EQ(status.authrevision(), 1U);
  EXPECT_EQ(error("/etcdserverpb.Auth/AuthEnable", ""), "9: etcdserver: root user does not exist");
}

TEST_F(ServicesTest, HealthIsAskedAndWatched) {
  using grpc::health::v1::HealthCheckRequest;
  using grpc::health::v1::HealthCheckResponse;
  HealthCheckRequest request;
  EXPECT_EQ(call<HealthCheckResponse>("/grpc.health.v1.Health/Check", request).status(),
            HealthCheckResponse::SERVING);
  TestStream watch(port_, "/grpc.health.v1.Health/Watch");
  watch.send(request);
  watch.half_close();
  EXPECT_EQ(watch.next<HealthCheckResponse>().status(), HealthCheckResponse::SERVING);
  rpc_->set_serving(false);
  EXPECT_EQ(watch.next<HealthCheckResponse>().status(), HealthCheckResponse::NOT_SERVING);
  request.set_service("nobody");
  EXPECT_EQ(error("/grpc.health.v1.Health/Check", request.SerializeAsString()),
            "5: unknown service");
}

TEST_F(ServicesTest, ReflectionDescribesEveryService) {
  using grpc::reflection::v1::ServerReflectionRequest;
  using grpc::reflection::v1::ServerReflectionResponse;
  TestStream stream(port_, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
  ServerReflectionRequest request;
  request.set_list_services("");
  stream.send(request);
  const auto services = stream.next<ServerReflectionResponse>();
  std::set<std::string> names;
  for (const auto& service : services.list_services_response().service()) {
    names.insert(service.name());
  }
  for (const char* name :
       {"etcdserverpb.KV", "etcdserverpb.Watch", "etcdserverpb.Auth", "grpc.health.v1.Health",
        "v3lockpb.Lock", "v3electionpb.Election", "grpc.reflection.v1alpha.ServerReflection"}) {
    EXPECT_TRUE(names.contains(name)) << name;
  }
  request.set_file_containing_symbol("etcdserverpb.KV");
  stream.send(request);
  const auto files = stream.next<ServerReflectionResponse>();
  google::protobuf::FileDescriptorProto file;
  ASSERT_GE(files.file_descriptor_response().file_descriptor_proto_size(), 3);
  ASSERT_TRUE(file.ParseFromString(files.file_descriptor_response().file_descriptor_proto(0)));
  EXPECT_EQ(file.package(), "etcdserverpb");
  request.set_file_containing_symbol("no.such.Thing");
  stream.send(request);
  EXPECT_EQ(stream.next<ServerReflectionResponse>().error_response().error_code(), 5);
  stream.half_close();
  EXPECT_EQ(stream.end(), "0: ");
}

}  // namespace
}  // namespace holdfast::rpc
