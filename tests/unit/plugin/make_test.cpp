#include "operator/plugin/make.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include "operator/plugin/archive.h"

namespace holdfast::plugin {
namespace {

using kube::Json;

Json schedule(const std::string& name, const std::string& cluster) {
  return {{"metadata", {{"name", name}}},
          {"spec",
           {{"clusterRef", {{"name", cluster}}},
            {"schedule", "@daily"},
            {"serviceAccountName", "uploader"},
            {"target", {{"s3", {{"bucket", name}}}}}}}};
}

TEST(Make, ABackupTakesTheTargetOfTheOnlySchedule) {
  const auto model = choose_model({schedule("a", "db"), schedule("b", "other")}, "db", "");
  ASSERT_TRUE(model.ok());
  const Json backup = backup_like(*model, {"apps", "db-backup"}, "db");
  EXPECT_EQ(backup["spec"], Json({{"clusterRef", {{"name", "db"}}},
                                  {"serviceAccountName", "uploader"},
                                  {"target", {{"s3", {{"bucket", "a"}}}}}}));
  EXPECT_EQ(backup["metadata"]["namespace"], "apps");
}

TEST(Make, WhatIsNotClearIsAskedFor) {
  const std::vector<Json> two = {schedule("a", "db"), schedule("b", "db")};
  EXPECT_TRUE(absl::IsFailedPrecondition(choose_model(two, "db", "").status()));
  EXPECT_EQ(kube::name_of(*choose_model(two, "db", "b")), "b");
  EXPECT_TRUE(absl::IsNotFound(choose_model(two, "db", "c").status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(choose_model({}, "db", "").status()));
}

TEST(Make, ARestoreGoesOnToAMomentOrARevisionOrNotAtAll) {
  const auto restore = [](const Json& until) {
    return restore_from({"apps", "r"}, "db", "nightly", until)["spec"];
  };
  EXPECT_FALSE(restore(*restore_point("", 0)).contains("until"));
  EXPECT_EQ(restore(*restore_point("2026-11-23T05:00:00+01:00", 0))["until"],
            Json({{"time", "2026-11-23T05:00:00+01:00"}}));
  EXPECT_EQ(restore(*restore_point("", 42))["until"], Json({{"revision", 42}}));
  for (const char* unclear : {"yesterday", "2026-11-23", "2026-11-23T05:00:00"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(restore_point(unclear, 0).status())) << unclear;
  }
}

TEST(Make, RestoresAndMovesNameTheirCluster) {
  EXPECT_EQ(restore_from({"apps", "r"}, "db", "nightly")["spec"]["source"]["backupRef"]["name"],
            "nightly");
  EXPECT_EQ(leader_move({"apps", "m"}, "db", "db-2")["spec"]["moveLeader"]["member"], "db-2");
  EXPECT_FALSE(leader_move({"apps", "m"}, "db", "")["spec"].contains("moveLeader"));
}

Json with(std::initializer_list<std::pair<const char*, const char*>> conditions, bool verify) {
  Json object = {{"spec", {{"verify", verify}}}, {"status", {{"conditions", Json::array()}}}};
  for (const auto& [type, status] : conditions) {
    object["status"]["conditions"].push_back(
        {{"type", type}, {"status", status}, {"reason", "Because"}, {"message", "of this"}});
  }
  return object;
}

TEST(Make, ABackupHasEndedOnceItIsProvedIfItIsToBe) {
  EXPECT_EQ(end_of(with({}, true)), End::kRunning);
  EXPECT_EQ(end_of(with({{"Complete", "True"}}, false)), End::kComplete);
  EXPECT_EQ(end_of(with({{"Complete", "True"}}, true)), End::kRunning);
  EXPECT_EQ(end_of(with({{"Complete", "True"}, {"Verified", "Unknown"}}, true)), End::kRunning);
  EXPECT_EQ(end_of(with({{"Complete", "True"}, {"Verified", "True"}}, true)), End::kComplete);
  EXPECT_EQ(end_of(with({{"Complete", "True"}, {"Verified", "False"}}, true)), End::kFailed);
  EXPECT_EQ(end_of(with({{"Complete", "False"}, {"Failed", "True"}}, true)), End::kFailed);
  EXPECT_EQ(progress_of(with({{"Complete", "False"}}, true)), "Because: of this");
  EXPECT_EQ(progress_of(Json::object()), "waiting for the operator");
}

std::string unpacked(const std::string& gzip) {
  std::string out(std::size_t{1} << 20, '\0');
  z_stream stream{};
  EXPECT_EQ(inflateInit2(&stream, 15 + 16), Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(gzip.data()));
  stream.avail_in = static_cast<uInt>(gzip.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  inflateEnd(&stream);
  return out;
}

TEST(Archive, IsBlocksOf512WithAChecksumInEachHeader) {
  Archive archive(absl::FromUnixSeconds(1));
  ASSERT_TRUE(archive.add("report/a.json", "{}").ok());
  ASSERT_TRUE(archive.add("report/b", std::string(513, 'b')).ok());
  const auto gzip = archive.finish();
  ASSERT_TRUE(gzip.ok());
  const std::string tar = unpacked(*gzip);
  ASSERT_EQ(tar.size(), 512U * (2 + 3 + 2));
  EXPECT_EQ(tar.substr(257, 5), "ustar");
  EXPECT_EQ(tar.substr(124, 11), "00000000002");
  std::string header = tar.substr(0, 512);
  const unsigned told = std::stoul(header.substr(148, 6), nullptr, 8);
  header.replace(148, 8, 8, ' ');
  unsigned sum = 0;
  for (const char each : header) sum += static_cast<unsigned char>(each);
  EXPECT_EQ(sum, told);
  EXPECT_EQ(tar.substr(1024, 8), "report/b");
}

TEST(Archive, HasABoundAndRefusesPathsThatUstarCannotHold) {
  Archive archive(absl::UnixEpoch());
  EXPECT_TRUE(absl::IsInvalidArgument(archive.add(std::string(100, 'p'), "")));
  const std::string large(Archive::kMaxBytes / 2, 'x');
  EXPECT_TRUE(archive.add("a", large).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(archive.add("b", large)));
}

}  // namespace
}  // namespace holdfast::plugin
