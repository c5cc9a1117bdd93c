#include "datastore/codec/requests.h"

#include <memory>
#include <utility>

#include "datastore/base/errors.h"
#include "datastore/codec/wire.h"

namespace holdfast::codec {
namespace {

using statemachine::AlarmRequest;
using statemachine::CompactionRequest;
using statemachine::Compare;
using statemachine::DeleteRangeRequest;
using statemachine::LeaseCheckpoint;
using statemachine::LeaseCheckpointRequest;
using statemachine::LeaseGrantRequest;
using statemachine::LeaseRevokeRequest;
using statemachine::PutRequest;
using statemachine::RangeRequest;
using statemachine::RequestOp;
using statemachine::TxnRequest;

// The merge_* functions read fields into what is there already: a message field that is sent twice
// is one message, merged.

absl::Status merge(BytesView bytes, RangeRequest* out) {
  WireReader reader(bytes);
  while (reader.next()) {
    switch (reader.tag()) {
      case bytes_tag(1):
        out->range.key = reader.bytes();
        break;
      case bytes_tag(2):
        out->range.end = reader.bytes();
        break;
      case varint_tag(3):
        out->limit = reader.int64();
        break;
      case varint_tag(4):
        out->revision = reader.int64();
        break;
      case varint_tag(5):
        out->sort_order = reader.int32();
        break;
      case varint_tag(6):
        out->sort_target = reader.int32();
        break;
      case varint_tag(7):
        out->serializable = reader.boolean();
        break;
      case varint_tag(8):
        out->keys_only = reader.boolean();
        break;
      case varint_tag(9):
        out->count_only = reader.boolean();
        break;
      case varint_tag(10):
        out->min_mod_revision = reader.int64();
        break;
      case varint_tag(11):
        out->max_mod_revision = reader.int64();
        break;
      case varint_tag(12):
        out->min_create_revision = reader.int64();
        break;
      case varint_tag(13):
        out->max_create_revision = reader.int64();
        break;
      default:
        reader.skip();
    }
  }
  return reader.status("RangeRequest");
}

absl::Status merge(BytesView bytes, PutRequest* out) {
  WireReader reader(bytes);
  while (reader.next()) {
    switch (reader.tag()) {
      case bytes_tag(1):
        out->key = reader.bytes();
        break;
      case bytes_tag(2):
        out->value = reader.bytes();
        break;
      case varint_tag(3):
        out->lease = LeaseId(reader.int64());
        break;
      case varint_tag(4):
        out->prev_kv = reader.boolean();
        break;
      case varint_tag(5):
        out->ignore_value = reader.boolean();
        break;
      case varint_tag(6):
        out->ignore_lease = reader.boolean();
        break;
      default:
        reader.skip();
    }
  }
  return reader.status("PutRequest");
}

absl::Status merge(BytesView bytes, DeleteRangeRequest* out) {
  WireReader reader(bytes);
  while (reader.next()) {
    switch (reader.tag()) {
      case bytes_tag(1):
        out->range.key = reader.bytes();
        break;
      case bytes_tag(2):
        out->range.end = reader.bytes();
        break;
      case varint_tag(3):
        out->prev_kv = reader.boolean();
        break;
      default:
        reader.skip();
    }
  }
  return reader.status("DeleteRangeRequest");
}

absl::Status decode_compare(BytesView bytes, Compare* out) {
  // One case at a time: a later one clears what an earlier one said.
  const auto number = [out](std::int32_t field, std::int64_t value) {
    out->operand_field = field;
    out->number = value;
    out->value = {};
  };
  WireReader reader(bytes);
  while (reader.next()) {
    switch (reader.tag()) {
      case varint_tag(1):
        out->result = reader.int32();
        break;
      case varint_tag(2):
        out->target = reader.int32();
        break;
      case bytes_tag(3):
        out->range.key = reader.bytes();
        break;
      case varint_tag(4):
        number(4, reader.int64());
        break;
      case varint_tag(5):
        number(5, reader.int64());
        break;
      case varint_tag(6):
        number(6, reader.int64());
        break;
      case bytes_tag(7):
        out->operand_field = 7;
        out->number = 0;
        out->value = reader.bytes();
        break;
      case varint_tag(8):
        number(8, reader.int64());
        break;
      case bytes_tag(64):
        out->range.end = reader.bytes();
        break;
      default:
        reader.skip();
    }
  }
  return reader.status("Compare");
}

/// Reads the tree of a transaction, charging every comparison and operation to one budget.
class TxnDecoder {
 public:
  explicit TxnDecoder(const TxnLimits& limits)
      : max_depth_(limits.max_depth), operations_left_(limits.max_operations) {}

  absl::Status merge_txn(BytesView bytes, int depth, TxnRequest* out) {
    if (depth > max_depth_) return errors::too_many_ops();
    WireReader reader(bytes);
    while (reader.next()) {
      absl::Status status;
      switch (reader.tag()) {
        case bytes_tag(1):
          status = add_compare(reader.bytes(), &out->compare);
          break;
        case bytes_tag(2):
          status = add_op(reader.bytes(), depth, &out->success);
          break;
        case bytes_tag(3):
          status = add_op(reader.bytes(), depth, &out->failure);
          break;
        default:
          reader.skip();
      }
      if (!status.ok()) return status;
    }
    return reader.status("TxnRequest");
  }

 private:
  absl::Status charge() {
    if (operations_left_ == 0) return errors::too_many_ops();
    --operations_left_;
    return absl::OkStatus();
  }

  absl::Status add_compare(BytesView bytes, std::vector<Compare>* out) {
    if (absl::Status status = charge(); !status.ok()) return status;
    return decode_compare(bytes, &out->emplace_back());
  }

  absl::Status add_op(BytesView bytes, int depth, std::vector<RequestOp>* out) {
    if (absl::Status status = charge(); !status.ok()) return status;
    RequestOp& op = out->emplace_back();
    WireReader reader(bytes);
    while (reader.next()) {
      absl::Status status;
      switch (reader.tag()) {
        case bytes_tag(1):
          status = merge(reader.bytes(), &alternative<RangeRequest>(op));
          break;
        case bytes_tag(2):
          status = merge(reader.bytes(), &alternative<PutRequest>(op));
          break;
        case bytes_tag(3):
          status = merge(reader.bytes(), &alternative<DeleteRangeRequest>(op));
          break;
        case bytes_tag(4): {
          auto& txn = alternative<std::unique_ptr<TxnRequest>>(op);
          if (txn == nullptr) txn = std::make_unique<TxnRequest>();
          status = merge_txn(reader.bytes(), depth + 1, txn.get());
          break;
        }
        default:
          reader.skip();
      }
      if (!status.ok()) return status;
    }
    return reader.status("RequestOp");
  }

  template <class T>
  static T& alternative(RequestOp& op) {
    if (T* same = std::get_if<T>(&op)) return *same;
    return op.emplace<T>();
  }

  const int max_depth_;
  std::size_t operations_left_;
};

absl::Status decode_checkpoint(BytesView bytes, LeaseCheckpoint* out) {
  WireReader reader(bytes);
  while (reader.next()) {
    switch (reader.tag()) {
      case varint_tag(1):
        out->id = LeaseId(reader.int64());
        break;
      case varint_tag(2):
        out->remaining_ttl_seconds = reader.int64();
        break;
      default:
        reader.skip();
    }
  }
  return reader.status("LeaseCheckpoint");
}

void add_filter(std::int32_t filter, WatchCreateRequest* out) {
  if (filter == 0) out->no_put = true;
  if (filter == 1) out->no_delete = true;
}

absl::Status merge(BytesView bytes, WatchCreateRequest* out) {
  WireReader reader(bytes);
  while (reader.next()) {
    switch (reader.tag()) {
      case bytes_tag(1):
        out->range.key = reader.bytes();
        break;
      case bytes_tag(2):
        out->range.end = reader.bytes();
        break;
      case varint_tag(3):
        out->start_revision = reader.int64();
        break;
      case varint_tag(4):
        out->progress_notify = reader.boolean();
        break;
      case varint_tag(5):
        add_filter(reader.int32(), out);
        break;
      case bytes_tag(5): {  // the same list, packed
        WireReader packed(reader.bytes());
        while (!packed.at_end()) add_filter(packed.int32(), out);
        if (packed.failed()) reader.fail("bad packed list");
        break;
      }
      case varint_tag(6):
        out->prev_kv = reader.boolean();
        break;
      case varint_tag(7):
        out->watch_id = reader.int64();
        break;
      case varint_tag(8):
        out->fragment = reader.boolean();
        break;
      default:
        reader.skip();
    }
  }
  return reader.status("WatchCreateRequest");
}

absl::Status merge(BytesView bytes, WatchCancelRequest* out) {
  WireReader reader(bytes);
  while (reader.next()) {
    switch (reader.tag()) {
      case varint_tag(1):
        out->watch_id = reader.int64();
        break;
      default:
        reader.skip();
    }
  }
  return reader.status("WatchCancelRequest");
}

template <class T>
T& alternative(WatchRequest& request) {
  if (T* same = std::get_if<T>(&request)) return *same;
  return request.emplace<T>();
}

}  // namespace

absl::Status decode(BytesView bytes, RangeRequest* out) {
  *out = {};
  return merge(bytes, out);
}

absl::Status decode(BytesView bytes, PutRequest* out) {
  *out = {};
  return merge(bytes, out);
}

absl::Status decode(BytesView bytes, DeleteRangeRequest* out) {
  *out = {};
  return merge(bytes, out);
}

absl::Status decode(BytesView bytes, TxnRequest* out, const TxnLimits& limits) {
  *out = {};
  return TxnDecoder(limits).merge_txn(bytes, 0, out);
}

absl::Status decode(BytesView bytes, CompactionRequest* out) {
  *out = {};
  WireReader reader(bytes);
  while (reader.next()) {
    switch (reader.tag()) {
      case varint_tag(1):
        out->revision = reader.int64();
        break;
      case varint_tag(2):
        out->physical = reader.boolean();
        break;
      default:
        reader.skip();
    }
  }
  return reader.status("CompactionRequest");
}

absl::Status decode(BytesView bytes, LeaseGrantRequest* out) {
  *out = {};
  WireReader reader(bytes);
  while (reader.next()) {
    switch (reader.tag()) {
      case varint_tag(1):
        out->ttl_seconds = reader.int64();
        break;
      case varint_tag(2):
        out->id = LeaseId(reader.int64());
        break;
      default:
        reader.skip();
    }
  }
  return reader.status("LeaseGrantRequest");
}

absl::Status decode(BytesView bytes, LeaseRevokeRequest* out) {
  *out = {};
  WireReader reader(bytes);
  while (reader.next()) {
    switch (reader.tag()) {
      case varint_tag(1):
        out->id = LeaseId(reader.int64());
        break;
      default:
        reader.skip();
    }
  }
  return reader.status("LeaseRevokeRequest");
}

absl::Status decode(BytesView bytes, LeaseCheckpointRequest* out) {
  *out = {};
  WireReader reader(bytes);
  while (reader.next()) {
    if (reader.tag() != bytes_tag(1)) {
      reader.skip();
      continue;
    }
    absl::Status status = decode_checkpoint(reader.bytes(), &out->checkpoints.emplace_back());
    if (!status.ok()) return status;
  }
  return reader.status("LeaseCheckpointRequest");
}

absl::Status decode(BytesView bytes, AlarmRequest* out) {
  *out = {};
  WireReader reader(bytes);
  while (reader.next()) {
    switch (reader.tag()) {
      case varint_tag(1):
        out->action = reader.int32();
        break;
      case varint_tag(2):
        out->member = MemberId(reader.varint());
        break;
      case varint_tag(3):
        out->alarm = reader.int32();
        break;
      default:
        reader.skip();
    }
  }
  return reader.status("AlarmRequest");
}

absl::Status decode(BytesView bytes, LeaseKeepAliveRequest* out) {
  *out = {};
  WireReader reader(bytes);
  while (reader.next()) {
    switch (reader.tag()) {
      case varint_tag(1):
        out->id = LeaseId(reader.int64());
        break;
      default:
        reader.skip();
    }
  }
  return reader.status("LeaseKeepAliveRequest");
}

absl::Status decode(BytesView bytes, LeaseTimeToLiveRequest* out) {
  *out = {};
  WireReader reader(bytes);
  while (reader.next()) {
    switch (reader.tag()) {
      case varint_tag(1):
        out->id = LeaseId(reader.int64());
        break;
      case varint_tag(2):
        out->keys = reader.boolean();
        break;
      default:
        reader.skip();
    }
  }
  return reader.status("LeaseTimeToLiveRequest");
}

absl::Status decode(BytesView bytes, WatchRequest* out) {
  *out = {};
  WireReader reader(bytes);
  while (reader.next()) {
    absl::Status status;
    switch (reader.tag()) {
      case bytes_tag(1):
        status = merge(reader.bytes(), &alternative<WatchCreateRequest>(*out));
        break;
      case bytes_tag(2):
        status = merge(reader.bytes(), &alternative<WatchCancelRequest>(*out));
        break;
      case bytes_tag(3):
        reader.bytes();
        alternative<WatchProgressRequest>(*out);
        break;
      default:
        reader.skip();
    }
    if (!status.ok()) return status;
  }
  return reader.status("WatchRequest");
}

}  // namespace holdfast::codec
