#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "datastore/base/bytes.h"

/// The protobuf wire format, by hand: what the hot paths read and write without generated classes.
namespace holdfast::codec {

enum class WireType : std::uint32_t {
  kVarint = 0,
  kFixed64 = 1,
  kBytes = 2,
  kGroupStart = 3,
  kGroupEnd = 4,
  kFixed32 = 5,
};

/// A field number and its wire type as one number, so that a decoder is one switch: a known number
/// with the wrong type lands in `default` and is skipped as unknown, as protobuf asks.
constexpr std::uint32_t varint_tag(std::uint32_t field) {
  return field << 3 | static_cast<std::uint32_t>(WireType::kVarint);
}
constexpr std::uint32_t bytes_tag(std::uint32_t field) {
  return field << 3 | static_cast<std::uint32_t>(WireType::kBytes);
}

inline constexpr std::size_t kMaxVarintBytes = 10;

constexpr std::size_t varint_size_bytes(std::uint64_t v) {
  return (static_cast<std::size_t>(std::bit_width(v | 1)) + 6) / 7;
}

/// Writes `value` to `out`, which has room for kMaxVarintBytes. Returns the end of what was
/// written.
inline char* write_varint(std::uint64_t value, char* out) {
  while (value >= 0x80) {
    *out++ = static_cast<char>(value | 0x80);
    value >>= 7;
  }
  *out++ = static_cast<char>(value);
  return out;
}

/// Reads one message, field by field, never past its end and without copying.
///
///     WireReader reader(bytes);
///     while (reader.next()) {
///       switch (reader.tag()) {
///         case bytes_tag(1): out->key = reader.bytes(); break;
///         default: reader.skip();
///       }
///     }
///     return reader.status("PutRequest");
///
/// After the first error next() is false and every read returns zero or nothing, so that a decoder
/// asks for the status once, at the end. The bytes must outlive every view handed out.
class WireReader {
 public:
  explicit WireReader(BytesView message)
      : cursor_(message.data()), end_(message.data() + message.size()) {}

  /// Moves to the next field; false at the end of the message or after an error.
  bool next() {
    if (cursor_ == end_) return false;
    const std::uint64_t tag = varint();
    if (__builtin_expect(tag > kMaxTag || tag < kMinTag, 0)) {
      fail("bad field number");
      return false;
    }
    tag_ = static_cast<std::uint32_t>(tag);
    return error_ == nullptr;
  }

  /// True when nothing is left, or after an error.
  bool at_end() const { return cursor_ == end_; }

  std::uint32_t tag() const { return tag_; }
  std::uint32_t field() const { return tag_ >> 3; }

  /// The value of a varint field.
  std::uint64_t varint() {
    if (__builtin_expect(cursor_ != end_ && static_cast<unsigned char>(*cursor_) < 0x80, 1)) {
      return static_cast<unsigned char>(*cursor_++);
    }
    // Two bytes: most lengths, and the tags of fields from 16 on.
    if (end_ - cursor_ >= 2 && static_cast<unsigned char>(cursor_[1]) < 0x80) {
      const std::uint64_t low = static_cast<unsigned char>(cursor_[0]) & 0x7f;
      const std::uint64_t high = static_cast<unsigned char>(cursor_[1]);
      cursor_ += 2;
      return low | high << 7;
    }
    return long_varint();
  }
  std::int64_t int64() { return static_cast<std::int64_t>(varint()); }
  /// An enum or int32: protobuf keeps the low 32 bits.
  std::int32_t int32() { return static_cast<std::int32_t>(static_cast<std::uint32_t>(varint())); }
  bool boolean() { return varint() != 0; }

  /// The contents of a bytes, string or message field.
  BytesView bytes() {
    const std::uint64_t size = varint();
    if (__builtin_expect(size > static_cast<std::uint64_t>(end_ - cursor_), 0)) {
      fail("length runs past the end");
      return {};
    }
    const char* begin = cursor_;
    cursor_ += size;
    return {begin, static_cast<std::size_t>(size)};
  }

  /// Passes over the value of a field that the decoder does not know.
  void skip();

  /// Stops with a reason: a literal, which the status repeats.
  void fail(const char* reason) {
    if (error_ == nullptr) error_ = reason;
    cursor_ = end_;
  }
  bool failed() const { return error_ != nullptr; }

  /// OK, or InvalidArgument naming the message, the field's number and the reason.
  absl::Status status(const char* message) const {
    if (__builtin_expect(error_ == nullptr, 1)) return absl::OkStatus();
    return failure(message);
  }

 private:
  static constexpr std::uint64_t kMinTag = 1 << 3;
  static constexpr std::uint64_t kMaxTag = ((std::uint64_t{1} << 29) - 1) << 3 | 7;

  std::uint64_t long_varint();
  absl::Status failure(const char* message) const;

  const char* cursor_;
  const char* end_;
  const char* error_ = nullptr;
  std::uint32_t tag_ = 0;
};

/// Appends fields to `out`. As proto3 does, zero numbers, false and empty bytes are left out by the
/// plain calls; fields of a oneof, list elements and present messages use the *_always calls.
class WireWriter {
 public:
  explicit WireWriter(Bytes* out) : out_(out) {}

  void varint(std::uint32_t field, std::uint64_t value) {
    if (value != 0) varint_always(field, value);
  }
  void int64(std::uint32_t field, std::int64_t value) {
    varint(field, static_cast<std::uint64_t>(value));
  }
  void boolean(std::uint32_t field, bool value) { varint(field, value ? 1 : 0); }
  void bytes(std::uint32_t field, BytesView value) {
    if (!value.empty()) bytes_always(field, value);
  }

  void varint_always(std::uint32_t field, std::uint64_t value) {
    raw(varint_tag(field));
    raw(value);
  }
  void bytes_always(std::uint32_t field, BytesView value) {
    message_header(field, value.size());
    out_->append(value);
  }
  /// The tag and length of a message whose `size_bytes` the caller appends next.
  void message_header(std::uint32_t field, std::size_t size_bytes) {
    raw(bytes_tag(field));
    raw(size_bytes);
  }
  /// A bare varint.
  void raw(std::uint64_t value) {
    char buffer[kMaxVarintBytes];
    out_->append(buffer, static_cast<std::size_t>(write_varint(value, buffer) - buffer));
  }

 private:
  Bytes* out_;
};

/// Bytes that WireWriter writes for a field, so that a parent's length is known before its body.
constexpr std::size_t varint_field_size_bytes(std::uint32_t field, std::uint64_t value) {
  return value == 0 ? 0 : varint_size_bytes(varint_tag(field)) + varint_size_bytes(value);
}
constexpr std::size_t message_field_size_bytes(std::uint32_t field, std::size_t body_size_bytes) {
  return varint_size_bytes(bytes_tag(field)) + varint_size_bytes(body_size_bytes) + body_size_bytes;
}

}  // namespace holdfast::codec
