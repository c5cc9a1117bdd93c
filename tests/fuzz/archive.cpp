// Segments of an archive: any bytes, with their digest made right so that what lies behind it is
// reached.
#include <cstddef>
#include <cstdint>

#include "datastore/archive/segment.h"
#include "datastore/crypto/digest.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  holdfast::Bytes bytes(reinterpret_cast<const char*>(data), size);
  holdfast::crypto::Sha256 sum;
  sum.update(bytes);
  const holdfast::crypto::Sha256Digest digest = sum.finish();
  bytes.append(digest.data(), digest.size());
  auto reader = holdfast::archive::SegmentReader::open(bytes);
  if (!reader.ok()) return 0;
  holdfast::archive::SegmentWriter again(reader->joint());
  while (true) {
    const auto batch = reader->next();
    if (!batch.ok() || !batch->has_value()) return 0;
    // Whatever is read can be written.
    if (!again.add((*batch)->known_at_ms, (*batch)->before, (*batch)->entries).ok())
      __builtin_trap();
  }
}
