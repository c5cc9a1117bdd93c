#include <gtest/gtest.h>

#include <random>

#include "datastore/base/prng.h"
#include "datastore/net/byte_queue.h"
#include "datastore/net/event_loop.h"
#include "datastore/net/grpc_wire.h"
#include "datastore/net/gzip.h"
#include "datastore/net/output_queue.h"
#include "datastore/net/rate_limit.h"
#include "datastore/net/small_block_pool.h"
#include "datastore/net/timer_wheel.h"

namespace holdfast::net {
namespace {

struct Fired {
  std::vector<int> order;
  struct One {
    Fired* all;
    int number;
  };
  static void fire(void* one) {
    static_cast<One*>(one)->all->order.push_back(static_cast<One*>(one)->number);
  }
};

TEST(TimerWheel, FiresInOrderWhateverTheDistance) {
  TimerWheel wheel;
  Fired fired;
  const std::vector<std::uint64_t> deadlines = {
      5, 1, 63, 64, 65, 4'095, 4'096, 4'097, 100'000, 16'777'216, 70'000, 1ULL << 33, 1ULL << 41};
  std::vector<Fired::One> ones(deadlines.size());
  std::vector<std::unique_ptr<Timer>> timers;
  for (std::size_t i = 0; i < deadlines.size(); ++i) {
    ones[i] = {&fired, static_cast<int>(i)};
    timers.push_back(std::make_unique<Timer>(&Fired::fire, &ones[i]));
    wheel.arm(*timers[i], deadlines[i]);
  }
  std::vector<std::uint64_t> sorted = deadlines;
  std::sort(sorted.begin(), sorted.end());
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    ASSERT_TRUE(wheel.next_tick().has_value());
    EXPECT_LE(*wheel.next_tick(), sorted[i]);
    wheel.advance(sorted[i] - 1);
    EXPECT_EQ(fired.order.size(), i);
    wheel.advance(sorted[i]);
    ASSERT_EQ(fired.order.size(), i + 1);
    EXPECT_EQ(deadlines[fired.order.back()], sorted[i]);
  }
  EXPECT_FALSE(wheel.next_tick().has_value());
}

TEST(TimerWheel, LetsGoOfArmedTimersWhenItEndsBeforeThem) {
  Timer near([](void*) {}, nullptr);
  Timer far([](void*) {}, nullptr);
  {
    TimerWheel wheel;
    wheel.arm(near, 5);
    wheel.arm(far, 1'000'000);
  }
  EXPECT_FALSE(near.armed());
  EXPECT_FALSE(far.armed());
}

TEST(TimerWheel, MatchesASortedListUnderRandomUse) {
  Prng dice(7);
  TimerWheel wheel;
  Fired fired;
  constexpr int kTimers = 200;
  std::vector<Fired::One> ones(kTimers);
  std::vector<std::unique_ptr<Timer>> timers;
  std::vector<std::uint64_t> due(kTimers, 0);  // 0: not armed
  for (int i = 0; i < kTimers; ++i) {
    ones[i] = {&fired, i};
    timers.push_back(std::make_unique<Timer>(&Fired::fire, &ones[i]));
  }
  std::uint64_t now = 0;
  for (int step = 0; step < 20'000; ++step) {
    const auto i = static_cast<std::size_t>(dice.below(kTimers));
    if (dice.chance(2, 3)) {
      due[i] = now + 1 + dice.below(1ULL << dice.below(20));
      wheel.arm(*timers[i], due[i]);
    } else if (dice.chance(1, 2)) {
      due[i] = 0;
      timers[i]->cancel();
    } else {
      now += dice.below(1ULL << dice.below(18));
      fired.order.clear();
      wheel.advance(now);
      std::size_t expected = 0;
      for (std::uint64_t& each : due) expected += each != 0 && each <= now ? 1 : 0;
      ASSERT_EQ(fired.order.size(), expected) << step;
      for (const int each : fired.order) {
        ASSERT_TRUE(due[each] != 0 && due[each] <= now);
        due[each] = 0;
      }
    }
  }
}

TEST(EventLoop, RunsPostedTasksThenHooksThenDeferred) {
  EventLoop loop;
  std::string order;
  loop.on_turn_end([&] { order += "h"; });
  loop.post([&] {
    order += "p";
    loop.defer([&] { order += "d"; });
  });
  loop.run_turn(std::chrono::seconds(10));
  EXPECT_EQ(order, "phd");
}

TEST(EventLoop, WakesForPostsFromManyThreads) {
  EventLoop loop;
  std::atomic<int> ran = 0;
  std::vector<std::thread> posters;
  for (int i = 0; i < 4; ++i) {
    posters.emplace_back([&] {
      for (int j = 0; j < 1000; ++j) loop.post([&] { ++ran; });
    });
  }
  while (ran < 4000) loop.run_turn(std::chrono::seconds(10));
  for (std::thread& poster : posters) poster.join();
}

TEST(EventLoop, TimersFireNoEarlierThanAsked) {
  EventLoop loop;
  bool fired = false;
  Timer timer([](void* flag) { *static_cast<bool*>(flag) = true; }, &fired);
  loop.run_turn(std::chrono::milliseconds(0));
  const auto start = EventLoop::Clock::now();
  loop.arm(timer, std::chrono::milliseconds(15));
  while (!fired) loop.run_turn(std::chrono::seconds(10));
  EXPECT_GE(EventLoop::Clock::now() - start, std::chrono::milliseconds(14));
}

struct Sink {
  std::string bytes;
  int slices = 0;
  void append(BytesView more) { bytes += more; }
  void append(const Slice& slice) {
    bytes += slice.bytes;
    ++slices;
  }
};

TEST(ByteQueue, GivesBackWhatWentInAtAnyPace) {
  Prng dice(11);
  ByteQueue queue;
  Sink sink;
  std::string all;
  for (int i = 0; i < 5000; ++i) {
    const std::string piece(dice.below(dice.chance(1, 10) ? 5000 : 50),
                            static_cast<char>('a' + i % 26));
    if (dice.chance(1, 2)) {
      queue.append(BytesView(piece));
    } else {
      queue.append(Slice::own(piece));
    }
    all += piece;
    if (dice.chance(1, 2)) queue.pop(dice.below(queue.size_bytes() + 1), sink);
  }
  queue.pop(queue.size_bytes(), sink);
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(sink.bytes, all);
  EXPECT_GT(sink.slices, 0);
}

/// Takes so many bytes per write, in turn.
class SlowTransport final : public Transport {
 public:
  int fd() const override { return -1; }
  Result read(char*, std::size_t) override { return {Io::kWouldBlock}; }
  Result write(const iovec* buffers, int count) override {
    std::size_t room = dice_.below(40'000) + 1;
    std::size_t taken = 0;
    for (int i = 0; i < count && room > 0; ++i) {
      const std::size_t n = std::min(room, buffers[i].iov_len);
      written.append(static_cast<const char*>(buffers[i].iov_base), n);
      taken += n;
      room -= n;
    }
    return {Io::kProgress, taken};
  }
  void finish_writing() override {}
  std::string written;

 private:
  Prng dice_{13};
};

TEST(OutputQueue, WritesEverythingInOrderThroughShortWrites) {
  Prng dice(17);
  BlockPool pool;
  OutputQueue queue(pool);
  SlowTransport transport;
  std::string all;
  for (int i = 0; i < 2000; ++i) {
    const std::string piece(dice.below(dice.chance(1, 20) ? 100'000 : 200),
                            static_cast<char>('a' + i % 26));
    if (dice.chance(1, 2)) {
      queue.append(BytesView(piece));
    } else {
      queue.append(Slice::own(piece));
    }
    all += piece;
    if (dice.chance(1, 10)) queue.write_to(transport);
  }
  while (!queue.empty()) queue.write_to(transport);
  EXPECT_EQ(transport.written, all);
}

TEST(SmallBlockPool, KeepsContentsThroughGrowthAndZeroesWhatShouldBe) {
  SmallBlockPool pool;
  nghttp2_mem* memory = pool.memory();
  for (const std::size_t size : {0UL, 1UL, 32UL, 33UL, 1024UL, 1025UL, 100'000UL}) {
    char* block = static_cast<char*>(memory->malloc(size, memory->mem_user_data));
    std::fill_n(block, size, 'x');
    block = static_cast<char*>(memory->realloc(block, size * 3 + 1, memory->mem_user_data));
    EXPECT_EQ(BytesView(block, size), std::string(size, 'x'));
    std::fill_n(block, size * 3 + 1, 'y');
    memory->free(block, memory->mem_user_data);
    char* zeroed = static_cast<char*>(memory->calloc(3, size, memory->mem_user_data));
    EXPECT_EQ(BytesView(zeroed, size * 3), std::string(size * 3, '\0'));
    memory->free(zeroed, memory->mem_user_data);
  }
  memory->free(nullptr, memory->mem_user_data);
  EXPECT_EQ(memory->calloc(~0UL / 2, 3, memory->mem_user_data), nullptr);
}

TEST(RateLimit, AllowsABurstThenTheRate) {
  RateLimit::Clock::time_point now{};
  RateLimit limit(2, 10, now);
  EXPECT_TRUE(limit.allow(now));
  EXPECT_TRUE(limit.allow(now));
  EXPECT_FALSE(limit.allow(now));
  now += std::chrono::milliseconds(100);
  EXPECT_TRUE(limit.allow(now));
  EXPECT_FALSE(limit.allow(now));
  now += std::chrono::hours(1);
  EXPECT_TRUE(limit.allow(now));
  EXPECT_TRUE(limit.allow(now));
  EXPECT_FALSE(limit.allow(now));
}

TEST(GrpcWire, ParsesTimeouts) {
  using namespace std::chrono;
  const std::vector<std::pair<std::string_view, nanoseconds>> cases = {
      {"1n", nanoseconds(1)},
      {"20u", microseconds(20)},
      {"300m", milliseconds(300)},
      {"4S", seconds(4)},
      {"5M", minutes(5)},
      {"6H", hours(6)},
      {"99999999H", nanoseconds::max()},
      {"0S", nanoseconds(0)}};
  for (const auto& [text, wanted] : cases) EXPECT_EQ(*parse_grpc_timeout(text), wanted) << text;
  EXPECT_EQ(parse_grpc_timeout("5x").status().message(),
            "malformed grpc-timeout: transport: timeout unit is not recognized: \"5x\"");
}

TEST(GrpcWire, Base64TakesPaddedAndUnpaddedAndNothingElse) {
  EXPECT_EQ(base64_encode("abcd"), "YWJjZA");
  EXPECT_EQ(base64_decode("YWJjZA"), "abcd");
  EXPECT_EQ(base64_decode("YWJjZA=="), "abcd");
  EXPECT_EQ(base64_decode(""), "");
  EXPECT_EQ(base64_decode("YWJj ZA"), std::nullopt);
  EXPECT_EQ(base64_decode("YWJjZA.."), std::nullopt);
  EXPECT_EQ(base64_decode("YWJjZ"), std::nullopt);
  EXPECT_EQ(base64_decode("-_-_"), std::nullopt);
}

TEST(GrpcWire, ContentTypes) {
  EXPECT_EQ(classify_content_type("application/grpc"), ContentType::kGrpc);
  EXPECT_EQ(classify_content_type("application/grpc+proto"), ContentType::kGrpc);
  EXPECT_EQ(classify_content_type("application/grpc;x"), ContentType::kGrpc);
  EXPECT_EQ(classify_content_type("application/grpcweb"), ContentType::kBadGrpc);
  EXPECT_EQ(classify_content_type("application/json"), ContentType::kOther);
  EXPECT_EQ(classify_content_type(""), ContentType::kOther);
}

TEST(Gzip, RoundTripsAndJoinsMembers) {
  for (const std::size_t size : {0UL, 1UL, 4096UL, 4097UL, 1'000'000UL}) {
    const std::string text(size, 'g');
    EXPECT_EQ(*gunzip(gzip(text), size), text);
    if (size > 0) {
      EXPECT_FALSE(gunzip(gzip(text), size - 1).ok());
    }
  }
  EXPECT_EQ(*gunzip(gzip("one") + gzip("two"), 100), "onetwo");
}

}  // namespace
}  // namespace holdfast::net
