#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "datastore/base/bytes.h"
#include "datastore/ports/clock.h"
#include "datastore/ports/random.h"

namespace holdfast::crypto {

/// Sixteen random letters: the part of a simple token that a login chooses.
Bytes new_token_prefix(ports::Random& random);

/// The index of the log in a simple token, "letters.index"; nothing for any other text.
std::optional<std::uint64_t> token_index(BytesView token);

/// The simple tokens of one member, in its memory alone: the log brings each to every member, and
/// each forgets it when nobody has used it there for a while. Any thread.
class SimpleTokens {
 public:
  /// Beyond so many the token nearest its end makes room.
  static constexpr std::size_t kMaxTokens = std::size_t{1} << 18;

  SimpleTokens(std::chrono::nanoseconds ttl, const ports::Clock& clock)
      : ttl_(ttl), clock_(clock) {}

  void keep(Bytes token, Bytes user);
  /// The user it was given to, and keeps it for its whole time again; nothing if it is not known.
  std::optional<Bytes> find(BytesView token);
  void forget_user(BytesView user);
  void forget_all();
  std::size_t size() const;

 private:
  struct Entry {
    Bytes user;
    std::chrono::nanoseconds ends;
  };
  void drop_old(std::chrono::nanoseconds now);

  const std::chrono::nanoseconds ttl_;
  const ports::Clock& clock_;
  mutable std::mutex mutex_;
  absl::flat_hash_map<Bytes, Entry> tokens_;
  std::chrono::nanoseconds next_sweep_{0};
};

}  // namespace holdfast::crypto
