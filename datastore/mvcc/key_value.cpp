#include "datastore/mvcc/key_value.h"

#include <cstring>

namespace holdfast::mvcc {
namespace {

constexpr char kSeparator = '_';
constexpr char kTombstoneMark = 't';

enum WireType : std::uint64_t { kVarint = 0, kFixed64 = 1, kLengthDelimited = 2, kFixed32 = 5 };

constexpr char tag(int field, WireType type) {
  return static_cast<char>(field << 3 | type);
}

std::size_t varint_size(std::uint64_t v) {
  return static_cast<std::size_t>(64 - __builtin_clzll(v | 1) + 6) / 7;
}

char* write_varint(std::uint64_t v, char* out) {
  while (v >= 0x80) {
    *out++ = static_cast<char>(v | 0x80);
    v >>= 7;
  }
  *out++ = static_cast<char>(v);
  return out;
}

std::size_t bytes_field_size(BytesView bytes) {
  return bytes.empty() ? 0 : 1 + varint_size(bytes.size()) + bytes.size();
}

std::size_t number_field_size(std::int64_t number) {
  return number == 0 ? 0 : 1 + varint_size(static_cast<std::uint64_t>(number));
}

char* write_bytes_field(int field, BytesView bytes, char* out) {
  if (bytes.empty()) return out;
  *out++ = tag(field, kLengthDelimited);
  out = write_varint(bytes.size(), out);
  std::memcpy(out, bytes.data(), bytes.size());
  return out + bytes.size();
}

char* write_number_field(int field, std::int64_t number, char* out) {
  if (number == 0) return out;
  *out++ = tag(field, kVarint);
  return write_varint(static_cast<std::uint64_t>(number), out);
}

/// Takes wire elements from the front of some bytes; once anything is malformed, ok() is false.
class WireReader {
 public:
  explicit WireReader(BytesView bytes) : rest_(bytes) {}

  bool ok() const { return ok_; }
  bool more() const { return ok_ && !rest_.empty(); }

  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) return fail();
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      if (shift == 63 && byte > 1) return fail();
      value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    return fail();
  }

  BytesView length_delimited() {
    const std::uint64_t size = varint();
    if (!ok_ || size > rest_.size()) {
      fail();
      return {};
    }
    BytesView bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return bytes;
  }

  /// Steps over the value of a field this version does not know. Groups, long deprecated, are
  /// refused.
  void skip(std::uint64_t wire_type) {
    switch (wire_type) {
      case kVarint:
        varint();
        return;
      case kFixed64:
        skip_bytes(8);
        return;
      case kLengthDelimited:
        length_delimited();
        return;
      case kFixed32:
        skip_bytes(4);
        return;
      default:
        fail();
    }
  }

 private:
  std::uint64_t fail() {
    ok_ = false;
    return 0;
  }
  void skip_bytes(std::size_t count) {
    if (count > rest_.size()) {
      fail();
      return;
    }
    rest_.remove_prefix(count);
  }

  BytesView rest_;
  bool ok_ = true;
};

}  // namespace

std::size_t encode_bucket_key(const BucketKey& key, char* out) {
  store_be64(out, static_cast<std::uint64_t>(key.revision.main));
  out[8] = kSeparator;
  store_be64(out + 9, static_cast<std::uint64_t>(key.revision.sub));
  if (!key.tombstone) return kRevisionKeyBytes;
  out[kRevisionKeyBytes] = kTombstoneMark;
  return kTombstoneKeyBytes;
}

std::optional<BucketKey> parse_bucket_key(BytesView bytes) {
  const bool marked = bytes.size() == kTombstoneKeyBytes;
  if (!marked && bytes.size() != kRevisionKeyBytes) return std::nullopt;
  if (bytes[8] != kSeparator || (marked && bytes.back() != kTombstoneMark)) return std::nullopt;
  BucketKey key;
  key.revision.main = static_cast<std::int64_t>(load_be64(bytes.data()));
  key.revision.sub = static_cast<std::int64_t>(load_be64(bytes.data() + 9));
  key.tombstone = marked;
  if (key.revision.main < 0 || key.revision.sub < 0) return std::nullopt;
  return key;
}

absl::Status damaged_entry(BytesView bucket_key, const char* what) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string message = "bucket key, entry ";
  for (const char c : bucket_key) {
    message += kDigits[static_cast<unsigned char>(c) >> 4];
    message += kDigits[c & 0xF];
  }
  message += ": ";
  message += what;
  return absl::DataLossError(message +
                             "; stop this member and restore it from a peer or a snapshot");
}

absl::StatusOr<BucketKey> stored_bucket_key(BytesView bytes) {
  if (const auto key = parse_bucket_key(bytes); key.has_value()) return *key;
  return damaged_entry(bytes, "not a revision");
}

std::size_t key_value_size(const KeyValueView& kv) {
  return bytes_field_size(kv.key) + number_field_size(kv.create_revision) +
         number_field_size(kv.mod_revision) + number_field_size(kv.version) +
         bytes_field_size(kv.value) + number_field_size(kv.lease);
}

char* encode_key_value(const KeyValueView& kv, char* out) {
  out = write_bytes_field(1, kv.key, out);
  out = write_number_field(2, kv.create_revision, out);
  out = write_number_field(3, kv.mod_revision, out);
  out = write_number_field(4, kv.version, out);
  out = write_bytes_field(5, kv.value, out);
  return write_number_field(6, kv.lease, out);
}

Bytes encode_key_value(const KeyValueView& kv) {
  Bytes bytes(key_value_size(kv), '\0');
  encode_key_value(kv, bytes.data());
  return bytes;
}

BytesView key_within(BytesView encoded, std::size_t key_size) {
  if (key_size == 0) return {};
  return encoded.substr(1 + varint_size(key_size), key_size);
}

std::optional<KeyValueView> parse_key_value(BytesView bytes) {
  KeyValueView kv;
  WireReader reader(bytes);
  while (reader.more()) {
    const std::uint64_t field_and_type = reader.varint();
    switch (field_and_type) {
      case tag(1, kLengthDelimited):
        kv.key = reader.length_delimited();
        break;
      case tag(2, kVarint):
        kv.create_revision = static_cast<std::int64_t>(reader.varint());
        break;
      case tag(3, kVarint):
        kv.mod_revision = static_cast<std::int64_t>(reader.varint());
        break;
      case tag(4, kVarint):
        kv.version = static_cast<std::int64_t>(reader.varint());
        break;
      case tag(5, kLengthDelimited):
        kv.value = reader.length_delimited();
        break;
      case tag(6, kVarint):
        kv.lease = static_cast<std::int64_t>(reader.varint());
        break;
      default:
        if (field_and_type >> 3 == 0) return std::nullopt;
        reader.skip(field_and_type & 7);
    }
  }
  if (!reader.ok()) return std::nullopt;
  return kv;
}

}  // namespace holdfast::mvcc
