#include "datastore/lease/lease_record.h"

#include <optional>

#include "absl/status/status.h"

namespace holdfast::lease {
namespace {

enum WireType : std::uint32_t { kVarint = 0, kFixed64 = 1, kLengthDelimited = 2, kFixed32 = 5 };

void append_varint(Bytes& out, std::uint64_t number) {
  while (number >= 0x80) {
    out.push_back(static_cast<char>(number | 0x80));
    number >>= 7;
  }
  out.push_back(static_cast<char>(number));
}

void append_field(Bytes& out, std::uint32_t field, std::int64_t number) {
  if (number == 0) return;
  append_varint(out, field << 3 | kVarint);
  append_varint(out, static_cast<std::uint64_t>(number));
}

std::optional<std::uint64_t> take_varint(BytesView& in) {
  std::uint64_t number = 0;
  for (unsigned shift = 0; shift < 64 && !in.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(in.front());
    in.remove_prefix(1);
    number |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return number;
  }
  return std::nullopt;
}

bool skip(BytesView& in, std::uint64_t size) {
  if (in.size() < size) return false;
  in.remove_prefix(size);
  return true;
}

bool skip_field(BytesView& in, std::uint32_t wire_type) {
  switch (wire_type) {
    case kVarint:
      return take_varint(in).has_value();
    case kFixed64:
      return skip(in, 8);
    case kFixed32:
      return skip(in, 4);
    case kLengthDelimited: {
      const auto size = take_varint(in);
      return size.has_value() && skip(in, *size);
    }
    default:
      return false;
  }
}

/// Where the number of `field` goes; null for what is skipped.
std::int64_t* target_of(LeaseRecord& record, std::uint64_t tag) {
  switch (tag) {
    case 1U << 3 | kVarint:
      return &record.id.value;
    case 2U << 3 | kVarint:
      return &record.ttl_seconds;
    case 3U << 3 | kVarint:
      return &record.remaining_ttl_seconds;
    default:
      return nullptr;
  }
}

}  // namespace

Bytes lease_key(LeaseId id) {
  Bytes key(8, '\0');
  store_be64(key.data(), static_cast<std::uint64_t>(id.value));
  return key;
}

Bytes encode_lease(const LeaseRecord& record) {
  Bytes out;
  append_field(out, 1, record.id.value);
  append_field(out, 2, record.ttl_seconds);
  append_field(out, 3, record.remaining_ttl_seconds);
  return out;
}

absl::StatusOr<LeaseRecord> decode_lease(BytesView value) {
  const absl::Status broken = absl::DataLossError(
      "lease: a value of the lease bucket is not a lease; restore this member from a snapshot");
  LeaseRecord record;
  while (!value.empty()) {
    const auto tag = take_varint(value);
    if (!tag) return broken;
    if (std::int64_t* target = target_of(record, *tag)) {
      const auto number = take_varint(value);
      if (!number) return broken;
      *target = static_cast<std::int64_t>(*number);
    } else if (!skip_field(value, static_cast<std::uint32_t>(*tag & 7))) {
      return broken;
    }
  }
  return record;
}

}  // namespace holdfast::lease
