#include "datastore/simulation/requests.h"

#include "datastore/codec/wire.h"

namespace holdfast::simulation {

namespace {

// Field numbers of etcd's rpc.proto.
constexpr std::uint32_t kTxnCompare = 1;
constexpr std::uint32_t kTxnSuccess = 2;
constexpr std::uint32_t kOpPut = 2;
constexpr std::uint32_t kOpDelete = 3;
constexpr std::uint32_t kCompareTarget = 2;
constexpr std::uint32_t kCompareKey = 3;
constexpr std::uint32_t kCompareModRevision = 6;
constexpr std::uint64_t kTargetMod = 2;

Bytes operation(std::uint32_t kind, BytesView request) {
  Bytes out;
  codec::WireWriter(&out).bytes_always(kind, request);
  return out;
}

}  // namespace

Bytes encode_put_request(BytesView key, BytesView value, std::int64_t lease) {
  Bytes out;
  codec::WireWriter writer(&out);
  writer.bytes(1, key);
  writer.bytes(2, value);
  writer.int64(3, lease);
  return out;
}

Bytes encode_delete_request(BytesView key, BytesView range_end) {
  Bytes out;
  codec::WireWriter writer(&out);
  writer.bytes(1, key);
  writer.bytes(2, range_end);
  return out;
}

Bytes encode_compare_and_put(BytesView key, std::int64_t mod_revision, BytesView value,
                             BytesView second_key) {
  Bytes compare;
  codec::WireWriter compare_writer(&compare);
  compare_writer.varint(kCompareTarget, kTargetMod);
  compare_writer.bytes(kCompareKey, key);
  compare_writer.varint_always(kCompareModRevision, static_cast<std::uint64_t>(mod_revision));
  Bytes out;
  codec::WireWriter writer(&out);
  writer.bytes_always(kTxnCompare, compare);
  writer.bytes_always(kTxnSuccess, operation(kOpPut, encode_put_request(key, value, 0)));
  if (second_key != key) {
    writer.bytes_always(kTxnSuccess, operation(kOpPut, encode_put_request(second_key, value, 0)));
  }
  return out;
}

Bytes encode_move(BytesView from, BytesView to, BytesView value) {
  Bytes out;
  codec::WireWriter writer(&out);
  writer.bytes_always(kTxnSuccess, operation(kOpDelete, encode_delete_request(from, "")));
  writer.bytes_always(kTxnSuccess, operation(kOpPut, encode_put_request(to, value, 0)));
  return out;
}

}  // namespace holdfast::simulation
