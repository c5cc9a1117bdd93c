// Any bytes as etcd's log: reading it either refuses or gives consecutive entries up to the last.
// The first byte picks how the rest becomes files:
//   0  one file, as it is
//   1  two files, half each, as they are
//   2  records in one file with right checksums, so that what lies behind these is reached: pieces
//   of
//      [type 1 byte][length 1 byte][data]

#include <cstdint>
#include <string>

#include "datastore/base/bytes.h"
#include "datastore/base/check.h"
#include "datastore/base/crc32c.h"
#include "datastore/wal/etcd_log.h"
#include "tests/unit/wal/fault_disk.h"

namespace holdfast::wal {
namespace {

const std::string kFirst = "wal/0000000000000000-0000000000000000.wal";
const std::string kSecond = "wal/0000000000000001-0000000000000010.wal";
constexpr Index kAfter{3};

void put_record(std::uint8_t type, BytesView data, std::uint32_t& crc, Bytes& out) {
  Bytes record = {'\x08', static_cast<char>(type), '\x10'};
  crc = crc32c(crc, data);
  for (std::uint32_t rest = crc; record.size() < 8; rest >>= 7) {
    record += static_cast<char>(record.size() == 7 ? rest & 0x7f : rest | 0x80);
  }
  record += '\x1a';
  record += static_cast<char>(data.size());
  record.append(data);
  const std::size_t padding = (8 - record.size() % 8) % 8;
  Bytes frame(8, '\0');
  store_le64(frame.data(),
             record.size() | (padding == 0 ? 0 : (0x80 | std::uint64_t{padding}) << 56));
  out += frame + record + Bytes(padding, '\0');
}

Bytes framed_log(BytesView input) {
  Bytes log;
  std::uint32_t crc = 0;
  constexpr std::uint8_t kChecksum = 4;
  put_record(kChecksum, {}, crc, log);
  while (input.size() > 2) {
    const auto type = static_cast<std::uint8_t>(input[0]);
    const BytesView data = input.substr(2, static_cast<std::uint8_t>(input[1]) & 0x7f);
    input.remove_prefix(2 + data.size());
    put_record(type & 0x7f, data, crc, log);
  }
  return log;
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
      disk.put(kFirst, Bytes(input));
      break;
    case 1:
      disk.put(kFirst, Bytes(input.substr(0, input.size() / 2)));
      disk.put(kSecond, Bytes(input.substr(input.size() / 2)));
      break;
    default:
      disk.put(kFirst, framed_log(input));
  }
  const absl::StatusOr<EtcdLog> log = read_etcd_log(disk, "wal", kAfter);
  if (!log.ok()) return 0;
  Index expected = kAfter;
  for (const raft::Entry& entry : log->entries) {
    expected = expected.next();
    HOLDFAST_CHECK(entry.index == expected);
  }
  return 0;
}
