#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "datastore/telemetry/cells.h"
#include "prometheus/collectable.h"
#include "prometheus/metric_family.h"

namespace holdfast::telemetry {

/// Names and values in the order in which they are printed.
using Labels = std::vector<std::pair<std::string, std::string>>;

/// Only goes up. About 5 ns per add, from any thread.
class Counter {
 public:
  Counter(Cells* cells, std::uint32_t cell) : cells_(cells), cell_(cell) {}
  void add(std::uint64_t amount = 1) { cells_->add(cell_, amount); }
  std::uint64_t value() const { return cells_->sum(cell_); }

 private:
  Cells* cells_;
  std::uint32_t cell_;
};

/// Goes up and down; a single word, so threads that change it often should own separate ones or
/// give it a source. Everything from any thread, except set_source: before the first scrape.
class Gauge {
 public:
  explicit Gauge(double value = 0) : value_(value) {}
  void set(double value) { value_.store(value, std::memory_order_relaxed); }
  void add(double amount) { value_.fetch_add(amount, std::memory_order_relaxed); }
  /// From now on each scrape asks `source`, which is called on the scraping thread.
  void set_source(std::function<double()> source) { source_ = std::move(source); }
  double value() const { return source_ ? source_() : value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_;
  std::function<double()> source_;
};

/// Counts observations by upper bound. About 15 ns per observe, from any thread.
class Histogram {
 public:
  /// cells: bounds.size() + 1 counts, not cumulative, the last for +Inf; then the sum.
  Histogram(Cells* cells, std::uint32_t first_cell, std::vector<double> upper_bounds)
      : cells_(cells), first_cell_(first_cell), upper_bounds_(std::move(upper_bounds)) {}

  void observe(double value) { observe_many(value, 1); }
  /// The same as `times` observations of `value`.
  void observe_many(double value, std::uint64_t times) {
    std::uint32_t bucket = 0;
    const auto buckets = static_cast<std::uint32_t>(upper_bounds_.size());
    while (bucket < buckets && value > upper_bounds_[bucket]) {
      ++bucket;
    }
    cells_->add(first_cell_ + bucket, times);
    cells_->add_double(first_cell_ + buckets + 1, value * static_cast<double>(times));
  }

  const std::vector<double>& upper_bounds() const { return upper_bounds_; }
  /// Observations in bucket i alone, i in [0, upper_bounds().size()].
  std::uint64_t bucket_count(std::size_t i) const {
    return cells_->sum(first_cell_ + static_cast<std::uint32_t>(i));
  }
  std::uint64_t count() const;
  double sum() const {
    return cells_->sum_double(first_cell_ + static_cast<std::uint32_t>(upper_bounds_.size()) + 1);
  }

 private:
  Cells* cells_;
  std::uint32_t first_cell_;
  std::vector<double> upper_bounds_;
};

/// `count` bounds: start, start*factor, start*factor^2 …
std::vector<double> exponential_buckets(double start, double factor, std::size_t count);

/// When a series is printed.
enum class Presence {
  kAlways,
  kOnceUsed,  ///< not while a count is zero or a gauge not a number: for values that may never
              ///< occur
};

/// Owns a process's metrics and answers prometheus-cpp's collection with them, families by name.
/// References returned stay valid as long as the registry. Any thread may add and Collect, beside
/// all updates.
class MetricRegistry : public prometheus::Collectable {
 public:
  MetricRegistry();
  ~MetricRegistry() override;

  Counter& counter(const std::string& name, const std::string& help, const Labels& labels = {},
                   Presence presence = Presence::kAlways);
  /// With Presence::kOnceUsed it starts as not a number.
  Gauge& gauge(const std::string& name, const std::string& help, const Labels& labels = {},
               Presence presence = Presence::kAlways);
  Histogram& histogram(const std::string& name, const std::string& help,
                       const std::vector<double>& upper_bounds, const Labels& labels = {},
                       Presence presence = Presence::kAlways);
  /// A counter whose value someone else keeps: `source` is asked at each scrape.
  void counter_from(const std::string& name, const std::string& help,
                    std::function<double()> source);

  /// A family whose series come and go: `source` is asked at each scrape, on the scraping thread,
  /// for all of them. Whoever keeps them bounds their number. Nothing is printed while there are
  /// none.
  using Samples = std::vector<std::pair<Labels, double>>;
  void samples_from(const std::string& name, const std::string& help, prometheus::MetricType type,
                    std::function<Samples()> source);

  std::vector<prometheus::MetricFamily> Collect() const override;
  /// All families in Prometheus' text format, version 0.0.4.
  std::string text() const;

 private:
  struct Families;
  Cells cells_;
  std::unique_ptr<Families> families_;
};

}  // namespace holdfast::telemetry
