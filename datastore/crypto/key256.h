#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>

#include "datastore/base/bytes.h"

namespace holdfast::crypto {

/// Tells keys apart without telling anything about them.
using KeyId = std::array<char, 16>;

inline BytesView view_of(const KeyId& id) {
  return {id.data(), id.size()};
}
/// For people: 16 hex digits, enough to find a key among a few.
std::string short_hex(const KeyId& id);

/// 256 bits that must stay secret: wiped when they go. A value; any thread.
class Key256 {
 public:
  static constexpr std::size_t kBytes = 32;

  /// `bytes`: kBytes.
  explicit Key256(BytesView bytes);
  static Key256 random();
  /// From its text: 64 hexadecimal digits, or Base64 of 32 bytes. None if `text` is neither.
  static std::optional<Key256> parse(BytesView text);
  ~Key256();
  Key256(const Key256&) = default;
  Key256& operator=(const Key256&) = default;

  BytesView bytes() const { return {bytes_.data(), bytes_.size()}; }
  /// The beginning of a SHA-256 of it, made for nothing else.
  KeyId id() const;
  /// Another key, for one purpose and salt. Whoever has it learns nothing about this one.
  Key256 derive(BytesView salt, BytesView purpose) const;

  friend bool operator==(const Key256&, const Key256&) = default;

 private:
  std::array<char, kBytes> bytes_;
};

/// What one room seals with: its own key, and the ID of the data key from which that comes, by
/// which the room's files say what opens them.
struct SealingKey {
  KeyId id;
  Key256 key;
};

/// The key of the room that calls itself `purpose`.
inline SealingKey sealing_key(const Key256& data_key, BytesView purpose) {
  return {data_key.id(), data_key.derive({}, purpose)};
}

}  // namespace holdfast::crypto
