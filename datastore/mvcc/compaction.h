#pragma once

#include <cstdint>

#include "datastore/base/ids.h"

namespace holdfast::mvcc {

/// A HashKV answer: CRC-32C of the `key` bucket at `revision`, seen from `compact_revision`.
struct CompactionHash {
  std::uint32_t hash = 0;
  Revision compact_revision;
  Revision revision;
};

}  // namespace holdfast::mvcc
