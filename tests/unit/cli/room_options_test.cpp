#include "datastore/cli/room_options.h"

#include <gtest/gtest.h>

namespace holdfast::cli {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

peer::TransportOptions bounded(std::size_t limit_bytes) {
  const MemoryBudget budget(limit_bytes);
  peer::TransportOptions options;
  bound_memory(options, budget);
  return options;
}

TEST(BoundMemory, WhatWaitsForPeersFollowsTheLimit) {
  EXPECT_EQ(bounded(0).max_outbox_bytes, 256 * kMiB);
  EXPECT_EQ(bounded(0).max_stream_bytes, 64 * kMiB);
  EXPECT_EQ(bounded(512 * kMiB).max_outbox_bytes, 32 * kMiB);
  EXPECT_EQ(bounded(512 * kMiB).max_stream_bytes, 16 * kMiB);
  EXPECT_EQ(bounded(64 * kMiB).max_outbox_bytes, 4 * kMiB);
  EXPECT_EQ(bounded(64 * kMiB).max_stream_bytes, 4 * kMiB);
  EXPECT_EQ(bounded(16'384 * kMiB).max_outbox_bytes, 256 * kMiB) << "it only lowers bounds";
}

}  // namespace
}  // namespace holdfast::cli
