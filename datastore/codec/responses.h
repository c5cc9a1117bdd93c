#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "datastore/base/bytes.h"
#include "datastore/base/ids.h"
#include "datastore/statemachine/outcome.h"

/// Answers as bytes. Stored key-value pairs are spliced in as they are; nothing is parsed.
namespace holdfast::codec {

/// etcdserverpb.ResponseHeader. A zero field is left out, as in proto3.
struct ResponseHeader {
  ClusterId cluster;
  MemberId member;
  Revision revision;
  Term raft_term;
};

/// Appends field 1, which every response begins with; nothing but a header is a whole
/// CompactionResponse, LeaseRevokeResponse, and so on.
void append_header(const ResponseHeader& header, Bytes* out);
/// Appends a stored KeyValue as the message field `field`.
void append_key_value(std::uint32_t field, BytesView kv, Bytes* out);
/// Bytes that append_key_value() adds for a pair of `kv_bytes`.
std::size_t key_value_size_bytes(std::size_t kv_bytes);

inline constexpr std::uint32_t kRangeKvsField = 2;

/// A RangeResponse is append_header(), append_key_value(kRangeKvsField) for each pair, and this.
void append_range_end(bool more, std::int64_t count, Bytes* out);

Bytes encode_header_only(const ResponseHeader& header);
Bytes encode_range(const ResponseHeader& header, const statemachine::RangeOutcome& outcome);
Bytes encode_put(const ResponseHeader& header, const statemachine::PutOutcome& outcome);
Bytes encode_delete_range(const ResponseHeader& header,
                          const statemachine::DeleteRangeOutcome& outcome);
/// The answers inside carry a header with a revision alone: that of the store after the operations
/// before them, or none for a transaction inside the transaction. Worked out from
/// `header.revision`, the revision after the whole.
Bytes encode_txn(const ResponseHeader& header, const statemachine::TxnOutcome& outcome);
Bytes encode_lease_grant_response(const ResponseHeader& header,
                                  const statemachine::LeaseGrantOutcome& outcome);
Bytes encode_alarm_response(const ResponseHeader& header,
                            const statemachine::AlarmOutcome& outcome);

Bytes encode_lease_keep_alive_response(const ResponseHeader& header, LeaseId id,
                                       std::int64_t ttl_seconds);

struct LeaseTimeToLive {
  LeaseId id;
  /// -1: there is no such lease.
  std::int64_t remaining_seconds = 0;
  std::int64_t granted_seconds = 0;
  absl::Span<const Bytes> keys;
};
Bytes encode_lease_time_to_live_response(const ResponseHeader& header,
                                         const LeaseTimeToLive& lease);
Bytes encode_leases_response(const ResponseHeader& header, absl::Span<const LeaseId> leases);

/// A RangeStreamResponse around an encoded RangeResponse.
Bytes encode_range_stream_chunk(BytesView range_response);

/// A message but for the bytes of its blob, which stand between the two.
struct AroundBlob {
  Bytes before;
  Bytes after;
};
/// One piece of a database: a SnapshotResponse. etcd sends no header; ours does with the first
/// piece, so that a backup knows the revision it holds without opening it. Null: none.
/// `blob_bytes` is not 0.
AroundBlob encode_snapshot_chunk(const ResponseHeader* header, std::uint64_t remaining_bytes,
                                 std::size_t blob_bytes, BytesView version);

enum class EventType : std::uint8_t { kPut = 0, kDelete = 1 };

/// Appends one event as an element of a WatchResponse's list. `kv` and `prev_kv` are encoded
/// KeyValues; an empty prev_kv is left out.
void append_event(EventType type, BytesView kv, BytesView prev_kv, Bytes* out);
/// The KeyValue of a delete event: the key and the revision that deleted it.
Bytes encode_tombstone(BytesView key, Revision mod_revision);

/// What a WatchResponse says before its events.
struct WatchResponse {
  ResponseHeader header;
  std::int64_t watch_id = 0;  // -1: nobody's
  bool created = false;
  bool canceled = false;
  Revision compact_revision;
  BytesView cancel_reason;
  bool fragment = false;
};
/// Events follow as they were appended by append_event(): the same bytes for every watcher.
Bytes encode_watch_response(const WatchResponse& response);

}  // namespace holdfast::codec
