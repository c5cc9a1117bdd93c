#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "datastore/base/check.h"
#include "datastore/wal/wal.h"
#include "tests/unit/wal/fault_disk.h"

namespace holdfast::wal {

inline const std::string kDirectory = "wal";
inline constexpr std::uint64_t kMarker = 0x4d4152;
inline constexpr std::size_t kFuzzedSegmentBytes = 4096;

/// What was opened takes another entry, and opens again with it and all that it had.
inline void check_takes_more(FaultDisk& disk, const Options& options, Wal::Opened& opened) {
  const Recovered& found = opened.recovered;
  const std::vector<raft::Entry> more = {
      {Term(9), found.last_index.next(), raft::EntryType::kNormal, "more"}};
  HOLDFAST_CHECK(opened.wal->append({{}, {}, more}).ok());
  const auto again = Wal::open(disk, kDirectory, options);
  HOLDFAST_CHECK(again.ok());
  HOLDFAST_CHECK(again->recovered.entries.back() == more.front());
  HOLDFAST_CHECK(again->recovered.entries.size() == found.entries.size() + 1);
}

}  // namespace holdfast::wal
