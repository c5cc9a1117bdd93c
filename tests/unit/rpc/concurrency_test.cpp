#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "datastore/proto/rpc.pb.h"
#include "datastore/proto/v3election.pb.h"
#include "datastore/proto/v3lock.pb.h"
#include "test_door.h"

namespace holdfast::rpc {
namespace {

using namespace etcdserverpb;  // NOLINT: the requests under test
using v3electionpb::CampaignRequest;
using v3electionpb::CampaignResponse;
using v3electionpb::LeaderRequest;
using v3electionpb::LeaderResponse;
using v3electionpb::ProclaimRequest;
using v3lockpb::LockRequest;
using v3lockpb::LockResponse;
using v3lockpb::UnlockRequest;

const char* const kLock = "/v3lockpb.Lock/Lock";
const char* const kUnlock = "/v3lockpb.Lock/Unlock";
const char* const kCampaign = "/v3electionpb.Election/Campaign";
const char* const kProclaim = "/v3electionpb.Election/Proclaim";
const char* const kObserve = "/v3electionpb.Election/Observe";

/// The rules themselves are compared with etcd's in tests/conformance; here is what needs a hand on
/// the node.
class ConcurrencyTest : public RpcTest {
 protected:
  void grant(std::int64_t lease) {
    LeaseGrantRequest request;
    request.set_id(lease);
    request.set_ttl(600);
    call<LeaseGrantResponse>("/etcdserverpb.Lease/LeaseGrant", request);
  }

  /// Begins a call that waits.
  std::unique_ptr<TestStream> begin(const std::string& path,
                                    const google::protobuf::Message& request,
                                    net::H2Client::Headers headers = {}) {
    auto stream = std::make_unique<TestStream>(port_, path, 64 << 20, std::move(headers));
    stream->send(request);
    stream->half_close();
    stream->client().flush();
    return stream;
  }

  static LockRequest lock_request(std::int64_t lease) {
    LockRequest request;
    request.set_name("l");
    request.set_lease(lease);
    return request;
  }
  std::string lock(std::int64_t lease) {
    return call<LockResponse>(kLock, lock_request(lease)).key();
  }
  void unlock(const std::string& key) {
    UnlockRequest request;
    request.set_key(key);
    call<v3lockpb::UnlockResponse>(kUnlock, request);
  }

  std::vector<std::string> keys(const std::string& key, const std::string& end) {
    RangeRequest request;
    request.set_key(key);
    request.set_range_end(end);
    std::vector<std::string> found;
    const auto response = call<RangeResponse>("/etcdserverpb.KV/Range", request);
    for (const auto& kv : response.kvs()) found.push_back(kv.key());
    return found;
  }
  /// Waits until those are the keys of the queue "l".
  void await_queue(const std::vector<std::string>& expected) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (keys("l/", "l0") != expected && std::chrono::steady_clock::now() < deadline) {
    }
    EXPECT_EQ(keys("l/", "l0"), expected);
  }
};

TEST_F(ConcurrencyTest, LocksAreGivenInTurn) {
  for (const std::int64_t lease : {1, 2, 3}) grant(lease);
  EXPECT_EQ(lock(1), "l/1");
  const auto second = begin(kLock, lock_request(2));
  await_queue({"l/1", "l/2"});
  const auto third = begin(kLock, lock_request(3));
  await_queue({"l/1", "l/2", "l/3"});
  unlock("l/1");
  EXPECT_EQ(second->next<LockResponse>().key(), "l/2");
  unlock("l/2");
  EXPECT_EQ(third->next<LockResponse>().key(), "l/3");
}

TEST_F(ConcurrencyTest, WhoLeavesOrIsOutOfTimeIsOutOfTheQueue) {
  for (const std::int64_t lease : {1, 2, 3}) grant(lease);
  lock(1);
  auto second = begin(kLock, lock_request(2));
  await_queue({"l/1", "l/2"});
  second.reset();
  await_queue({"l/1"});
  const auto third = begin(kLock, lock_request(3), {{"grpc-timeout", "200m"}});
  EXPECT_EQ(third->end().substr(0, 2), "4:");
  await_queue({"l/1"});
}

TEST_F(ConcurrencyTest, ACompactionEndsNoWait) {
  grant(1);
  grant(2);
  lock(1);
  const auto second = begin(kLock, lock_request(2));
  await_queue({"l/1", "l/2"});
  node_.fill("k", 10, 10);
  node_.compact(10);
  unlock("l/1");
  EXPECT_EQ(second->next<LockResponse>().key(), "l/2");
}

TEST_F(ConcurrencyTest, AWaitGoesOnWhereTheLeadersStateHasReplacedTheMembers) {
  grant(1);
  grant(2);
  lock(1);
  const auto second = begin(kLock, lock_request(2));
  await_queue({"l/1", "l/2"});
  TestNode leader;  // has no queue at all
  leader.fill("k", 20, 10);
  node_.take_over(leader);
  EXPECT_EQ(second->end(), "2: mutex: session is expired");
}

TEST_F(ConcurrencyTest, AFullPoolDelaysAWaitButDoesNotEndIt) {
  grant(1);
  grant(2);
  lock(1);
  node_.refuse_reads(true);
  const auto second = begin(kLock, lock_request(2));
  await_queue({"l/1", "l/2"});
  unlock("l/1");
  node_.refuse_reads(false);
  EXPECT_EQ(second->next<LockResponse>().key(), "l/2");
}

TEST_F(ConcurrencyTest, AStopEndsThoseWhoWait) {
  grant(1);
  grant(2);
  lock(1);
  const auto second = begin(kLock, lock_request(2));
  LeaderRequest request;
  request.set_name("l");
  const auto observer = begin(kObserve, request);
  observer->next<LeaderResponse>();
  await_queue({"l/1", "l/2"});
  std::thread stopping([this] { server_->stop(std::chrono::seconds(10)); });
  EXPECT_EQ(second->end(), "14: etcdserver: server stopped");
  EXPECT_EQ(observer->end(), "14: etcdserver: server stopped");
  stopping.join();
}

TEST_F(ConcurrencyTest, ASlowObserverIsToldTheNewestAtLast) {
  grant(1);
  CampaignRequest campaign;
  campaign.set_name("l");
  campaign.set_lease(1);
  campaign.set_value("first");
  const auto leader = call<CampaignResponse>(kCampaign, campaign).leader();
  TestStream observer(port_, kObserve, 1000);
  observer.client().consume_automatically = false;
  LeaderRequest request;
  request.set_name("l");
  observer.send(request);
  observer.half_close();
  observer.client().flush();
  ProclaimRequest proclaim;
  *proclaim.mutable_leader() = leader;
  proclaim.set_value(std::string(200'000, 'v'));
  for (int i = 0; i < 40; ++i) call<v3electionpb::ProclaimResponse>(kProclaim, proclaim);
  proclaim.set_value("last");
  call<v3electionpb::ProclaimResponse>(kProclaim, proclaim);
  observer.client().consume_automatically = true;
  nghttp2_submit_window_update(observer.client().session(), NGHTTP2_FLAG_NONE, observer.id(),
                               64 << 20);
  nghttp2_submit_window_update(observer.client().session(), NGHTTP2_FLAG_NONE, 0, 64 << 20);
  int told = 0;
  std::string value;
  while (value != "last" && told < 50) {
    value = observer.next<LeaderResponse>().kv().value();
    ++told;
  }
  EXPECT_EQ(value, "last");
  EXPECT_LT(told, 30);
}

TEST_F(ConcurrencyTest, ManyWaitForOneLock) {
  constexpr int kWaiters = 50;
  grant(1000);
  lock(1000);
  std::vector<std::unique_ptr<TestStream>> waiting;
  std::vector<std::string> queue = {"l/3e8"};
  for (int i = 0; i < kWaiters; ++i) {
    grant(2000 + i);
    waiting.push_back(begin(kLock, lock_request(2000 + i)));
    queue.push_back(absl::StrCat("l/", absl::Hex(2000 + i)));
    await_queue(queue);
  }
  std::string held = "l/3e8";
  for (const auto& waiter : waiting) {
    unlock(held);
    held = waiter->next<LockResponse>().key();
  }
  EXPECT_EQ(held, queue.back());
}

}  // namespace
}  // namespace holdfast::rpc
