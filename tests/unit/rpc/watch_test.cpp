#include "datastore/proto/rpc.pb.h"
#include "test_door.h"

namespace holdfast::rpc {
namespace {

using namespace etcdserverpb;  // NOLINT: the requests under test

class WatchTest : public RpcTest {
 protected:
  using RpcTest::RpcTest;

  static WatchRequest create(const std::string& key, const std::string& end = "",
                             std::int64_t start = 0) {
    WatchRequest request;
    request.mutable_create_request()->set_key(key);
    request.mutable_create_request()->set_range_end(end);
    request.mutable_create_request()->set_start_revision(start);
    return request;
  }
  TestStream open() { return TestStream(port_, "/etcdserverpb.Watch/Watch"); }
  void put(const std::string& key, const std::string& value) {
    PutRequest request;
    request.set_key(key);
    request.set_value(value);
    call<PutResponse>("/etcdserverpb.KV/Put", request);
  }
  void remove(const std::string& key) {
    DeleteRangeRequest request;
    request.set_key(key);
    call<DeleteRangeResponse>("/etcdserverpb.KV/DeleteRange", request);
  }
};

TEST_F(WatchTest, EventsFollowTheirCreation) {
  TestStream stream = open();
  stream.send(create("a", "c"));
  const auto created = stream.next<WatchResponse>();
  EXPECT_TRUE(created.created());
  EXPECT_EQ(created.watch_id(), 0);
  EXPECT_EQ(created.header().revision(), 1);
  EXPECT_EQ(created.header().member_id(), 7U);
  put("b", "1");
  put("z", "no");
  remove("b");
  const auto first = stream.next<WatchResponse>();
  ASSERT_EQ(first.events_size(), 1);
  EXPECT_EQ(first.events(0).kv().value(), "1");
  EXPECT_EQ(first.header().revision(), 2);
  const auto second = stream.next<WatchResponse>();
  ASSERT_EQ(second.events_size(), 1);
  EXPECT_EQ(second.events(0).type(), mvccpb::Event::DELETE);
  EXPECT_EQ(second.events(0).kv().mod_revision(), 4);
}

TEST_F(WatchTest, ThePastIsReadFromHistoryAcrossBackendAndOverlay) {
  node_.fill("k", 50, 10);
  node_.drain();
  node_.fill("k", 50, 20);
  TestStream stream = open();
  WatchRequest request = create("k", "l", 2);
  request.mutable_create_request()->set_prev_kv(true);
  stream.send(request);
  EXPECT_TRUE(stream.next<WatchResponse>().created());
  std::vector<mvccpb::Event> events;
  while (events.size() < 100) {
    const auto response = stream.next<WatchResponse>();
    if (response.events_size() == 0) break;
    events.insert(events.end(), response.events().begin(), response.events().end());
  }
  ASSERT_EQ(events.size(), 100U);
  for (std::size_t i = 0; i < events.size(); ++i) {
    EXPECT_EQ(events[i].kv().mod_revision(), static_cast<std::int64_t>(i) + 2);
    EXPECT_EQ(events[i].has_prev_kv(), i >= 50);
  }
  put("k", "live");
  const auto live = stream.next<WatchResponse>();
  ASSERT_EQ(live.events_size(), 1);
  EXPECT_EQ(live.events(0).kv().value(), "live");
}

TEST_F(WatchTest, PreviousValuesAndFilters) {
  put("k", "old");
  TestStream stream = open();
  WatchRequest with_previous = create("k");
  with_previous.mutable_create_request()->set_prev_kv(true);
  stream.send(with_previous);
  stream.next<WatchResponse>();
  WatchRequest deletes = create("k");
  deletes.mutable_create_request()->add_filters(WatchCreateRequest::NOPUT);
  deletes.mutable_create_request()->set_watch_id(9);
  stream.send(deletes);
  EXPECT_EQ(stream.next<WatchResponse>().watch_id(), 9);
  put("k", "new");
  const auto event = stream.next<WatchResponse>();
  EXPECT_EQ(event.watch_id(), 0);
  EXPECT_EQ(event.events(0).prev_kv().value(), "old");
  remove("k");
  const auto one = stream.next<WatchResponse>();
  const auto other = stream.next<WatchResponse>();
  EXPECT_EQ(one.watch_id() + other.watch_id(), 9);
}

TEST_F(WatchTest, RefusalsAreToldAsEtcdTellsThem) {
  TestStream stream = open();
  stream.send(create("b", "a"));
  const auto empty = stream.next<WatchResponse>();
  EXPECT_TRUE(empty.created() && empty.canceled());
  EXPECT_EQ(empty.watch_id(), -1);
  EXPECT_EQ(empty.cancel_reason(), "mvcc: watcher range is empty");
  stream.send(create("a", "", -5));
  EXPECT_EQ(stream.next<WatchResponse>().cancel_reason(),
            "etcdserver: mvcc: required revision has been compacted");
  WatchRequest chosen = create("a");
  chosen.mutable_create_request()->set_watch_id(3);
  stream.send(chosen);
  EXPECT_EQ(stream.next<WatchResponse>().watch_id(), 3);
  stream.send(chosen);
  EXPECT_EQ(stream.next<WatchResponse>().cancel_reason(),
            "mvcc: duplicate watch ID provided on the WatchStream");
  WatchRequest cancel;
  cancel.mutable_cancel_request()->set_watch_id(3);
  stream.send(cancel);
  const auto canceled = stream.next<WatchResponse>();
  EXPECT_TRUE(canceled.canceled());
  EXPECT_FALSE(canceled.created());
  EXPECT_EQ(canceled.watch_id(), 3);
  stream.send(cancel);  // no answer: there is no such watch any more
  stream.send(create("a"));
  EXPECT_EQ(stream.next<WatchResponse>().watch_id(), 0);
}

TEST_F(WatchTest, ACompactedStartCancels) {
  node_.fill("k", 10, 10);
  node_.compact(8);
  TestStream stream = open();
  stream.send(create("k", "l", 3));
  EXPECT_TRUE(stream.next<WatchResponse>().created());
  const auto canceled = stream.next<WatchResponse>();
  EXPECT_TRUE(canceled.canceled());
  EXPECT_EQ(canceled.compact_revision(), 8);
  EXPECT_EQ(canceled.cancel_reason(), "");
  EXPECT_EQ(canceled.header().revision(), 0);
  stream.send(create("k", "l", 8));
  EXPECT_TRUE(stream.next<WatchResponse>().created());
  EXPECT_EQ(stream.next<WatchResponse>().events(0).kv().mod_revision(), 8);
}

TEST_F(WatchTest, AfterTheLeadersStateReplacedOursWatchesReadWhatTheySkipped) {
  TestStream stream = open();
  stream.send(create("k", "l"));
  EXPECT_TRUE(stream.next<WatchResponse>().created());
  TestNode leader;
  leader.fill("k", 5, 10);
  node_.take_over(leader);
  std::vector<mvccpb::Event> events;
  while (events.size() < 5) {
    const auto response = stream.next<WatchResponse>();
    if (response.events_size() == 0) break;
    events.insert(events.end(), response.events().begin(), response.events().end());
  }
  ASSERT_EQ(events.size(), 5U);
  for (std::size_t i = 0; i < events.size(); ++i) {
    EXPECT_EQ(events[i].kv().mod_revision(), static_cast<std::int64_t>(i) + 2);
  }
  put("k", "live");
  const auto live = stream.next<WatchResponse>();
  ASSERT_EQ(live.events_size(), 1);
  EXPECT_EQ(live.events(0).kv().mod_revision(), 7);
}

TEST_F(WatchTest, WhatTheLeaderCompactedMeanwhileEndsTheWatchWithThatRevision) {
  TestStream stream = open();
  stream.send(create("k", "l"));
  EXPECT_TRUE(stream.next<WatchResponse>().created());
  TestNode leader;
  leader.fill("k", 5, 10);
  leader.compact(4);
  node_.take_over(leader);
  const auto canceled = stream.next<WatchResponse>();
  EXPECT_TRUE(canceled.canceled());
  EXPECT_EQ(canceled.compact_revision(), 4);
}

TEST_F(WatchTest, ProgressIsToldWhenAllWatchesAreLive) {
  put("a", "1");
  TestStream stream = open();
  WatchRequest progress;
  progress.mutable_progress_request();
  stream.send(create("a", "", 2));
  EXPECT_TRUE(stream.next<WatchResponse>().created());
  EXPECT_EQ(stream.next<WatchResponse>().events_size(), 1);
  stream.send(progress);
  const auto answer = stream.next<WatchResponse>();
  EXPECT_EQ(answer.watch_id(), -1);
  EXPECT_EQ(answer.header().revision(), 2);
  EXPECT_EQ(answer.events_size(), 0);
  stream.send(create("b", "", 1000));
  stream.next<WatchResponse>();
  stream.send(progress);  // one watch begins in the future: no answer
  put("a", "2");
  EXPECT_EQ(stream.next<WatchResponse>().events_size(), 1);
}

TEST_F(WatchTest, ASlowClientFallsBackToHistoryAndLosesNothing) {
  TestStream stream(port_, "/etcdserverpb.Watch/Watch", 65'535);
  stream.client().consume_automatically = false;
  stream.send(create("k", "l"));
  stream.next<WatchResponse>();
  constexpr int kRounds = 20;
  for (int i = 0; i < kRounds; ++i) node_.fill("k", 100, 10'000);
  // Nothing is read: 20 MB of events can't all be waiting for this client.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (observer_.slow_now == 0 && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::yield();
    put("unrelated", "x");
  }
  EXPECT_EQ(observer_.slow_now, 1U);
  stream.client().consume_automatically = true;
  nghttp2_submit_window_update(stream.client().session(), 0, stream.id(), 64 << 20);
  nghttp2_submit_window_update(stream.client().session(), 0, 0, 64 << 20);
  std::int64_t expected = 2;
  std::size_t seen = 0;
  while (seen < kRounds * 100) {
    const auto response = stream.next<WatchResponse>();
    if (response.events_size() == 0) break;
    for (const auto& event : response.events()) {
      ASSERT_EQ(event.kv().mod_revision(), expected++);
      ++seen;
    }
  }
  EXPECT_EQ(seen, static_cast<std::size_t>(kRounds * 100));
}

class SmallFragmentTest : public WatchTest {
 protected:
  SmallFragmentTest() : WatchTest(Options{.max_request_bytes = 1000}) {}
};

TEST_F(SmallFragmentTest, FragmentsAreMarkedButTheLast) {
  node_.fill("k", 20, 100'000);
  TestStream stream = open();
  WatchRequest request = create("k", "l", 2);
  request.mutable_create_request()->set_fragment(true);
  stream.send(request);
  stream.next<WatchResponse>();
  int events = 0;
  int responses = 0;
  while (events < 20) {
    const auto response = stream.next<WatchResponse>();
    if (response.events_size() == 0) break;
    events += response.events_size();
    ++responses;
    EXPECT_LT(response.ByteSizeLong(), 1000 + kMessageOverheadBytes);
  }
  EXPECT_EQ(events, 20);
  EXPECT_GE(responses, 4);
}

TEST_F(WatchTest, ManyWatchesGoWithTheirStream) {
  {
    TestStream stream = open();
    for (int i = 0; i < 100; ++i) stream.send(create("k" + std::to_string(i)));
    for (int i = 0; i < 100; ++i) EXPECT_EQ(stream.next<WatchResponse>().watch_id(), i);
    EXPECT_EQ(observer_.watchers_now, 100U);
  }
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (observer_.watchers_now != 0 && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::yield();
  }
  EXPECT_EQ(observer_.watchers_now, 0U);
}

TEST_F(WatchTest, NonsenseEndsTheStream) {
  TestStream stream = open();
  stream.send(create("a"));
  stream.next<WatchResponse>();
  stream.client().send(stream.id(), net::framed(std::string("\x0a\x05"
                                                            "a",
                                                            3)));
  EXPECT_EQ(stream.end(),
            "13: grpc: failed to unmarshal the received message: WatchRequest: field 1: length "
            "runs past the end");
}

}  // namespace
}  // namespace holdfast::rpc
