#pragma once

#include "absl/status/statusor.h"
#include "datastore/base/bytes.h"

namespace holdfast::net {

/// The whole of `bytes` as one gzip member, at the fastest level.
Bytes gzip(BytesView bytes);

/// Unpacks one or more gzip members. Never holds more than `max_bytes` of output, and no more than
/// a small multiple of what the input has yielded so far. Errors: Internal for what is not gzip;
/// ResourceExhausted past `max_bytes`. Texts are grpc-go's.
absl::StatusOr<Bytes> gunzip(BytesView packed, std::size_t max_bytes);

}  // namespace holdfast::net
