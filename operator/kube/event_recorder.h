#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "datastore/base/prng.h"
#include "datastore/telemetry/log.h"
#include "operator/kube/client.h"
#include "operator/kube/clock.h"
#include "operator/kube/token_bucket.h"

namespace holdfast::kube {

struct EventRecorderOptions {
  std::string controller = "holdfast.dev/operator";
  std::string instance;  ///< the Pod's name
  std::size_t max_queued = 1'000;
  std::size_t max_series = 2'048;
  /// A repeat within this joins the series; later it is an Event of its own.
  std::chrono::seconds series_window{360};
  /// A series that grows is written no more often than this.
  std::chrono::seconds series_write_interval{10};
  /// New Events about one object: so many at once, then one each spacing.
  double burst_per_object = 25;
  std::chrono::seconds spacing_per_object{300};
};

/// Writes events.k8s.io/v1 Events, on a thread of its own. record() never waits: what the queue, an
/// object's allowance or a failing API server cannot take is dropped and counted. Any thread.
class EventRecorder {
 public:
  enum class Type { kNormal, kWarning };

  EventRecorder(Client& client, EventRecorderOptions options, telemetry::Logger& log,
                std::uint64_t seed, const Clock& clock = Clock::system());
  /// Stops.
  ~EventRecorder();
  EventRecorder(const EventRecorder&) = delete;
  EventRecorder& operator=(const EventRecorder&) = delete;

  /// `regarding` has apiVersion, kind and metadata. reason and action: CamelCase, at most 128
  /// bytes; note: for people, cut at 1024.
  void record(const Json& regarding, Type type, std::string_view reason, std::string_view action,
              std::string_view note);

  void start();
  /// Writes what is queued, for a few seconds at most, and joins. Idempotent.
  void stop();

  std::uint64_t dropped() const;

 private:
  struct Entry {
    Json regarding;  // an ObjectReference
    Type type;
    std::string reason;
    std::string action;
    std::string note;
    std::chrono::system_clock::time_point at;
  };
  using SeriesKey = std::string;
  struct Series {
    ObjectKey event;
    std::int64_t count = 1;
    std::chrono::system_clock::time_point last;
    Clock::TimePoint seen_at;
    Clock::TimePoint written_at;
    bool unwritten = false;
  };

  void run();
  void process(const Entry& entry);
  void create(const SeriesKey& key, const Entry& entry);
  void write_series(Series& series);
  /// Writes series that have grown; all of them if `all`. Returns whether some are left.
  bool write_due(bool all);
  bool allows(const Entry& entry);
  void make_room();
  Json event_of(const Entry& entry, const ObjectKey& key) const;
  CallOptions call();
  void drop(std::string_view why);

  Client& client_;
  const EventRecorderOptions options_;
  telemetry::Logger& log_;
  telemetry::LogLimiter drops_logged_{1};
  const Clock& clock_;
  std::thread thread_;

  // The thread's own.
  Prng prng_;
  std::map<SeriesKey, Series> series_;
  std::map<std::string, TokenBucket> allowances_;  // by the object's uid

  Cancellation cancellation_;
  mutable std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  std::deque<Entry> queue_;
  bool stopping_ = false;
  Clock::TimePoint stop_by_{};
  std::uint64_t dropped_ = 0;
};

}  // namespace holdfast::kube
