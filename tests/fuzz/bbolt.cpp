// The bbolt reader on hostile files: never a crash, never an endless walk. The checksum of a meta
// page is repaired first, or no mutation would get past it.

#include <cstdint>

#include "datastore/base/check.h"
#include "datastore/ports/kv_backend.h"
#include "datastore/storage/bbolt_format.h"
#include "datastore/storage/bbolt_reader.h"

namespace {

using holdfast::Bytes;
using holdfast::BytesView;

void repair_meta(Bytes& file, std::size_t at) {
  namespace bbolt = holdfast::storage::bbolt;
  if (file.size() < at + bbolt::kPageHeaderBytes + bbolt::kMetaBytes) return;
  char* meta = file.data() + at + bbolt::kPageHeaderBytes;
  holdfast::store_le64(meta + bbolt::kMetaChecksumAt,
                       bbolt::fnv1a(BytesView(meta, bbolt::kMetaChecksumAt)));
}

void walk(holdfast::storage::BboltCursor& cursor, std::size_t file_bytes) {
  std::size_t entries = 0;
  Bytes previous;
  for (cursor.seek({}); cursor.valid(); cursor.next()) {
    HOLDFAST_CHECK(entries == 0 || previous < cursor.key());
    previous = cursor.key();
    HOLDFAST_CHECK(++entries <= file_bytes);
  }
  cursor.seek("key");
  cursor.seek(previous);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Bytes file(reinterpret_cast<const char*>(data), size);
  repair_meta(file, 0);
  for (const std::size_t page_bytes : {512, 4096}) repair_meta(file, page_bytes);
  const auto reader =
      holdfast::storage::BboltReader::from_bytes(file, "fuzzed", {.verify_digest = false});
  if (!reader.ok()) return 0;
  auto top = (*reader)->buckets();
  walk(top, size);
  for (const BytesView name : holdfast::ports::kBucketNames) {
    auto bucket = (*reader)->bucket(name);
    if (bucket.ok()) walk(*bucket, size);
  }
  return 0;
}
