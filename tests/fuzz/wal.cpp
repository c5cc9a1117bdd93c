// Any bytes as a log: opening it either refuses or gives a log that takes an append and opens again
// with it. The first byte picks how the rest becomes files:
//   0  the first segment, as it is
//   1  two segments, half each, as they are
//   2  records of batches in one segment, with right headers and checksums, so that what lies
//   behind
//      the checksums is reached: pieces of [length 1 byte × 8][entries 1 byte][records]

#include <cstdint>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "datastore/base/check.h"
#include "datastore/base/crc32c.h"
#include "datastore/wal/format.h"
#include "datastore/wal/wal.h"
#include "tests/fuzz/wal_fixture.h"

namespace holdfast::wal {
namespace {

Bytes with_header(std::uint64_t sequence, BytesView rest) {
  Bytes bytes(kSegmentHeaderBytes, '\0');
  encode_segment_header({sequence, kMarker, Identity{ClusterId(1), MemberId(2)}}, bytes.data());
  bytes.append(rest);
  bytes.resize(std::max(bytes.size(), kFuzzedSegmentBytes));
  return bytes;
}

// An empty batch gives a valid header; its length, count and checksum are then set by hand.
Bytes framed(BytesView records, BatchHeader position, std::uint8_t entries,
             std::uint32_t& header_crc) {
  Bytes bytes(kBatchHeaderBytes, '\0');
  encode_batch(Batch{}, position, bytes.data());
  store_le32(bytes.data() + 32, entries);
  store_le32(bytes.data() + 36, static_cast<std::uint32_t>(records.size()));
  store_le32(bytes.data() + 44, crc32c(0, records));
  header_crc = batch_header_crc(bytes.data());
  store_le32(bytes.data() + 52, header_crc);
  bytes.append(records);
  return bytes;
}

Bytes framed_log(BytesView input) {
  Bytes batches;
  BatchHeader position;
  position.marker = kMarker;
  position.first_index = Index(1);
  while (input.size() > 2) {
    const std::size_t wanted = static_cast<std::uint8_t>(input[0]) * kWordBytes;
    const auto entries = static_cast<std::uint8_t>(input[1]);
    const BytesView records = input.substr(2, wanted);
    input.remove_prefix(2 + records.size());
    position.sequence += 1;
    batches += framed(records.substr(0, records.size() / kWordBytes * kWordBytes), position,
                      entries, position.previous_crc);
    position.first_index = Index(position.first_index.value + entries);
  }
  return with_header(1, batches);
}

void check(FaultDisk& disk) {
  Options options;
  options.segment_bytes = kFuzzedSegmentBytes;
  auto opened = Wal::open(disk, kDirectory, options);
  if (!opened.ok()) return;
  const Recovered& recovered = opened->recovered;
  HOLDFAST_CHECK(recovered.entries.empty() ||
                 recovered.entries.back().index == recovered.last_index);
  if (recovered.last_index.value > UINT64_MAX - 2) return;
  check_takes_more(disk, options, *opened);
}

}  // namespace
}  // namespace holdfast::wal

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace holdfast;
  using namespace holdfast::wal;
  if (size == 0) return 0;
  const BytesView input(reinterpret_cast<const char*>(data) + 1, size - 1);
  FaultDisk disk;
  switch (data[0] % 3) {
    case 0:
      disk.put(segment_path(kDirectory, 1), Bytes(input));
      break;
    case 1:
      disk.put(segment_path(kDirectory, 1), Bytes(input.substr(0, input.size() / 2)));
      disk.put(segment_path(kDirectory, 2), Bytes(input.substr(input.size() / 2)));
      break;
    default:
      disk.put(segment_path(kDirectory, 1), framed_log(input));
  }
  check(disk);
  return 0;
}
