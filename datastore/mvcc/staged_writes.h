#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "datastore/base/bytes.h"
#include "datastore/ports/kv_backend.h"

namespace holdfast::mvcc {

/// Backend writes of one applied batch other than new revisions, in order, with their bytes in one
/// place. Grows until its batch is closed, then never changes.
struct StagedWrites {
  struct Write {
    ports::Bucket bucket;
    bool has_value;
    std::uint32_t key_size;
    std::uint32_t value_size;
    std::size_t offset;  // of the key in `bytes`; the value follows it
  };

  void add(ports::Bucket bucket, BytesView key, std::optional<BytesView> value) {
    writes.push_back({bucket, value.has_value(), static_cast<std::uint32_t>(key.size()),
                      static_cast<std::uint32_t>(value.has_value() ? value->size() : 0),
                      bytes.size()});
    bytes.append(key);
    if (value.has_value()) bytes.append(*value);
  }

  ports::BackendWrite view(const Write& write) const {
    const BytesView all = bytes;
    ports::BackendWrite view{write.bucket, all.substr(write.offset, write.key_size), std::nullopt};
    if (write.has_value) view.value = all.substr(write.offset + write.key_size, write.value_size);
    return view;
  }

  Bytes bytes;
  std::vector<Write> writes;
};

}  // namespace holdfast::mvcc
