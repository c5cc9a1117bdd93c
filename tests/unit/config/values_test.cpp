#include <gtest/gtest.h>

#include "datastore/config/go_values.h"
#include "datastore/config/url.h"

namespace holdfast::config {
namespace {

using std::chrono::nanoseconds;

TEST(GoValues, BooleansAreGos) {
  EXPECT_EQ(parse_bool("T"), true);
  EXPECT_EQ(parse_bool("false"), false);
  EXPECT_EQ(parse_bool("yes"), std::nullopt);
  EXPECT_EQ(parse_bool(""), std::nullopt);
}

TEST(GoValues, IntegersTakeBasePrefixes) {
  EXPECT_EQ(parse_unsigned("0x10"), 16u);
  EXPECT_EQ(parse_unsigned("010"), 8u);
  EXPECT_EQ(parse_unsigned("0b11"), 3u);
  EXPECT_EQ(parse_unsigned("0"), 0u);
  EXPECT_EQ(parse_unsigned("-1"), std::nullopt);
  EXPECT_EQ(parse_unsigned("18446744073709551616"), std::nullopt);
  EXPECT_EQ(parse_signed("-9223372036854775808"), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(parse_signed("9223372036854775808"), std::nullopt);
  EXPECT_EQ(parse_signed("1k"), std::nullopt);
  EXPECT_EQ(parse_signed("--1"), std::nullopt);
}

TEST(GoValues, DurationsAddUpTheirParts) {
  EXPECT_EQ(parse_duration("1h2m3.5s"), nanoseconds(3'723'500'000'000));
  EXPECT_EQ(parse_duration("100ms"), nanoseconds(100'000'000));
  EXPECT_EQ(parse_duration("1.5us"), nanoseconds(1500));
  EXPECT_EQ(parse_duration("-2s"), nanoseconds(-2'000'000'000));
  EXPECT_EQ(parse_duration("0"), nanoseconds(0));
  for (const char* wrong : {"", "5", "s", "1d", "1h 2m", "1..5s", "9999999999h"}) {
    EXPECT_EQ(parse_duration(wrong), std::nullopt) << wrong;
  }
}

TEST(Url, KeepsItsParts) {
  const auto url = parse_url(" https://[::1]:2379 ");
  ASSERT_TRUE(url.ok());
  EXPECT_EQ(*url, (Url{"https", "::1", "2379"}));
  EXPECT_EQ(url->str(), "https://[::1]:2379");
  EXPECT_TRUE(url->secure());
  EXPECT_EQ(parse_url("unix:///run/h.sock")->str(), "unix:///run/h.sock");
}

TEST(Url, RefusesWhatEtcdRefuses) {
  const std::pair<const char*, const char*> cases[] = {
      {"ftp://a:1", "URL scheme must be http, https, unix, or unixs: ftp://a:1"},
      {"", "URL scheme must be http, https, unix, or unixs: "},
      {"127.0.0.1:2379", "URL scheme must be http, https, unix, or unixs: 127.0.0.1:2379"},
      {"http://a", "URL address does not have the form \"host:port\": http://a"},
      {"http://::1:2379", "URL address does not have the form \"host:port\": http://::1:2379"},
      {"http://a:b", "URL address does not have the form \"host:port\": http://a:b"},
      {"http://a:1/", "URL must not contain a path: http://a:1/"},
  };
  for (const auto& [text, error] : cases) {
    EXPECT_EQ(parse_url(text).status().message(), error) << text;
  }
}

TEST(Url, ListsAreSortedAndUnique) {
  EXPECT_EQ(join_urls(*parse_urls("http://b:1,http://a:1,http://b:1")), "http://a:1,http://b:1");
}

}  // namespace
}  // namespace holdfast::config
