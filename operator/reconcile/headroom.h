#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

/// When a store will be full, from how it has grown. Pure.
namespace holdfast::reconcile {

/// Unix time in seconds, or a span of them.
using Seconds = std::int64_t;

struct GrowthSample {
  Seconds at = 0;
  std::int64_t bytes = 0;
  /// The newest then: tells which revisions are older than a while.
  std::int64_t revision = 0;

  friend bool operator==(const GrowthSample&, const GrowthSample&) = default;
};

/// How large the fullest member's store was: at most kMostSamples, first a minute apart, then ever
/// further as the window fills, so that a day is told by as few as half an hour is.
struct Growth {
  static constexpr std::size_t kMostSamples = 32;
  static constexpr Seconds kShortestInterval = 60;
  static constexpr Seconds kLongestInterval = 64 * kShortestInterval;

  Seconds interval = kShortestInterval;
  std::vector<GrowthSample> samples;  ///< oldest first
  /// The shortest time to full that was told of; 0: none.
  Seconds told = 0;

  /// Adds what is seen now, once the interval has passed since the last and if anything has
  /// changed: an idle store costs no write.
  void note(const GrowthSample& now);
  /// The newest revision that was there `age` ago; 0 if nobody looked then.
  std::int64_t revision_before(Seconds age, Seconds now) const;

  friend bool operator==(const Growth&, const Growth&) = default;
};

struct Forecast {
  /// From now; nothing: it does not grow, or so slowly that what was seen cannot tell.
  std::optional<Seconds> full_in;
};

/// What follows from the samples and the present size for a store that may hold `limit_bytes`: a
/// line through them by least squares, believed only where its slope is above twice its standard
/// error, and no further ahead than 48 times what was seen. Nothing: too little was seen yet.
std::optional<Forecast> forecast(const Growth& growth, const GrowthSample& now,
                                 std::int64_t limit_bytes);

}  // namespace holdfast::reconcile
