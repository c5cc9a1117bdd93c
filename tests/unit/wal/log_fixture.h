#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "datastore/wal/wal.h"
#include "gtest/gtest.h"
#include "tests/unit/wal/fault_disk.h"

namespace holdfast::wal {

inline const std::string kDirectory = "data/member/wal";
inline constexpr std::uint64_t kMarker = 0x5eed5eed5eed5eed;
inline constexpr Identity kIdentity{ClusterId(0xc1), MemberId(0xa1)};
inline constexpr std::uint64_t kSmallSegmentBytes = 4096;

inline std::string segment(std::uint64_t sequence) {
  return segment_path(kDirectory, sequence);
}

/// Entries without a zero byte, so that no sector of theirs looks unwritten.
inline std::vector<raft::Entry> entries(std::uint64_t first, std::uint64_t count,
                                        std::uint64_t term = 1, std::size_t size = 20) {
  std::vector<raft::Entry> made;
  for (std::uint64_t i = first; i < first + count; ++i) {
    const auto letter = static_cast<char>('a' + (i + term) % 26);
    made.push_back({Term(term), Index(i), raft::EntryType::kNormal, Bytes(size, letter)});
  }
  return made;
}

inline raft::HardState hard_state(std::uint64_t term, std::uint64_t commit) {
  return {Term(term), MemberId(0xa1), Index(commit)};
}

inline raft::SnapshotMetadata snapshot(std::uint64_t index, std::uint64_t term = 1) {
  return {{{MemberId(0xa1)}, {MemberId(0xb2)}}, Index(index), Term(term)};
}

inline Options small() {
  Options options;
  options.segment_bytes = kSmallSegmentBytes;
  return options;
}

/// A log of small segments on a disk in memory.
class LogTest : public ::testing::Test {
 protected:
  void create(const Options& options = small(), const raft::SnapshotMetadata& start = {}) {
    auto made = Wal::create(disk_, kDirectory, kIdentity, kMarker, {start}, options);
    ASSERT_TRUE(made.ok()) << made.status();
    wal_ = *std::move(made);
  }

  void append(std::vector<raft::Entry> list, std::optional<raft::HardState> state = {},
              std::optional<SnapshotMarker> marker = {}) {
    const absl::Status status = wal_->append({std::move(marker), state, list});
    ASSERT_TRUE(status.ok()) << status;
  }

  Recovered reopen(const Options& options = small()) {
    wal_.reset();
    auto opened = Wal::open(disk_, kDirectory, options);
    EXPECT_TRUE(opened.ok()) << opened.status();
    if (!opened.ok()) return {};
    wal_ = std::move(opened->wal);
    return std::move(opened->recovered);
  }

  absl::Status open_error(const Options& options = small()) {
    wal_.reset();
    return Wal::open(disk_, kDirectory, options).status();
  }

  FaultDisk disk_;
  std::unique_ptr<Wal> wal_;
};

}  // namespace holdfast::wal
