#include "datastore/codec/responses.h"

#include "datastore/codec/wire.h"

namespace holdfast::codec {
namespace {

using statemachine::DeleteRangeOutcome;
using statemachine::OpOutcome;
using statemachine::PutOutcome;
using statemachine::RangeOutcome;
using statemachine::TxnOutcome;

constexpr std::uint32_t kHeaderField = 1;
constexpr std::uint32_t kDeletedKvsField = 3;
constexpr std::uint32_t kPrevKvField = 2;
constexpr std::uint32_t kEventsField = 11;
/// More than any header takes: four 64-bit numbers and their tags.
constexpr std::size_t kMaxHeaderBytes = 2 + 4 * (1 + kMaxVarintBytes);

static_assert(kMaxHeaderBytes - 2 < 0x80, "a header's length is one byte");

char* write_number(std::uint32_t field, std::uint64_t value, char* out) {
  if (value == 0) return out;
  *out++ = static_cast<char>(varint_tag(field));
  return write_varint(value, out);
}

std::size_t header_body_size_bytes(const ResponseHeader& header) {
  return varint_field_size_bytes(1, header.cluster.value) +
         varint_field_size_bytes(2, header.member.value) +
         varint_field_size_bytes(3, static_cast<std::uint64_t>(header.revision.value)) +
         varint_field_size_bytes(4, header.raft_term.value);
}

std::size_t kvs_size_bytes(const std::vector<Bytes>& kvs) {
  std::size_t total = 0;
  for (const Bytes& kv : kvs) total += key_value_size_bytes(kv.size());
  return total;
}

void append_body(const RangeOutcome& outcome, Bytes* out) {
  for (const Bytes& kv : outcome.kvs) append_key_value(kRangeKvsField, kv, out);
  append_range_end(outcome.more, outcome.count, out);
}

void append_body(const PutOutcome& outcome, Bytes* out) {
  if (outcome.prev_kv.has_value()) append_key_value(kPrevKvField, *outcome.prev_kv, out);
}

void append_body(const DeleteRangeOutcome& outcome, Bytes* out) {
  WireWriter(out).int64(2, outcome.deleted);
  for (const Bytes& kv : outcome.prev_kvs) append_key_value(kDeletedKvsField, kv, out);
}

bool changes_something(const TxnOutcome& txn);

bool changes_something(const OpOutcome& op) {
  if (std::holds_alternative<PutOutcome>(op)) return true;
  if (const auto* del = std::get_if<DeleteRangeOutcome>(&op)) return del->deleted > 0;
  if (const auto* txn = std::get_if<std::unique_ptr<TxnOutcome>>(&op)) {
    return changes_something(**txn);
  }
  return false;
}

bool changes_something(const TxnOutcome& txn) {
  for (const OpOutcome& op : txn.responses) {
    if (changes_something(op)) return true;
  }
  return false;
}

/// What the pairs in it take; the rest is small.
std::size_t pairs_size_bytes(const TxnOutcome& txn) {
  constexpr std::size_t kAroundBytes = 2 * kMaxHeaderBytes;
  std::size_t total = 0;
  for (const OpOutcome& op : txn.responses) {
    total += kAroundBytes;
    if (const auto* range = std::get_if<RangeOutcome>(&op)) {
      total += kvs_size_bytes(range->kvs);
    } else if (const auto* erased = std::get_if<DeleteRangeOutcome>(&op)) {
      total += kvs_size_bytes(erased->prev_kvs);
    } else if (const auto* nested = std::get_if<std::unique_ptr<TxnOutcome>>(&op)) {
      total += pairs_size_bytes(**nested);
    } else if (const auto& previous = std::get<PutOutcome>(op).prev_kv) {
      total += key_value_size_bytes(previous->size());
    }
  }
  return total;
}

/// Writes a transaction's answers, following the store's revision from one to the next.
class TxnEncoder {
 public:
  /// `revision`: of the store before the transaction.
  explicit TxnEncoder(Revision revision) : revision_(revision) {}

  void append_body(const TxnOutcome& txn, Bytes* out) {
    WireWriter writer(out);
    writer.boolean(2, txn.succeeded);
    for (const OpOutcome& op : txn.responses) {
      Bytes response;
      const std::uint32_t field = append_response(op, &response);
      writer.message_header(3, message_field_size_bytes(field, response.size()));
      writer.bytes_always(field, response);
    }
  }

 private:
  /// Appends the answer to one operation and returns its field in ResponseOp.
  std::uint32_t append_response(const OpOutcome& op, Bytes* out) {
    if (const auto* txn = std::get_if<std::unique_ptr<TxnOutcome>>(&op)) {
      append_header({}, out);
      append_body(**txn, out);
      return 4;
    }
    if (!changed_ && changes_something(op)) {
      changed_ = true;
      revision_ = revision_.next();
    }
    if (const auto* range = std::get_if<RangeOutcome>(&op)) {
      out->reserve(kMaxHeaderBytes + kvs_size_bytes(range->kvs) + 2 * kMaxVarintBytes);
      append_header({.revision = revision_}, out);
      codec::append_body(*range, out);
      return 1;
    }
    append_header({.revision = revision_}, out);
    if (const auto* put = std::get_if<PutOutcome>(&op)) {
      codec::append_body(*put, out);
      return 2;
    }
    codec::append_body(std::get<DeleteRangeOutcome>(op), out);
    return 3;
  }

  Revision revision_;
  bool changed_ = false;
};

}  // namespace

void append_header(const ResponseHeader& header, Bytes* out) {
  // One append: this is in every answer.
  char buffer[kMaxHeaderBytes];
  char* end = buffer;
  *end++ = static_cast<char>(bytes_tag(kHeaderField));
  *end++ = static_cast<char>(header_body_size_bytes(header));
  end = write_number(1, header.cluster.value, end);
  end = write_number(2, header.member.value, end);
  end = write_number(3, static_cast<std::uint64_t>(header.revision.value), end);
  end = write_number(4, header.raft_term.value, end);
  out->append(buffer, static_cast<std::size_t>(end - buffer));
}

void append_key_value(std::uint32_t field, BytesView kv, Bytes* out) {
  WireWriter(out).bytes_always(field, kv);
}

std::size_t key_value_size_bytes(std::size_t kv_bytes) {
  return message_field_size_bytes(1, kv_bytes);
}

void append_range_end(bool more, std::int64_t count, Bytes* out) {
  WireWriter writer(out);
  writer.boolean(3, more);
  writer.int64(4, count);
}

Bytes encode_header_only(const ResponseHeader& header) {
  Bytes out;
  out.reserve(kMaxHeaderBytes);
  append_header(header, &out);
  return out;
}

Bytes encode_range(const ResponseHeader& header, const RangeOutcome& outcome) {
  Bytes out;
  out.reserve(kMaxHeaderBytes + kvs_size_bytes(outcome.kvs) + 2 * kMaxVarintBytes);
  append_header(header, &out);
  append_body(outcome, &out);
  return out;
}

Bytes encode_put(const ResponseHeader& header, const PutOutcome& outcome) {
  Bytes out;
  const std::size_t prev_kv_bytes =
      outcome.prev_kv ? key_value_size_bytes(outcome.prev_kv->size()) : 0;
  out.reserve(kMaxHeaderBytes + prev_kv_bytes);
  append_header(header, &out);
  append_body(outcome, &out);
  return out;
}

Bytes encode_delete_range(const ResponseHeader& header, const DeleteRangeOutcome& outcome) {
  Bytes out;
  out.reserve(kMaxHeaderBytes + kMaxVarintBytes + kvs_size_bytes(outcome.prev_kvs));
  append_header(header, &out);
  append_body(outcome, &out);
  return out;
}

Bytes encode_txn(const ResponseHeader& header, const TxnOutcome& outcome) {
  const std::int64_t after = header.revision.value;
  const Revision before(changes_something(outcome) ? after - 1 : after);
  Bytes out;
  out.reserve(kMaxHeaderBytes + pairs_size_bytes(outcome));
  append_header(header, &out);
  TxnEncoder(before).append_body(outcome, &out);
  return out;
}

Bytes encode_lease_grant_response(const ResponseHeader& header,
                                  const statemachine::LeaseGrantOutcome& outcome) {
  Bytes out = encode_header_only(header);
  WireWriter writer(&out);
  writer.int64(2, outcome.id.value);
  writer.int64(3, outcome.ttl_seconds);
  return out;
}

Bytes encode_alarm_response(const ResponseHeader& header,
                            const statemachine::AlarmOutcome& outcome) {
  Bytes out = encode_header_only(header);
  WireWriter writer(&out);
  for (const statemachine::AlarmOutcome::Alarm& alarm : outcome.alarms) {
    Bytes element;
    WireWriter element_writer(&element);
    element_writer.varint(1, alarm.member.value);
    element_writer.varint(2, static_cast<std::uint64_t>(alarm.type));
    writer.bytes_always(2, element);
  }
  return out;
}

Bytes encode_lease_keep_alive_response(const ResponseHeader& header, LeaseId id,
                                       std::int64_t ttl_seconds) {
  Bytes out;
  out.reserve(kMaxHeaderBytes + 2 * (1 + kMaxVarintBytes));
  append_header(header, &out);
  WireWriter writer(&out);
  writer.int64(2, id.value);
  writer.int64(3, ttl_seconds);
  return out;
}

Bytes encode_lease_time_to_live_response(const ResponseHeader& header,
                                         const LeaseTimeToLive& lease) {
  Bytes out = encode_header_only(header);
  WireWriter writer(&out);
  writer.int64(2, lease.id.value);
  writer.int64(3, lease.remaining_seconds);
  writer.int64(4, lease.granted_seconds);
  for (const Bytes& key : lease.keys) writer.bytes_always(5, key);
  return out;
}

Bytes encode_leases_response(const ResponseHeader& header, absl::Span<const LeaseId> leases) {
  Bytes out = encode_header_only(header);
  WireWriter writer(&out);
  for (LeaseId id : leases) {
    const auto value = static_cast<std::uint64_t>(id.value);
    writer.message_header(2, varint_field_size_bytes(1, value));
    writer.varint(1, value);
  }
  return out;
}

Bytes encode_range_stream_chunk(BytesView range_response) {
  Bytes out;
  out.reserve(message_field_size_bytes(1, range_response.size()));
  WireWriter(&out).bytes_always(1, range_response);
  return out;
}

AroundBlob encode_snapshot_chunk(const ResponseHeader* header, std::uint64_t remaining_bytes,
                                 std::size_t blob_bytes, BytesView version) {
  AroundBlob out;
  out.before.reserve(kMaxHeaderBytes + 4 * kMaxVarintBytes);
  if (header != nullptr) append_header(*header, &out.before);
  WireWriter before(&out.before);
  before.varint(2, remaining_bytes);
  before.message_header(3, blob_bytes);
  WireWriter(&out.after).bytes(4, version);
  return out;
}

void append_event(EventType type, BytesView kv, BytesView prev_kv, Bytes* out) {
  const auto number = static_cast<std::uint64_t>(type);
  const std::size_t size = varint_field_size_bytes(1, number) +
                           message_field_size_bytes(2, kv.size()) +
                           (prev_kv.empty() ? 0 : message_field_size_bytes(3, prev_kv.size()));
  WireWriter writer(out);
  writer.message_header(kEventsField, size);
  writer.varint(1, number);
  writer.bytes_always(2, kv);
  writer.bytes(3, prev_kv);
}

Bytes encode_tombstone(BytesView key, Revision mod_revision) {
  Bytes out;
  out.reserve(key.size() + 2 * kMaxVarintBytes);
  WireWriter writer(&out);
  writer.bytes(1, key);
  writer.int64(3, mod_revision.value);
  return out;
}

Bytes encode_watch_response(const WatchResponse& response) {
  Bytes out;
  out.reserve(kMaxHeaderBytes + response.cancel_reason.size() + 4 * kMaxVarintBytes);
  append_header(response.header, &out);
  WireWriter writer(&out);
  writer.int64(2, response.watch_id);
  writer.boolean(3, response.created);
  writer.boolean(4, response.canceled);
  writer.int64(5, response.compact_revision.value);
  writer.bytes(6, response.cancel_reason);
  writer.boolean(7, response.fragment);
  return out;
}

}  // namespace holdfast::codec
