#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <deque>

namespace holdfast::lease {

/// Every lease in a list of those with about its TTL, so that a new leader has nothing to compute:
/// what it inherited falls due list by list, and it looks at a lease when its list does.
///
/// The leases that this leader has set an expiry for itself (granted, renewed, taken) stand in
/// front; behind them those that it has not touched. Links are in the leases themselves, by slot.
/// Every call is O(1).
class Inheritance {
 public:
  static constexpr std::uint32_t kNone = UINT32_MAX;
  struct Links {
    std::uint32_t previous = kNone;
    std::uint32_t next = kNone;
  };

  /// Lists are exact below 256 s, and as wide as 1/128 of their TTL above.
  static constexpr std::size_t kLists = 27 * 128 + 128;
  static std::size_t list_of(std::int64_t ttl_seconds) {
    constexpr std::int64_t kLongest = (std::int64_t{1} << 34) - 1;
    const auto ttl = static_cast<std::uint64_t>(std::clamp<std::int64_t>(ttl_seconds, 0, kLongest));
    if (ttl < 256) return static_cast<std::size_t>(ttl);
    const auto shift = static_cast<std::size_t>(std::bit_width(ttl)) - 8;
    return shift * 128 + static_cast<std::size_t>(ttl >> shift);
  }
  /// The least TTL in the list.
  static std::int64_t least_ttl_seconds(std::size_t list) {
    if (list < 256) return static_cast<std::int64_t>(list);
    const std::size_t shift = list / 128 - 1;
    return static_cast<std::int64_t>(list - shift * 128) << shift;
  }

  /// `Leases`: anything that has the Links of slot s at leases[s].links.
  template <class Leases>
  void add_touched(Leases& leases, std::uint32_t slot, std::size_t list) {
    Ends& ends = lists_[list];
    Links& links = leases[slot].links;
    links = {kNone, ends.first};
    (ends.first == kNone ? ends.last : leases[ends.first].links.previous) = slot;
    ends.first = slot;
  }
  template <class Leases>
  void add_untouched(Leases& leases, std::uint32_t slot, std::size_t list) {
    Ends& ends = lists_[list];
    Links& links = leases[slot].links;
    links = {ends.last, kNone};
    (ends.last == kNone ? ends.first : leases[ends.last].links.next) = slot;
    ends.last = slot;
  }
  template <class Leases>
  void remove(Leases& leases, std::uint32_t slot, std::size_t list) {
    Ends& ends = lists_[list];
    const Links links = leases[slot].links;
    (links.previous == kNone ? ends.first : leases[links.previous].links.next) = links.next;
    (links.next == kNone ? ends.last : leases[links.next].links.previous) = links.previous;
  }
  /// The one furthest behind; kNone in an empty list.
  std::uint32_t last(std::size_t list) const { return lists_[list].last; }
  void clear() { lists_.fill({}); }

 private:
  struct Ends {
    std::uint32_t first = kNone;
    std::uint32_t last = kNone;
  };
  std::array<Ends, kLists> lists_{};
};

}  // namespace holdfast::lease
