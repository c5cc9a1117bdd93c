#include "operator/kube/event_recorder.h"

#include "gtest/gtest.h"
#include "tests/unit/kube/fake_client.h"
#include "tests/unit/kube/manual_clock.h"
#include "tests/unit/kube/scripted_server.h"

namespace holdfast::kube {
namespace {

using Type = EventRecorder::Type;

Json cluster(const std::string& name) {
  return {{"apiVersion", "example.com/v1"},
          {"kind", "Thing"},
          {"metadata", {{"name", name}, {"namespace", "n"}, {"uid", "uid-" + name}}}};
}

class EventRecorderTest : public testing::Test {
 protected:
  std::unique_ptr<telemetry::Logger> log = telemetry::Logger::none();
  ManualClock clock;
  FakeClient client;
};

TEST_F(EventRecorderTest, RepeatsBecomeASeriesOfOneEvent) {
  EventRecorder events(client, {.instance = "pod-1"}, *log, 1, clock);
  events.start();
  events.record(cluster("a"), Type::kWarning, "Unhealthy", "Probe", "member 2 does not answer");
  ASSERT_TRUE(eventually([&] { return client.objects().size() == 1; }));
  for (int i = 0; i < 500; ++i) {
    events.record(cluster("a"), Type::kWarning, "Unhealthy", "Probe", "member 2 does not answer");
  }
  events.stop();
  ASSERT_EQ(client.objects().size(), 1U);
  const Json event = client.objects().begin()->second;
  EXPECT_EQ(integer_at(event, {"series", "count"}), 501);
  EXPECT_EQ(text_at(event, {"regarding", "uid"}), "uid-a");
  EXPECT_EQ(text_at(event, {"reportingInstance"}), "pod-1");
  EXPECT_EQ(namespace_of(event), "n");
  EXPECT_LE(client.requests().size(), 3U) << "a series is not written for each repeat";
}

TEST_F(EventRecorderTest, DifferentNotesAreDifferentEvents) {
  EventRecorder events(client, {}, *log, 1, clock);
  events.record(cluster("a"), Type::kNormal, "Moved", "Move", "leader to 1");
  events.record(cluster("a"), Type::kNormal, "Moved", "Move", "leader to 2");
  events.start();
  events.stop();
  EXPECT_EQ(client.objects().size(), 2U);
}

TEST_F(EventRecorderTest, OneObjectCannotFloodTheServer) {
  EventRecorder events(client, {}, *log, 1, clock);
  for (int i = 0; i < 100; ++i) {
    events.record(cluster("a"), Type::kNormal, "R", "A", "note " + std::to_string(i));
  }
  events.record(cluster("b"), Type::kNormal, "R", "A", "note");
  events.start();
  events.stop();
  EXPECT_EQ(client.objects().size(), 26U);
  EXPECT_EQ(events.dropped(), 75U);
}

TEST_F(EventRecorderTest, FullQueueDropsAndNeverWaits) {
  EventRecorder events(client, {.max_queued = 10}, *log, 1, clock);  // not started
  for (int i = 0; i < 1'000; ++i) {
    events.record(cluster(std::to_string(i)), Type::kNormal, "R", "A", "note");
  }
  EXPECT_EQ(events.dropped(), 990U);
}

TEST_F(EventRecorderTest, FailingServerCostsEventsAndNothingElse) {
  client.fault = [](const Request&) { return fault_status(403, "Forbidden", Fate::kRejected); };
  EventRecorder events(client, {}, *log, 1, clock);
  events.record(cluster("a"), Type::kNormal, "R", "A", "note");
  events.start();
  events.stop();
  EXPECT_EQ(events.dropped(), 1U);
}

TEST_F(EventRecorderTest, LongTextsAreCutBetweenCharacters) {
  EventRecorder events(client, {}, *log, 1, clock);
  std::string note(1023, 'x');
  note += "\u00e9 and more";
  events.record(cluster(std::string(250, 'n')), Type::kNormal, "R", "A", note);
  events.start();
  events.stop();
  ASSERT_EQ(client.objects().size(), 1U);
  const Json event = client.objects().begin()->second;
  EXPECT_EQ(text_at(event, {"note"}), std::string(1023, 'x'));
  EXPECT_LE(name_of(event).size(), 253U);
}

}  // namespace
}  // namespace holdfast::kube
