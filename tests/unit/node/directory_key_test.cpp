#include "datastore/node/directory_key.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/wal/fault_disk.h"

namespace holdfast::node {
namespace {

const crypto::Key256 kWrapping(Bytes(31, 'w') + "1");
const crypto::Key256 kOther(Bytes(31, 'w') + "2");
const crypto::Key256 kData(Bytes(31, 'd') + "1");
const crypto::KeyId kOf = kData.id();
const crypto::KeyId kForeign = kOther.id();
const DataDirectories kWhere{"data", "data/member/wal"};

using Keys = std::vector<crypto::Key256>;

SealedParts parts(std::optional<Bytes> record, wal::LogSeals log, storage::StoreSeal store) {
  return {std::move(record), std::move(log), store};
}
Bytes record(bool all_sealed) {
  return crypto::wrap_key({kData, all_sealed}, kWrapping);
}
const wal::LogSeals kNoLog;
const wal::LogSeals kPlainLog{true, {}};
const wal::LogSeals kSealedLog{false, {kOf}};
const wal::LogSeals kHalfLog{true, {kOf}};
const storage::StoreSeal kNoStore;
const storage::StoreSeal kPlainStore{true, false, {}};
const storage::StoreSeal kSealedStore{true, true, kOf};

TEST(DirectoryKey, WhatAStartMayDoIsDecidedBeforeAnythingIsOpened) {
  struct Case {
    const char* name;
    SealedParts parts;
    Keys keys;
    std::string refusal;  // empty: allowed
    bool encrypted = false;
    bool is_new = false;
  };
  const Keys none;
  const Keys right = {kWrapping};
  const Keys rotated = {kOther, kWrapping};
  const Keys wrong = {kOther};
  const std::vector<Case> cases = {
      {"new, plain", parts({}, kNoLog, kNoStore), none, ""},
      {"plain", parts({}, kPlainLog, kPlainStore), none, ""},
      {"new, encrypted", parts({}, kNoLog, kNoStore), right, "", true, true},
      {"plain, to be encrypted", parts({}, kPlainLog, kPlainStore), right, "", true, true},
      {"encrypted", parts(record(true), kSealedLog, kSealedStore), right, "", true},
      {"encrypted, key not the first", parts(record(true), kSealedLog, kSealedStore), rotated, "",
       true},
      {"a crash while it is encrypted", parts(record(false), kHalfLog, kSealedStore), right, "",
       true},
      {"and before", parts(record(false), kPlainLog, kPlainStore), right, "", true},
      {"which may be taken back", parts(record(false), kPlainLog, kPlainStore), none, ""},
      {"but not later", parts(record(false), kPlainLog, kSealedStore), none, "is encrypted"},
      {"without the flag", parts(record(true), kSealedLog, kSealedStore), none, "is encrypted"},
      {"without flag and record", parts({}, kSealedLog, kSealedStore), none, "is encrypted"},
      {"with a record alone", parts(record(true), kNoLog, kNoStore), none, "is encrypted"},
      {"another key", parts(record(true), kSealedLog, kSealedStore), wrong, "was sealed by key"},
      {"without the record", parts({}, kSealedLog, kSealedStore), right, "is missing"},
      {"of that, only the log", parts({}, kSealedLog, kNoStore), right, "is missing"},
      {"another member's log", parts(record(true), {false, {kForeign}}, kSealedStore), right,
       "not of one member"},
      {"another member's store", parts(record(true), kSealedLog, {true, true, kForeign}), right,
       "not of one member"},
      {"a plain log put there", parts(record(true), kPlainLog, kSealedStore), right,
       "the log is plain"},
      {"a plain store put there", parts(record(true), kSealedLog, kPlainStore), right,
       "the store is plain"},
      {"a changed record", parts(Bytes("HOLDFKEY"), kSealedLog, kSealedStore), right, "cut off"},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(one.name);
    const auto decided = decide_key(one.parts, one.keys, kWhere);
    if (!one.refusal.empty()) {
      ASSERT_FALSE(decided.ok());
      EXPECT_NE(decided.status().message().find(one.refusal), std::string::npos)
          << decided.status();
      EXPECT_NE(decided.status().message().find("Nothing was changed"), std::string::npos);
      continue;
    }
    ASSERT_TRUE(decided.ok()) << decided.status();
    ASSERT_EQ(decided->has_value(), one.encrypted);
    if (!one.encrypted) continue;
    EXPECT_EQ((*decided)->wrapped_by.has_value(), !one.is_new);
  }
}

TEST(DirectoryKey, TheRecordIsTheOldOneOrTheNewOneWhateverFails) {
  for (const char* operation : {"create", "write", "sync", "rename", "sync_directory"}) {
    SCOPED_TRACE(operation);
    wal::FaultDisk disk;
    ASSERT_TRUE(write_key_record(disk, "data", {kData, false}, kWrapping).ok());
    disk.before_change = [&](const std::string& name) {
      return name == operation ? absl::ResourceExhaustedError("full") : absl::OkStatus();
    };
    EXPECT_FALSE(write_key_record(disk, "data", {kData, true}, kOther).ok());
    disk.before_change = nullptr;
    Prng dice(1);
    for (std::uint64_t kind = 0; kind < wal::FaultDisk::kCrashKinds; ++kind) {
      const auto image = disk.crash(static_cast<wal::FaultDisk::Crash>(kind), dice);
      EXPECT_TRUE(
          crypto::unwrap_key(image->content("data/member/keys"), {kWrapping, kOther}, "").ok());
    }
    EXPECT_TRUE(write_key_record(disk, "data", {kData, true}, kOther).ok());
    EXPECT_TRUE(crypto::unwrap_key(disk.content("data/member/keys"), {kOther}, "").ok());
  }
}

}  // namespace
}  // namespace holdfast::node
