#include "datastore/codec/key_value.h"

#include "datastore/codec/wire.h"

namespace holdfast::codec {

absl::Status decode(BytesView bytes, KeyValue* out) {
  *out = {};
  WireReader reader(bytes);
  while (reader.next()) {
    switch (reader.tag()) {
      case bytes_tag(1):
        out->key = reader.bytes();
        break;
      case varint_tag(2):
        out->create_revision = reader.int64();
        break;
      case varint_tag(3):
        out->mod_revision = reader.int64();
        break;
      case varint_tag(4):
        out->version = reader.int64();
        break;
      case bytes_tag(5):
        out->value = reader.bytes();
        break;
      case varint_tag(6):
        out->lease = reader.int64();
        break;
      default:
        reader.skip();
    }
  }
  return reader.status("KeyValue");
}

Bytes encode(const KeyValue& kv) {
  Bytes out;
  out.reserve(kv.key.size() + kv.value.size() + 48);
  WireWriter writer(&out);
  writer.bytes(1, kv.key);
  writer.int64(2, kv.create_revision);
  writer.int64(3, kv.mod_revision);
  writer.int64(4, kv.version);
  writer.bytes(5, kv.value);
  writer.int64(6, kv.lease);
  return out;
}

}  // namespace holdfast::codec
