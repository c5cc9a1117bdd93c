#include "datastore/telemetry/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

namespace holdfast::telemetry {
namespace {

using std::chrono::nanoseconds;
using testing::HasSubstr;
using testing::MatchesRegex;
namespace fs = std::filesystem;

struct Captured {
  std::vector<std::string> lines;
  std::unique_ptr<Logger> log;

  explicit Captured(LogLevel level = LogLevel::kInfo)
      : log(Logger::to_function(level,
                                [this](std::string_view line) { lines.emplace_back(line); })) {}
};

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = testing::TempDir() + "holdfast-log-XXXXXX";
    path_ = mkdtemp(name.data());
  }
  ~TemporaryFolder() { fs::remove_all(path_); }
  std::string file(const std::string& name) const { return path_ / name; }
  std::size_t files() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(path_), fs::directory_iterator()));
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

std::string content(const std::string& path) {
  std::ostringstream all;
  all << std::ifstream(path).rdbuf();
  return all.str();
}

TEST(LogLine, HasEtcdsFieldsInEtcdsOrder) {
  Captured captured;
  captured.log->info("ready to serve client requests", {{"address", "127.0.0.1:2379"}});
  ASSERT_EQ(captured.lines.size(), 1);
  EXPECT_THAT(captured.lines[0],
              MatchesRegex(R"x(\{"level":"info","ts":"[0-9-]+T[0-9:]+\.[0-9]{6}(Z|[+-][0-9]{4})",)x"
                           R"("caller":"telemetry/log_test.cpp:[0-9]+",)"
                           R"("msg":"ready to serve client requests",)"
                           R"("address":"127.0.0.1:2379"\})"));
}

TEST(LogLine, PrintsEachTypeOfField) {
  Captured captured;
  const std::vector<std::string> urls = {"http://a:1", "http://b:2"};
  captured.log->info("m", {{"i", -1},
                           {"u", ~std::uint64_t{0}},
                           {"d", 0.5},
                           {"b", true},
                           {"t", std::chrono::microseconds(1500)},
                           {"s", std::string("x")},
                           {"urls", urls},
                           Field(absl::NotFoundError("gone"))});
  EXPECT_THAT(captured.lines[0],
              HasSubstr(R"("i":-1,"u":18446744073709551615,"d":0.5,"b":true,"t":"1.5ms","s":"x",)"
                        R"("urls":["http://a:1","http://b:2"],"error":"gone"})"));
}

TEST(LogLine, StaysOneValidLineWhateverAClientSends) {
  Captured captured;
  captured.log->info("a\"b\\c\nd", {{"k", std::string("\x01\xff\xc3\x28é\0z", 8)}});
  EXPECT_THAT(captured.lines[0],
              HasSubstr(R"("msg":"a\"b\\c\nd","k":"\u0001\ufffd\ufffd(é\u0000z")"));
}

TEST(LogLine, CutsLongTexts) {
  Captured captured;
  captured.log->info("m", {{"k", std::string(1 << 20, 'x')}});
  EXPECT_LT(captured.lines[0].size(), kMaxLogTextBytes + 200);
  EXPECT_THAT(captured.lines[0], HasSubstr("(1048576 bytes)"));
}

TEST(LogLine, ConsoleFormSeparatesByTabs) {
  const std::vector<Field> fields = {{"k", 1}, {"l", "v"}};
  const std::string line = format_log_line(
      {LogLevel::kWarn, {}, std::source_location::current(), "slow", fields}, LogFormat::kConsole);
  EXPECT_THAT(line, MatchesRegex("[^\t]+\twarn\ttelemetry/log_test.cpp:[0-9]+\tslow\t"
                                 R"(\{"k": 1, "l": "v"\})"));
}

TEST(GoDuration, MatchesGosNotation) {
  EXPECT_EQ(go_duration(nanoseconds(0)), "0s");
  EXPECT_EQ(go_duration(nanoseconds(999)), "999ns");
  EXPECT_EQ(go_duration(nanoseconds(14812)), "14.812µs");
  EXPECT_EQ(go_duration(nanoseconds(3768840)), "3.76884ms");
  EXPECT_EQ(go_duration(std::chrono::seconds(1)), "1s");
  EXPECT_EQ(go_duration(std::chrono::milliseconds(-1500)), "-1.5s");
  EXPECT_EQ(go_duration(std::chrono::minutes(1)), "1m0s");
  EXPECT_EQ(go_duration(std::chrono::hours(2)), "2h0m0s");
}

TEST(Logger, SaysNothingBelowItsLevel) {
  Captured captured(LogLevel::kWarn);
  captured.log->info("no");
  captured.log->warn("yes");
  EXPECT_EQ(captured.lines.size(), 1);
  EXPECT_FALSE(captured.log->enabled(LogLevel::kInfo));
}

TEST(Logger, WritesOutItsQueueWhenDestroyed) {
  TemporaryFolder folder;
  const std::string path = folder.file("member.log");
  {
    auto log = Logger::open({.outputs = {path}});
    ASSERT_TRUE(log.ok());
    for (int i = 0; i < 100; ++i) {
      (*log)->info("line", {{"i", i}});
    }
  }
  const std::string text = content(path);
  EXPECT_EQ(std::ranges::count(text, '\n'), 100);
  EXPECT_THAT(text, HasSubstr("\"i\":99}\n"));
}

TEST(Logger, CountsWhatDoesNotFitItsQueue) {
  TemporaryFolder folder;
  const std::string path = folder.file("member.log");
  std::uint64_t dropped = 0;
  constexpr std::uint64_t kLines = 20 * Logger::kQueueLines;
  {
    auto log = Logger::open({.outputs = {path}});
    ASSERT_TRUE(log.ok());
    for (std::uint64_t i = 0; i < kLines; ++i) {
      (*log)->info("line");
    }
    dropped = (*log)->dropped();
  }
  const std::string text = content(path);
  EXPECT_GE(static_cast<std::uint64_t>(std::ranges::count(text, '\n')) + dropped, kLines);
}

TEST(Logger, NamesTheOutputThatItCannotOpen) {
  const auto log = Logger::open({.outputs = {"/proc/no/such.log"}});
  EXPECT_EQ(log.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(log.status().message()), HasSubstr("/proc/no/such.log"));
}

TEST(Logger, FatalWritesTheLineAndExitsWithOne) {
  EXPECT_EXIT(
      {
        auto log = Logger::open({.outputs = {"stderr"}});
        (*log)->fatal("listener failed", {{"error", "in use"}});
      },
      testing::ExitedWithCode(1), "listener failed.*in use");
}

TEST(LogLimiter, AdmitsSoManyASecondAndTellsHowManyItHeldBack) {
  LogLimiter limiter(2);
  using std::chrono::seconds;
  EXPECT_EQ(limiter.admit(seconds(7)), 0u);
  EXPECT_EQ(limiter.admit(seconds(7)), 0u);
  EXPECT_EQ(limiter.admit(seconds(7)), std::nullopt);
  EXPECT_EQ(limiter.admit(seconds(7)), std::nullopt);
  EXPECT_EQ(limiter.admit(seconds(8)), 2u);
  EXPECT_EQ(limiter.admit(seconds(8)), 0u);
}

TEST(Logger, LimitedLinesCarryTheNumberHeldBack) {
  Captured captured;
  LogLimiter limiter(1);
  (void)limiter.admit(nanoseconds(0));
  (void)limiter.admit(nanoseconds(0));
  captured.log->warn(limiter, "bad frame", {{"peer", "x"}});
  ASSERT_EQ(captured.lines.size(), 1);
  EXPECT_THAT(captured.lines[0], HasSubstr(R"("peer":"x","suppressed":1})"));
}

TEST(LogRotation, KeepsTheConfiguredNumberOfCompressedBackups) {
  TemporaryFolder folder;
  const std::string path = folder.file("member.log");
  {
    auto log = Logger::open(
        {.outputs = {path},
         .rotation = LogRotation{.max_size_bytes = 4096, .max_backups = 2, .compress = true}});
    ASSERT_TRUE(log.ok());
    for (int i = 0; i < 400; ++i) {
      (*log)->info("a line long enough to fill a small file soon", {{"i", i}});
    }
  }
  EXPECT_EQ(folder.files(), 3);
  EXPECT_LE(fs::file_size(path), 4096);
  for (const auto& entry : fs::directory_iterator(folder.path())) {
    EXPECT_THAT(entry.path().filename().string(),
                MatchesRegex(R"(member(-[0-9]{4}-[0-9-]+T[0-9-]+\.[0-9]{3}\.log\.gz|\.log))"));
  }
}

}  // namespace
}  // namespace holdfast::telemetry
