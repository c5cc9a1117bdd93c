#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "datastore/base/bytes.h"

namespace holdfast::codec {

/// mvccpb.KeyValue; views into the bytes it was read from.
struct KeyValue {
  BytesView key;
  std::int64_t create_revision = 0;
  std::int64_t mod_revision = 0;
  std::int64_t version = 0;
  BytesView value;
  std::int64_t lease = 0;
};

/// Overwrites `*out`, unspecified after an error. InvalidArgument names the field.
absl::Status decode(BytesView bytes, KeyValue* out);

/// Canonical bytes: fields ascending, zero and empty left out (they are hashed, etcd-facts 3.4).
Bytes encode(const KeyValue& kv);

}  // namespace holdfast::codec
