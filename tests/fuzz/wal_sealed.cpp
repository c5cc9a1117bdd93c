// A sealed log in the hands of somebody without its key, who may change, move and cut what he likes
// and knows how checksums are computed: it is refused, or gives back a beginning of what was
// written, and never anything else. The first byte chooses whether checksums are mended; each 7
// bytes after it are an edit: [what][segment][offset 2][offset or length 2][value].
//
// Salts are random, so a run's sealed bytes are its own; what an input does lies in its edits
// alone.

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "datastore/base/check.h"
#include "datastore/base/crc32c.h"
#include "datastore/crypto/key256.h"
#include "datastore/wal/format.h"
#include "datastore/wal/wal.h"
#include "tests/fuzz/wal_fixture.h"

namespace holdfast::wal {
namespace {

constexpr std::size_t kEditBytes = 7;
constexpr std::size_t kMaxEdits = 64;
using Segments = std::map<std::string, Bytes>;

Options sealed() {
  Options options;
  options.segment_bytes = kFuzzedSegmentBytes;
  options.key = crypto::sealing_key(crypto::Key256(Bytes(32, 'd')), "wal");
  return options;
}

struct Written {
  Segments segments;
  std::vector<raft::Entry> entries;
  std::vector<raft::HardState> states;
};

/// Three runs, each of which begins a segment of its own and fills another.
Written write_log() {
  constexpr int kRuns = 3;
  constexpr int kBatches = 6;
  Written written;
  written.states.emplace_back();
  FaultDisk disk;
  HOLDFAST_CHECK(
      Wal::create(disk, kDirectory, {ClusterId(1), MemberId(2)}, kMarker, {}, sealed()).ok());
  for (int run = 0; run < kRuns; ++run) {
    const auto opened = Wal::open(disk, kDirectory, sealed());
    HOLDFAST_CHECK(opened.ok());
    for (int batch = 0; batch < kBatches; ++batch) {
      std::vector<raft::Entry> more;
      for (int i = 0; i < 3; ++i) {
        const Index index(written.entries.size() + 1);
        const std::size_t size = 40 * (1 + index.value % 8);
        more.push_back({Term(run + 1), index, raft::EntryType::kNormal, Bytes(size, 'e')});
        written.entries.push_back(more.back());
      }
      written.states.push_back({Term(run + 1), MemberId(2), more.front().index});
      HOLDFAST_CHECK(opened->wal->append({{}, written.states.back(), more}).ok());
    }
  }
  const auto names = disk.list(kDirectory);
  HOLDFAST_CHECK(names.ok());
  for (const std::string& name : *names) {
    const std::string path = kDirectory + "/" + name;
    written.segments[path] = disk.content(path);
  }
  HOLDFAST_CHECK(written.segments.size() >= kRuns);
  return written;
}

void edit(Segments& segments, BytesView how) {
  const auto byte = [how](std::size_t at) { return static_cast<std::uint8_t>(how[at]); };
  const std::size_t which = byte(1) % segments.size();
  Bytes& segment = std::next(segments.begin(), static_cast<std::ptrdiff_t>(which))->second;
  if (segment.empty()) return;
  const std::size_t first = (byte(2) | byte(3) << 8) % segment.size();
  const std::size_t second = byte(4) | byte(5) << 8;
  const std::size_t room = segment.size() - first;
  switch (byte(0) % 5) {
    case 0:
      segment[first] = static_cast<char>(segment[first] ^ byte(6));
      break;
    case 1:
      std::fill_n(segment.begin() + static_cast<std::ptrdiff_t>(first), std::min(second, room), 0);
      break;
    case 2: {  // to another place, or into another segment
      const Bytes moved = segment.substr(first, std::size_t{8} * byte(6));
      Bytes& into = std::next(segments.begin(), byte(0) / 5 % segments.size())->second;
      if (into.size() < moved.size()) return;
      into.replace(second % (into.size() - moved.size() + 1), moved.size(), moved);
      break;
    }
    case 3:
      segment.resize(first);
      break;
    default:  // gone
      segment.clear();
  }
}

/// Makes segment headers and the chain of batches right again, as far as they look like such.
void mend(Segments& segments) {
  std::uint32_t previous = 0;
  for (auto& [path, segment] : segments) {
    if (segment.size() < kSegmentHeaderBytes) continue;
    constexpr std::size_t kCrcAt = kSegmentHeaderBytes - 4;
    store_le32(segment.data() + kCrcAt, crc32c(0, BytesView(segment).substr(0, kCrcAt)));
    std::size_t at = kSegmentHeaderBytes;
    while (at + kBatchHeaderBytes <= segment.size()) {
      char* const header = segment.data() + at;
      const BatchHeader batch = decode_batch_header(header);
      const BytesView records = BytesView(segment).substr(at + kBatchHeaderBytes);
      if (batch.marker != kMarker || batch.records_bytes > records.size()) break;
      store_le32(header + 40, previous);
      store_le32(header + 44, crc32c(0, records.substr(0, batch.records_bytes)));
      previous = batch_header_crc(header);
      store_le32(header + 52, previous);
      at += kBatchHeaderBytes + batch.records_bytes;
    }
  }
}

void check(const Written& written, const Segments& segments) {
  FaultDisk disk;
  for (const auto& [path, bytes] : segments) {
    if (!bytes.empty()) disk.put(path, bytes);
  }
  auto opened = Wal::open(disk, kDirectory, sealed());
  if (!opened.ok()) return;
  const Recovered& found = opened->recovered;
  HOLDFAST_CHECK(found.entries.size() <= written.entries.size());
  HOLDFAST_CHECK(std::equal(found.entries.begin(), found.entries.end(), written.entries.begin()));
  HOLDFAST_CHECK(std::find(written.states.begin(), written.states.end(), found.hard_state) !=
                 written.states.end());
  check_takes_more(disk, sealed(), *opened);
}

}  // namespace
}  // namespace holdfast::wal

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace holdfast;
  using namespace holdfast::wal;
  if (size == 0) return 0;
  static const Written kWritten = write_log();
  Segments segments = kWritten.segments;
  BytesView edits(reinterpret_cast<const char*>(data) + 1, size - 1);
  for (std::size_t n = 0; n < kMaxEdits && edits.size() >= kEditBytes; ++n) {
    edit(segments, edits.substr(0, kEditBytes));
    edits.remove_prefix(kEditBytes);
  }
  if (data[0] % 2 == 1) mend(segments);
  check(kWritten, segments);
  return 0;
}
