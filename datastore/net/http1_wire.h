#pragma once

#include "datastore/base/bytes.h"
#include "datastore/net/message.h"
#include "datastore/net/output_queue.h"

namespace holdfast::net {

/// Appends `piece`, which must not be empty, as one chunk of a body. Source: RFC 9112 section 7.1.
void append_chunk(OutputQueue& output, Slice piece);

/// Ends a chunked body: no trailers.
constexpr BytesView kLastChunk = "0\r\n\r\n";

}  // namespace holdfast::net
