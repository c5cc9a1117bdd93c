#pragma once

#include <cstdint>

#include "datastore/base/bytes.h"

/// Clients' requests as bytes, as far as the simulation's clients need them.
namespace holdfast::simulation {

Bytes encode_put_request(BytesView key, BytesView value, std::int64_t lease);
/// range_end empty: the single key.
Bytes encode_delete_request(BytesView key, BytesView range_end);
/// If `key` still has this mod_revision (0: is absent), it and `second_key` are put; otherwise
/// nothing happens.
Bytes encode_compare_and_put(BytesView key, std::int64_t mod_revision, BytesView value,
                             BytesView second_key);
/// Deletes `from` and puts `to`, in one transaction.
Bytes encode_move(BytesView from, BytesView to, BytesView value);

}  // namespace holdfast::simulation
