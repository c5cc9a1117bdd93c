#include "operator/reconcile/headroom.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace holdfast::reconcile {
namespace {

constexpr std::size_t kFewestSamples = 4;
constexpr Seconds kShortestWindow = 240;
/// A trend is not believed for longer than this many times what was seen of it.
constexpr Seconds kHorizons = 48;
/// Beyond this many standard errors a slope is no accident.
constexpr double kErrors = 2;

struct Line {
  double bytes_per_second = 0;
  double standard_error = 0;
};

/// Source: ordinary least squares, times from the first sample on so that squares stay exact.
Line fit(const std::vector<GrowthSample>& samples) {
  const auto count = static_cast<double>(samples.size());
  const auto x = [&](const GrowthSample& sample) {
    return static_cast<double>(sample.at - samples.front().at);
  };
  const auto y = [&](const GrowthSample& sample) {
    return static_cast<double>(sample.bytes - samples.front().bytes);
  };
  double mean_x = 0;
  double mean_y = 0;
  for (const GrowthSample& sample : samples) {
    mean_x += x(sample) / count;
    mean_y += y(sample) / count;
  }
  double spread = 0;
  double together = 0;
  for (const GrowthSample& sample : samples) {
    spread += (x(sample) - mean_x) * (x(sample) - mean_x);
    together += (x(sample) - mean_x) * (y(sample) - mean_y);
  }
  if (spread <= 0) return {};
  Line line{together / spread, 0};
  double missed = 0;
  for (const GrowthSample& sample : samples) {
    const double off = y(sample) - mean_y - line.bytes_per_second * (x(sample) - mean_x);
    missed += off * off;
  }
  line.standard_error = std::sqrt(missed / (count - 2) / spread);
  return line;
}

}  // namespace

void Growth::note(const GrowthSample& now) {
  if (!samples.empty()) {
    const GrowthSample& last = samples.back();
    if (now.at < last.at) {
      samples.clear();  // a clock went back: what was noted is of no use
    } else if (now.at - last.at < interval ||
               (now.bytes == last.bytes && now.revision == last.revision)) {
      return;
    }
  }
  if (samples.size() >= kMostSamples && interval < kLongestInterval) {
    std::vector<GrowthSample> thinned;
    for (std::size_t i = samples.size() % 2 == 0 ? 1 : 0; i < samples.size(); i += 2) {
      thinned.push_back(samples[i]);
    }
    samples = std::move(thinned);
    interval *= 2;
    return note(now);
  }
  if (samples.size() >= kMostSamples) samples.erase(samples.begin());
  samples.push_back(now);
}

std::int64_t Growth::revision_before(Seconds age, Seconds now) const {
  std::int64_t revision = 0;
  for (const GrowthSample& sample : samples) {
    if (sample.at <= now - age) revision = std::max(revision, sample.revision);
  }
  return revision;
}

std::optional<Forecast> forecast(const Growth& growth, const GrowthSample& now,
                                 std::int64_t limit_bytes) {
  std::vector<GrowthSample> samples = growth.samples;
  if (samples.empty() || samples.back().at < now.at) samples.push_back(now);
  const Seconds window = samples.back().at - samples.front().at;
  if (samples.size() < kFewestSamples || window < kShortestWindow) return std::nullopt;
  const Line line = fit(samples);
  Forecast seen;
  if (line.bytes_per_second <= kErrors * line.standard_error) return seen;
  const double left = static_cast<double>(std::max<std::int64_t>(limit_bytes - now.bytes, 0));
  const double seconds = left / line.bytes_per_second;
  if (seconds <= static_cast<double>(kHorizons * window)) seen.full_in = std::llround(seconds);
  return seen;
}

}  // namespace holdfast::reconcile
