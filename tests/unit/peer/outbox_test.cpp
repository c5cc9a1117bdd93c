#include "datastore/peer/outbox.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

namespace holdfast::peer {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr MemberId kPeer(1);
constexpr MemberId kOther(2);

raft::Message heartbeat(MemberId to = kPeer) {
  raft::Message message;
  message.type = raft::MessageType::kHeartbeat;
  message.to = to;
  return message;
}

raft::Message with_entry(std::size_t size_bytes, MemberId to = kPeer) {
  raft::Message message;
  message.type = raft::MessageType::kApp;
  message.to = to;
  message.entries.push_back({.data = Bytes(size_bytes, 'e')});
  return message;
}

bool put(Outbox& outbox, raft::Message message) {
  std::vector<raft::Message> messages;
  messages.push_back(std::move(message));
  return outbox.put(std::move(messages));
}

TEST(Outbox, SomebodyIsToComeOnceForAllThatIsInIt) {
  Outbox outbox(kMiB);
  EXPECT_TRUE(put(outbox, heartbeat()));
  EXPECT_FALSE(put(outbox, heartbeat()));
  EXPECT_EQ(outbox.take().messages.size(), 2U);
  EXPECT_TRUE(put(outbox, heartbeat()));
}

TEST(Outbox, WhatDoesNotFitIsDroppedAndToldByPeer) {
  Outbox outbox(4 * kMiB);
  put(outbox, with_entry(2 * kMiB));
  put(outbox, with_entry(2 * kMiB, kOther));
  put(outbox, with_entry(kMiB / 2));
  const Outbox::Content content = outbox.take();
  EXPECT_EQ(content.messages.size(), 2U);
  EXPECT_THAT(content.dropped_to, ElementsAre(kOther));
  put(outbox, with_entry(2 * kMiB, kOther));
  EXPECT_THAT(outbox.take().dropped_to, IsEmpty());
}

TEST(Outbox, HeartbeatsPassWhileEntriesFillTheirPart) {
  Outbox outbox(4 * kMiB);
  for (int i = 0; i < 100; ++i) put(outbox, with_entry(kMiB / 4));
  ASSERT_THAT(outbox.take().dropped_to, ElementsAre(kPeer));
  for (int i = 0; i < 100; ++i) put(outbox, with_entry(kMiB / 4));
  constexpr std::size_t kHeartbeats = 1000;
  for (std::size_t i = 0; i < kHeartbeats; ++i) put(outbox, heartbeat(kOther));
  const Outbox::Content content = outbox.take();
  EXPECT_THAT(content.dropped_to, ElementsAre(kPeer));
  EXPECT_GT(content.messages.size(), kHeartbeats);
}

TEST(Outbox, AnEntryLargerThanTheBoundPassesAlone) {
  Outbox outbox(4 * kMiB);
  for (int i = 0; i < 1000; ++i) put(outbox, heartbeat(kOther));
  put(outbox, with_entry(10 * kMiB));
  put(outbox, with_entry(10 * kMiB));
  const Outbox::Content content = outbox.take();
  EXPECT_EQ(content.messages.size(), 1001U);
  EXPECT_THAT(content.dropped_to, ElementsAre(kPeer));
}

TEST(Outbox, HeartbeatsHaveABoundToo) {
  Outbox outbox(sizeof(raft::Message) * 10);
  for (int i = 0; i < 20; ++i) put(outbox, heartbeat());
  EXPECT_EQ(outbox.take().messages.size(), 10U);
}

}  // namespace
}  // namespace holdfast::peer
