#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "datastore/base/bytes.h"
#include "datastore/raft/types.h"

/// Raft's values as raftpb bytes and back (etcd-facts 2.1). Absent numbers are 0; fields that only
/// travel inside one process (vote, responses) are neither written nor read.
///
/// Decoders overwrite `*out`, unspecified after an error. Errors: InvalidArgument naming message
/// and field, or what this version refuses: joint consensus, unknown entry and change types.
namespace holdfast::codec {

/// Entries that one message may carry. etcd fills a message by bytes, at least one entry.
inline constexpr std::size_t kMaxEntriesPerMessage = 1 << 20;
/// Members of a configuration.
inline constexpr std::size_t kMaxConfMembers = 1 << 10;

Bytes encode(const raft::Entry& entry);
absl::Status decode(BytesView bytes, raft::Entry* out);
/// Bytes that encode() makes of it, for a length that goes before them.
std::size_t encoded_size_bytes(const raft::Entry& entry);
/// Appends what encode() makes of it.
void append(const raft::Entry& entry, Bytes* out);

Bytes encode(const raft::HardState& state);
absl::Status decode(BytesView bytes, raft::HardState* out);

Bytes encode(const raft::ConfState& state);
absl::Status decode(BytesView bytes, raft::ConfState* out);

Bytes encode(const raft::ConfChange& change);
absl::Status decode(BytesView bytes, raft::ConfChange* out);

Bytes encode(const raft::SnapshotMetadata& metadata);
absl::Status decode(BytesView bytes, raft::SnapshotMetadata* out);

Bytes encode(const raft::Message& message);
/// Errors: also Unimplemented for a type that never travels between members: whoever reads a stream
/// passes over it, as etcd does.
absl::Status decode(BytesView bytes, raft::Message* out);

}  // namespace holdfast::codec
