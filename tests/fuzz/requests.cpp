// Bytes from a client, a peer or a log to every decoder of codec, and on to the door's checks: the
// first byte chooses which, the rest is the message.

#include <cstddef>
#include <cstdint>

#include "datastore/base/check.h"
#include "datastore/codec/internal_request.h"
#include "datastore/codec/raft_messages.h"
#include "datastore/codec/requests.h"
#include "datastore/mvcc/key_value.h"
#include "datastore/statemachine/validate.h"

namespace {

using namespace holdfast;  // NOLINT: every decoder there is

/// What the store parses it encodes to something it parses to the same.
void parse_pair_twice(BytesView bytes) {
  const auto once = mvcc::parse_key_value(bytes);
  if (!once.has_value()) return;
  Bytes again(mvcc::key_value_size(*once), '\0');
  mvcc::encode_key_value(*once, again.data());
  const auto twice = mvcc::parse_key_value(again);
  HOLDFAST_CHECK(twice.has_value());
  HOLDFAST_CHECK(twice->key == once->key && twice->value == once->value);
  HOLDFAST_CHECK(twice->mod_revision == once->mod_revision && twice->lease == once->lease);
}

template <class Request>
void decode_only(BytesView bytes) {
  Request request;
  (void)codec::decode(bytes, &request);
}

/// What decodes as a request must decode the same from inside a log entry.
template <class Request, class Check>
void decode_and_check(BytesView bytes, codec::CommandField field, Check check) {
  Request request;
  if (!codec::decode(bytes, &request).ok()) return;
  (void)check(request);
  const Bytes entry = codec::encode_internal(7, field, bytes);
  HOLDFAST_CHECK(entry.size() == codec::internal_size_bytes(7, field, bytes.size()));
  statemachine::Command command;
  HOLDFAST_CHECK(codec::decode_internal(entry, &command).ok());
  HOLDFAST_CHECK(command.id == 7);
  HOLDFAST_CHECK(std::holds_alternative<Request>(command.body));
}

constexpr auto kUnchecked = [](const auto&) { return absl::OkStatus(); };

template <class Value>
void decode_twice(BytesView bytes) {
  Value value;
  if (!codec::decode(bytes, &value).ok()) return;
  const Bytes canonical = codec::encode(value);
  Value again;
  HOLDFAST_CHECK(codec::decode(canonical, &again).ok());
  HOLDFAST_CHECK(codec::encode(again) == canonical);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const BytesView bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  using codec::CommandField;
  switch (data[0] % 16) {
    case 0:
      decode_and_check<statemachine::RangeRequest>(bytes, CommandField::kRange,
                                                   statemachine::check_range);
      break;
    case 1:
      decode_and_check<statemachine::PutRequest>(bytes, CommandField::kPut,
                                                 statemachine::check_put);
      break;
    case 2:
      decode_and_check<statemachine::DeleteRangeRequest>(bytes, CommandField::kDeleteRange,
                                                         statemachine::check_delete);
      break;
    case 3:
      decode_and_check<statemachine::TxnRequest>(
          bytes, CommandField::kTxn,
          [](const statemachine::TxnRequest& txn) { return statemachine::check_txn(txn); });
      break;
    case 4:
      decode_and_check<statemachine::CompactionRequest>(bytes, CommandField::kCompaction,
                                                        kUnchecked);
      break;
    case 5:
      decode_and_check<statemachine::LeaseGrantRequest>(bytes, CommandField::kLeaseGrant,
                                                        kUnchecked);
      break;
    case 6:
      decode_and_check<statemachine::LeaseRevokeRequest>(bytes, CommandField::kLeaseRevoke,
                                                         kUnchecked);
      break;
    case 7:
      decode_and_check<statemachine::AlarmRequest>(bytes, CommandField::kAlarm, kUnchecked);
      break;
    case 8:
      decode_only<codec::WatchRequest>(bytes);
      break;
    case 9:
      decode_only<codec::LeaseKeepAliveRequest>(bytes);
      break;
    case 10:
      decode_only<codec::LeaseTimeToLiveRequest>(bytes);
      break;
    case 11: {
      statemachine::Command command;
      (void)codec::decode_internal(bytes, &command);
      break;
    }
    case 12:
      decode_twice<raft::Message>(bytes);
      break;
    case 13:
      decode_twice<raft::ConfChange>(bytes);
      break;
    case 14:
      parse_pair_twice(bytes);
      break;
    case 15:
      decode_twice<raft::HardState>(bytes);
      break;
  }
  return 0;
}
