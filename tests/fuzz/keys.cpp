// The key file of --encryption-key-file and a data directory's key record, as anybody could write
// them: the first byte chooses, and whether the record's checksum is mended.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "datastore/base/check.h"
#include "datastore/base/crc32c.h"
#include "datastore/crypto/wrapped_key.h"
#include "datastore/crypto/wrapping_keys.h"

namespace {

using namespace holdfast;  // NOLINT: one room's parsers

void check_key_file(BytesView text) {
  const auto keys = crypto::parse_wrapping_keys(text, "keys");
  if (!keys.ok()) return;
  HOLDFAST_CHECK(!keys->empty() && keys->size() <= crypto::kMaxWrappingKeys);
}

/// Nobody who lacks the key can make a record that opens.
void check_record(BytesView input, bool mended) {
  static const std::vector<crypto::Key256> kKeys = {crypto::Key256(Bytes(32, 'k'))};
  static const Bytes kRecord = crypto::wrap_key({crypto::Key256(Bytes(32, 'd'))}, kKeys.front());
  // Over a good one, so that headers and IDs fit where the input leaves them.
  Bytes record = kRecord;
  for (std::size_t i = 0; i < input.size(); ++i) {
    const auto byte = static_cast<char>(input[i]);
    if (i < record.size()) {
      record[i] = static_cast<char>(record[i] ^ byte);
    } else {
      record.push_back(byte);
    }
  }
  constexpr std::size_t kCrcAt = crypto::kWrappedKeyBytes - 4;
  if (mended) store_le32(record.data() + kCrcAt, crc32c(0, BytesView(record).substr(0, kCrcAt)));
  const auto opened = crypto::unwrap_key(record, kKeys, "keys");
  HOLDFAST_CHECK(opened.ok() == (record == kRecord));
  HOLDFAST_CHECK(!crypto::unwrap_key(input, kKeys, "keys").ok());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const BytesView input(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 3 == 0) {
    check_key_file(input);
  } else {
    check_record(input, data[0] % 3 == 1);
  }
  return 0;
}
