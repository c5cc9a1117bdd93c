#include "datastore/telemetry/metric.h"

#include <cmath>
#include <deque>
#include <limits>
#include <map>
#include <mutex>
#include <variant>

#include "datastore/base/check.h"
#include "prometheus/text_serializer.h"

namespace holdfast::telemetry {
namespace {

using Source = std::function<double()>;
using Metric = std::variant<const Counter*, const Gauge*, const Histogram*, Source>;

struct Series {
  Labels labels;
  Presence presence;
  Metric metric;
};

struct Family {
  std::string help;
  prometheus::MetricType type;
  std::vector<Series> series;
  std::function<MetricRegistry::Samples()> samples;  // null but for a family of samples_from()
};

prometheus::ClientMetric::Histogram snapshot(const Histogram& histogram) {
  prometheus::ClientMetric::Histogram result;
  const std::vector<double>& bounds = histogram.upper_bounds();
  for (std::size_t i = 0; i <= bounds.size(); ++i) {
    result.sample_count += histogram.bucket_count(i);
    const double bound = i < bounds.size() ? bounds[i] : std::numeric_limits<double>::infinity();
    result.bucket.push_back({result.sample_count, bound});
  }
  result.sample_sum = histogram.sum();
  return result;
}

bool is_unused(prometheus::MetricType type, const prometheus::ClientMetric& metric) {
  if (type == prometheus::MetricType::Gauge) {
    return std::isnan(metric.gauge.value);
  }
  return metric.counter.value == 0 && metric.histogram.sample_count == 0;
}

prometheus::ClientMetric labelled(const Labels& labels) {
  prometheus::ClientMetric result;
  for (const auto& [name, value] : labels) {
    result.label.push_back({name, value});
  }
  return result;
}

prometheus::ClientMetric snapshot(const Series& series) {
  prometheus::ClientMetric result = labelled(series.labels);
  if (const auto* counter = std::get_if<const Counter*>(&series.metric)) {
    result.counter.value = static_cast<double>((*counter)->value());
  } else if (const auto* gauge = std::get_if<const Gauge*>(&series.metric)) {
    result.gauge.value = (*gauge)->value();
  } else if (const auto* histogram = std::get_if<const Histogram*>(&series.metric)) {
    result.histogram = snapshot(**histogram);
  } else {
    result.counter.value = std::get<Source>(series.metric)();
  }
  return result;
}

}  // namespace

std::uint64_t Histogram::count() const {
  std::uint64_t total = 0;
  for (std::size_t i = 0; i <= upper_bounds_.size(); ++i) {
    total += bucket_count(i);
  }
  return total;
}

std::vector<double> exponential_buckets(double start, double factor, std::size_t count) {
  std::vector<double> bounds;
  for (double bound = start; bounds.size() < count; bound *= factor) {
    bounds.push_back(bound);
  }
  return bounds;
}

struct MetricRegistry::Families {
  std::mutex mutex;
  std::map<std::string, Family> by_name;
  // Deques never move what they hold, so the references handed out stay valid.
  std::deque<Counter> counters;
  std::deque<Gauge> gauges;
  std::deque<Histogram> histograms;

  void add(const std::string& name, const std::string& help, prometheus::MetricType type,
           Series series) {
    auto [place, fresh] = by_name.try_emplace(name, Family{help, type, {}, {}});
    HOLDFAST_CHECK(fresh || place->second.type == type);
    place->second.series.push_back(std::move(series));
  }
};

MetricRegistry::MetricRegistry() : families_(std::make_unique<Families>()) {
}
MetricRegistry::~MetricRegistry() = default;

Counter& MetricRegistry::counter(const std::string& name, const std::string& help,
                                 const Labels& labels, Presence presence) {
  const std::lock_guard lock(families_->mutex);
  Counter& made = families_->counters.emplace_back(&cells_, cells_.allocate(1));
  families_->add(name, help, prometheus::MetricType::Counter, {labels, presence, &made});
  return made;
}

Gauge& MetricRegistry::gauge(const std::string& name, const std::string& help, const Labels& labels,
                             Presence presence) {
  const std::lock_guard lock(families_->mutex);
  Gauge& made = families_->gauges.emplace_back(
      presence == Presence::kOnceUsed ? std::numeric_limits<double>::quiet_NaN() : 0);
  families_->add(name, help, prometheus::MetricType::Gauge, {labels, presence, &made});
  return made;
}

Histogram& MetricRegistry::histogram(const std::string& name, const std::string& help,
                                     const std::vector<double>& upper_bounds, const Labels& labels,
                                     Presence presence) {
  const std::lock_guard lock(families_->mutex);
  const std::uint32_t first = cells_.allocate(upper_bounds.size() + 2);
  Histogram& made = families_->histograms.emplace_back(&cells_, first, upper_bounds);
  families_->add(name, help, prometheus::MetricType::Histogram, {labels, presence, &made});
  return made;
}

void MetricRegistry::counter_from(const std::string& name, const std::string& help,
                                  std::function<double()> source) {
  const std::lock_guard lock(families_->mutex);
  families_->add(name, help, prometheus::MetricType::Counter,
                 {{}, Presence::kAlways, std::move(source)});
}

void MetricRegistry::samples_from(const std::string& name, const std::string& help,
                                  prometheus::MetricType type, std::function<Samples()> source) {
  HOLDFAST_CHECK(type == prometheus::MetricType::Counter || type == prometheus::MetricType::Gauge);
  const bool fresh =
      families_->by_name.try_emplace(name, Family{help, type, {}, std::move(source)}).second;
  HOLDFAST_CHECK(fresh);
}

std::vector<prometheus::MetricFamily> MetricRegistry::Collect() const {
  const std::lock_guard lock(families_->mutex);
  std::vector<prometheus::MetricFamily> result;
  for (const auto& [name, family] : families_->by_name) {
    prometheus::MetricFamily collected;
    collected.name = name;
    collected.help = family.help;
    collected.type = family.type;
    for (const Series& series : family.series) {
      prometheus::ClientMetric metric = snapshot(series);
      if (series.presence == Presence::kAlways || !is_unused(family.type, metric)) {
        collected.metric.push_back(std::move(metric));
      }
    }
    for (const auto& [labels, value] : family.samples ? family.samples() : Samples()) {
      prometheus::ClientMetric metric = labelled(labels);
      metric.counter.value = value;
      metric.gauge.value = value;
      collected.metric.push_back(std::move(metric));
    }
    if (!collected.metric.empty()) {
      result.push_back(std::move(collected));
    }
  }
  return result;
}

std::string MetricRegistry::text() const {
  return prometheus::TextSerializer().Serialize(Collect());
}

}  // namespace holdfast::telemetry
