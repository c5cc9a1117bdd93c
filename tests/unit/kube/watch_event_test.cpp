#include "operator/kube/watch_event.h"

#include <vector>

#include "gtest/gtest.h"
#include "operator/kube/api_error.h"

namespace holdfast::kube {
namespace {

TEST(LineSplitterTest, LinesComeWholeWhereverTheStreamIsCut) {
  const std::string stream = "one\n\ntwo three\nfour\nunfinished";
  for (std::size_t cut = 1; cut <= stream.size(); ++cut) {
    LineSplitter splitter(100);
    std::vector<std::string> lines;
    for (std::size_t at = 0; at < stream.size(); at += cut) {
      ASSERT_TRUE(splitter
                      .add(std::string_view(stream).substr(at, cut),
                           [&](std::string_view line) {
                             lines.emplace_back(line);
                             return absl::OkStatus();
                           })
                      .ok());
    }
    EXPECT_EQ(lines, (std::vector<std::string>{"one", "two three", "four"})) << cut;
    EXPECT_EQ(splitter.pending_bytes(), 10U);
  }
}

TEST(LineSplitterTest, LongLineIsRefusedBeforeItIsKept) {
  LineSplitter splitter(10);
  const auto ignore = [](std::string_view) { return absl::OkStatus(); };
  EXPECT_TRUE(splitter.add("0123456789", ignore).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(splitter.add("x", ignore)));
  EXPECT_EQ(splitter.pending_bytes(), 10U);
}

TEST(WatchEventTest, StrangersBytesAreErrorsAndNeverThrow) {
  for (const char* line :
       {"", "{", "null", "[]", "7", "{}", R"({"type":"ADDED"})", R"({"type":7,"object":{}})",
        R"({"type":"ADDED","object":[]})", R"({"type":"RENAMED","object":{}})",
        R"({"type":"ERROR","object":{"code":"x","message":[]}})", "\xff\xfe"}) {
    EXPECT_FALSE(parse_watch_event(line).ok()) << line;
  }
}

TEST(WatchEventTest, ErrorEventIsTheApisOwnError) {
  const auto expired = parse_watch_event(
      R"({"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"m"}})");
  EXPECT_TRUE(is_expired(expired.status())) << expired.status();
  const auto failed =
      parse_watch_event(R"({"type":"ERROR","object":{"kind":"Status","code":500}})");
  EXPECT_FALSE(is_expired(failed.status()));
}

}  // namespace
}  // namespace holdfast::kube
