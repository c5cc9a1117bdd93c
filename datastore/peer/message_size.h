#pragma once

#include <cstddef>

#include "datastore/raft/types.h"

namespace holdfast::peer {

/// Memory that a message holds while it waits, for the bounds of queues.
inline std::size_t size_bytes(const raft::Message& message) {
  std::size_t bytes = sizeof message + message.context.size();
  for (const raft::Entry& entry : message.entries) bytes += sizeof entry + entry.data.size();
  return bytes;
}

}  // namespace holdfast::peer
