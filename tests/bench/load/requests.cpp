// Requests written field by field: a protobuf object per request would cost the generator more than
// the request costs the server. Field numbers are those of datastore/proto/rpc.proto.
#include "tests/bench/load/requests.h"

#include <array>

namespace holdfast::bench {
namespace {

constexpr int kKeyDigits = 16;

void append_varint(uint64_t value, std::string* out) {
  while (value >= 0x80) {
    out->push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out->push_back(static_cast<char>(value));
}

void append_number(int field, uint64_t value, std::string* out) {
  if (value == 0) return;
  append_varint(static_cast<uint64_t>(field) << 3, out);
  append_varint(value, out);
}

void append_length(int field, uint64_t length, std::string* out) {
  append_varint((static_cast<uint64_t>(field) << 3) | 2, out);
  append_varint(length, out);
}

void append_key_field(int field, const RequestShape& shape, uint64_t key, std::string* out) {
  append_length(field, shape.prefix.size() + kKeyDigits, out);
  append_key(shape, key, out);
}

/// The first key after all that begin with the prefix (the prefix ends with a plain '/').
void append_prefix_end(int field, const RequestShape& shape, std::string* out) {
  append_length(field, shape.prefix.size(), out);
  out->append(shape.prefix);
  out->back() = static_cast<char>(out->back() + 1);
}

void append_put(const RequestShape& shape, uint64_t key, std::string* out) {
  append_key_field(1, shape, key, out);
  append_length(2, shape.value_bytes, out);
  for (uint32_t i = 0; i < shape.value_bytes; ++i) {
    out->push_back(static_cast<char>('a' + (key + i * 7) % 26));
  }
  if (shape.lease_base != 0) append_number(3, static_cast<uint64_t>(shape.lease_base) + key, out);
}

/// Appends a nested message written by `write`, whose length is known only afterwards.
template <typename Write>
void append_nested(int field, std::string* out, const Write& write) {
  std::string body;
  write(&body);
  append_length(field, body.size(), out);
  out->append(body);
}

void append_guard(const RequestShape& shape, const RequestItem& item, std::string* out) {
  append_nested(1, out, [&](std::string* compare) {
    compare->append("\x10\x02", 2);  // target MOD; result EQUAL is 0
    append_key_field(3, shape, item.key, compare);
    append_varint(6 << 3, compare);  // a oneof member is written even if 0
    append_varint(static_cast<uint64_t>(item.revision), compare);
  });
}

void append_txn(Operation operation, const RequestShape& shape, const RequestItem& item,
                std::string* out) {
  append_guard(shape, item, out);
  append_nested(2, out, [&](std::string* op) {
    if (operation == Operation::kDelete) {
      append_nested(3, op, [&](std::string* body) { append_key_field(1, shape, item.key, body); });
    } else {
      append_nested(2, op, [&](std::string* body) { append_put(shape, item.key, body); });
    }
  });
  if (operation == Operation::kCreate) return;
  append_nested(3, out, [&](std::string* op) {
    append_nested(1, op, [&](std::string* body) { append_key_field(1, shape, item.key, body); });
  });
}

void append_message(Operation operation, const RequestShape& shape, const RequestItem& item,
                    std::string* out) {
  switch (operation) {
    case Operation::kPut:
      append_put(shape, item.key, out);
      return;
    case Operation::kGet:
      append_key_field(1, shape, item.key, out);
      append_number(7, shape.serializable ? 1 : 0, out);
      return;
    case Operation::kCreate:
    case Operation::kUpdate:
    case Operation::kDelete:
      append_txn(operation, shape, item, out);
      return;
    case Operation::kLeaseGrant:
      append_number(1, static_cast<uint64_t>(shape.ttl_seconds), out);
      if (shape.lease_base != 0) {
        append_number(2, static_cast<uint64_t>(shape.lease_base) + item.key, out);
      }
      return;
    case Operation::kLeaseKeepAlive:
      append_number(1, static_cast<uint64_t>(item.lease), out);
      return;
    case Operation::kListPage:
    case Operation::kListStream:
      append_key_field(1, shape, item.key, out);
      append_prefix_end(2, shape, out);
      append_number(3, item.page_keys, out);
      append_number(7, shape.serializable ? 1 : 0, out);
      return;
    case Operation::kWatch:
      append_nested(1, out, [&](std::string* create) {
        append_length(1, shape.prefix.size(), create);
        create->append(shape.prefix);
        append_prefix_end(2, shape, create);
      });
      return;
  }
}

/// One field of a protobuf message: a number, or bytes (fixed-width fields do not occur in
/// answers).
struct Field {
  uint32_t number;
  uint64_t value;
  std::string_view bytes;
};

/// Reads fields one after the other; ok() is false once the bytes are not a message.
class FieldReader {
 public:
  explicit FieldReader(std::string_view bytes) : rest_(bytes) {}

  bool next(Field* field) {
    if (rest_.empty() || !ok_) return false;
    uint64_t tag = 0;
    if (!varint(&tag)) return false;
    field->number = static_cast<uint32_t>(tag >> 3);
    if ((tag & 7) == 0) return varint(&field->value);
    uint64_t length = 0;
    if ((tag & 7) != 2 || !varint(&length) || length > rest_.size()) return ok_ = false;
    field->bytes = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return true;
  }

  bool ok() const { return ok_; }

 private:
  bool varint(uint64_t* value) {
    *value = 0;
    for (size_t i = 0; i < rest_.size() && i < 10; ++i) {
      const auto byte = static_cast<uint8_t>(rest_[i]);
      *value |= static_cast<uint64_t>(byte & 0x7f) << (7 * i);
      if (byte < 0x80) {
        rest_.remove_prefix(i + 1);
        return true;
      }
    }
    return ok_ = false;
  }

  std::string_view rest_;
  bool ok_ = true;
};

bool parse_header(std::string_view header, Answer* answer) {
  FieldReader reader(header);
  for (Field field{}; reader.next(&field);) {
    if (field.number == 3) answer->revision = static_cast<int64_t>(field.value);
  }
  return reader.ok();
}

void take_field(Operation operation, const Field& field, Answer* answer) {
  switch (operation) {
    case Operation::kCreate:
    case Operation::kUpdate:
    case Operation::kDelete:
      if (field.number == 2) answer->succeeded = field.value != 0;
      return;
    case Operation::kGet:
    case Operation::kListPage:
    case Operation::kListStream:
      if (field.number == 2) ++answer->entries;
      if (field.number == 3) answer->more = field.value != 0;
      return;
    case Operation::kLeaseGrant:
    case Operation::kLeaseKeepAlive:
      if (field.number == 2) answer->lease = static_cast<int64_t>(field.value);
      if (field.number == 3) answer->ttl_seconds = static_cast<int64_t>(field.value);
      return;
    case Operation::kWatch:
      if (field.number == 3) answer->created = field.value != 0;
      if (field.number == 4) answer->canceled = field.value != 0;
      if (field.number == 11) ++answer->entries;
      return;
    case Operation::kPut:
      return;
  }
}

}  // namespace

std::string_view path_of(Operation operation) {
  switch (operation) {
    case Operation::kPut:
      return "/etcdserverpb.KV/Put";
    case Operation::kGet:
    case Operation::kListPage:
      return "/etcdserverpb.KV/Range";
    case Operation::kCreate:
    case Operation::kUpdate:
    case Operation::kDelete:
      return "/etcdserverpb.KV/Txn";
    case Operation::kLeaseGrant:
      return "/etcdserverpb.Lease/LeaseGrant";
    case Operation::kLeaseKeepAlive:
      return "/etcdserverpb.Lease/LeaseKeepAlive";
    case Operation::kListStream:
      return "/etcdserverpb.KV/RangeStream";
    case Operation::kWatch:
      return "/etcdserverpb.Watch/Watch";
  }
  return "";
}

void append_key(const RequestShape& shape, uint64_t key, std::string* out) {
  out->append(shape.prefix);
  std::array<char, kKeyDigits> digits;
  for (int i = kKeyDigits - 1; i >= 0; --i) {
    digits[i] = static_cast<char>('0' + key % 10);
    key /= 10;
  }
  out->append(digits.data(), digits.size());
}

void append_request(Operation operation, const RequestShape& shape, const RequestItem& item,
                    std::string* out) {
  const size_t begin = out->size();
  out->append(5, '\0');
  append_message(operation, shape, item, out);
  const size_t length = out->size() - begin - 5;
  for (int i = 0; i < 4; ++i) {
    (*out)[begin + 1 + i] = static_cast<char>(length >> (24 - 8 * i));
  }
}

bool parse_answer(Operation operation, std::string_view message, Answer* answer) {
  *answer = Answer{};
  FieldReader reader(message);
  for (Field field{}; reader.next(&field);) {
    if (operation == Operation::kListStream) {  // RangeStreamResponse wraps a RangeResponse
      if (field.number == 1) return parse_answer(Operation::kListPage, field.bytes, answer);
      continue;
    }
    if (field.number == 1) {
      if (!parse_header(field.bytes, answer)) return false;
    } else {
      take_field(operation, field, answer);
    }
  }
  return reader.ok();
}

}  // namespace holdfast::bench
