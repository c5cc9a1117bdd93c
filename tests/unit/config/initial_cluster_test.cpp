#include "datastore/config/initial_cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace holdfast::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// Names as a test's DNS has them; asked again at once, and not for long.
AddressLookup names(std::map<std::string, std::string> known, int* asked = nullptr) {
  AddressLookup lookup;
  lookup.resolve = [known, asked](const std::string& host) -> absl::StatusOr<std::string> {
    if (asked != nullptr) ++*asked;
    const auto found = known.find(host);
    if (found == known.end()) return absl::UnavailableError("no such host " + host);
    return found->second;
  };
  lookup.patience = std::chrono::nanoseconds(0);
  return lookup;
}

std::string why(const absl::Status& status) {
  return std::string(status.message());
}

std::vector<ClusterMember> members(std::string_view text) {
  const auto parsed = parse_initial_cluster(text);
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  return parsed.ok() ? *parsed : std::vector<ClusterMember>();
}

// --- the text -----------------------------------------------------------------------------------

TEST(InitialCluster, IsReadByNameWithAllUrlsOfEach) {
  EXPECT_THAT(members("b=http://3:1,a=http://2:1,a=http://1:1,,c=unix:///s"),
              ElementsAre(ClusterMember{"a", {"http://1:1", "http://2:1"}},
                          ClusterMember{"b", {"http://3:1"}}, ClusterMember{"c", {"unix:///s"}}));
  EXPECT_THAT(members(""), ElementsAre());
  EXPECT_EQ(initial_cluster_text(members("b=http://3:1,a=http://2:1,a=http://1:1")),
            "a=http://1:1,a=http://2:1,b=http://3:1");
}

TEST(InitialCluster, WhatCannotBeReadIsNamed) {
  EXPECT_THAT(why(parse_initial_cluster("http://a:1").status()), HasSubstr("(\"http://a:1\""));
  EXPECT_THAT(why(parse_initial_cluster("=http://a:1").status()), HasSubstr("is not one"));
  EXPECT_EQ(why(parse_initial_cluster("a=ftp://a:1").status()),
            "error setting up initial cluster: URL scheme must be http, https, unix, or unixs: "
            "ftp://a:1");
}

// --- what must hold before a member begins ------------------------------------------------------

Options member(const std::string& name, const std::string& cluster, const std::string& advertised) {
  Options options;
  options.name = name;
  options.initial_cluster = cluster;
  options.initial_advertise_peer_urls = *parse_urls(advertised);
  return options;
}

TEST(Bootstrap, TheDefaultsFitTogether) {
  EXPECT_TRUE(validate_bootstrap(Options()).ok());
}

TEST(Bootstrap, SeveralMembersFitTogether) {
  const Options options =
      member("b", "a=http://10.0.0.1:2380,b=http://10.0.0.2:2380,b=http://[::1]:1",
             "http://[0:0::1]:1,http://10.0.0.2:2380");
  EXPECT_TRUE(validate_bootstrap(options, names({})).ok())
      << validate_bootstrap(options, names({}));
}

TEST(Bootstrap, TheClusterMustNameTheMemberAndItsUrls) {
  Options options;
  options.name = "m";
  EXPECT_THAT(why(validate_bootstrap(options)), HasSubstr("couldn't find local name \"m\""));
  options.name = "default";
  options.initial_advertise_peer_urls = {{"http", "10.0.0.1", "2380"}};
  EXPECT_THAT(why(validate_bootstrap(options)),
              HasSubstr("--initial-cluster has default=http://localhost:2380 but missing from "
                        "--initial-advertise-peer-urls=http://10.0.0.1:2380"));
}

TEST(Bootstrap, AdvertisedUrlsMustAllBeInTheCluster) {
  Options options;
  options.initial_advertise_peer_urls.push_back({"http", "10.0.0.1", "2380"});
  EXPECT_THAT(why(validate_bootstrap(options)),
              HasSubstr("--initial-advertise-peer-urls has default=http://10.0.0.1:2380 but "
                        "missing from --initial-cluster=default=http://localhost:2380"));
}

TEST(Bootstrap, ANameAndItsAddressAreTheSame) {
  const Options options = member("a", "a=http://a.example:2380", "http://10.0.0.1:2380");
  EXPECT_TRUE(validate_bootstrap(options, names({{"a.example", "10.0.0.1"}})).ok());
  EXPECT_THAT(why(validate_bootstrap(options, names({{"a.example", "10.0.0.2"}}))),
              HasSubstr("(resolved urls: \"http://10.0.0.1:2380\" != \"http://10.0.0.2:2380\")"));
  EXPECT_THAT(why(validate_bootstrap(options, names({}))),
              HasSubstr("failed to resolve \"http://a.example:2380\" (no such host a.example)"));
}

TEST(Bootstrap, TwoMembersDoNotShareAUrl) {
  const Options options = member("a", "a=http://1.1.1.1:1,b=http://1.1.1.1:1", "http://1.1.1.1:1");
  EXPECT_THAT(why(validate_bootstrap(options)),
              HasSubstr("initial cluster a=http://1.1.1.1:1,b=http://1.1.1.1:1 has duplicate url"));
}

TEST(Bootstrap, AJoinerMayAdvertiseOtherUrls) {
  Options options = member("a", "a=http://1.1.1.1:1", "http://2.2.2.2:1");
  EXPECT_FALSE(validate_bootstrap(options, names({})).ok());
  options.initial_cluster_state = "existing";
  EXPECT_TRUE(validate_bootstrap(options, names({})).ok());
}

// --- addresses ----------------------------------------------------------------------------------

TEST(Addresses, EqualTextsNeedNoLookup) {
  int asked = 0;
  AddressMatcher matcher(names({}, &asked));
  EXPECT_TRUE(matcher.match({"http://b:1", "http://a:1"}, {"http://a:1", "http://b:1"}).ok());
  EXPECT_EQ(asked, 0);
}

TEST(Addresses, EachHostIsLookedUpOnceAndLocalhostNever) {
  int asked = 0;
  AddressMatcher matcher(names({{"a", "1.1.1.1"}}, &asked));
  EXPECT_TRUE(
      matcher.match({"http://a:1", "http://a:2"}, {"http://1.1.1.1:1", "http://1.1.1.1:2"}).ok());
  EXPECT_EQ(asked, 1);
  EXPECT_FALSE(matcher.match({"http://localhost:1"}, {"http://127.0.0.1:1"}).ok());
  EXPECT_EQ(asked, 1);
}

TEST(Addresses, ANameThatComesUpLaterIsFound) {
  int asked = 0;
  AddressLookup lookup;
  lookup.pause = std::chrono::nanoseconds(0);
  lookup.resolve = [&](const std::string&) -> absl::StatusOr<std::string> {
    if (++asked < 3) return absl::UnavailableError("not yet");
    return "1.1.1.1";
  };
  AddressMatcher matcher(lookup);
  EXPECT_TRUE(matcher.match({"http://a:1"}, {"http://1.1.1.1:1"}).ok());
  EXPECT_EQ(asked, 3);
}

TEST(Addresses, ListsOfDifferentLengthDiffer) {
  AddressMatcher matcher(names({}));
  EXPECT_EQ(why(matcher.match({"http://a:1"}, {"http://a:1", "http://b:1"})),
            "len([\"http://a:1\"]) != len([\"http://a:1\" \"http://b:1\"])");
}

TEST(Addresses, SchemeAndPortCount) {
  AddressMatcher matcher(names({{"a", "1.1.1.1"}}));
  EXPECT_FALSE(matcher.match({"http://a:1"}, {"https://1.1.1.1:1"}).ok());
  EXPECT_FALSE(matcher.match({"http://a:1"}, {"http://1.1.1.1:2"}).ok());
}

TEST(Addresses, TheSystemKnowsItself) {
  const absl::StatusOr<std::string> address = system_address("127.0.0.1");
  ASSERT_TRUE(address.ok()) << address.status();
  EXPECT_EQ(*address, "127.0.0.1");
  EXPECT_FALSE(system_address("no-such-host.invalid").ok());
}

}  // namespace
}  // namespace holdfast::config
