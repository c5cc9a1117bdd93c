#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <ostream>
#include <utility>

namespace holdfast {

/// A number that only mixes with its own kind: a Term is never an Index by accident.
/// Comparable, hashable, explicit in both directions; `value` is the bare number.
template <class Tag, class Rep>
struct StrongId {
  Rep value{};

  constexpr StrongId() = default;
  constexpr explicit StrongId(Rep number) : value(number) {}

  friend constexpr auto operator<=>(const StrongId&, const StrongId&) = default;
  constexpr explicit operator bool() const { return value != Rep{}; }
  constexpr StrongId next() const { return StrongId(value + 1); }

  friend std::ostream& operator<<(std::ostream& out, const StrongId& id) { return out << id.value; }
  template <class H>
  friend H AbslHashValue(H state, const StrongId& id) {
    return H::combine(std::move(state), id.value);
  }
};

/// Raft term, from 1; 0 before any election.
using Term = StrongId<struct TermTag, std::uint64_t>;
/// Raft log index, from 1; 0 is the position before the first entry.
using Index = StrongId<struct IndexTag, std::uint64_t>;
/// A raft member; 0 is nobody.
using MemberId = StrongId<struct MemberIdTag, std::uint64_t>;
using ClusterId = StrongId<struct ClusterIdTag, std::uint64_t>;
/// etcd's main revision: the store starts at 1, each transaction that changes something adds one.
using Revision = StrongId<struct RevisionTag, std::int64_t>;
/// 0 is no lease.
using LeaseId = StrongId<struct LeaseIdTag, std::int64_t>;

}  // namespace holdfast

template <class Tag, class Rep>
struct std::hash<holdfast::StrongId<Tag, Rep>> {
  std::size_t operator()(const holdfast::StrongId<Tag, Rep>& id) const noexcept {
    return std::hash<Rep>{}(id.value);
  }
};
