#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "datastore/base/prng.h"
#include "datastore/telemetry/log.h"
#include "operator/kube/backoff.h"
#include "operator/kube/cache.h"
#include "operator/kube/client.h"
#include "operator/kube/clock.h"
#include "operator/kube/request_metrics.h"
#include "operator/kube/watch_event.h"

namespace holdfast::kube {

struct InformerOptions {
  Resource resource;
  std::string ns{};  ///< empty: all namespaces
  std::string label_selector{};
  std::string field_selector{};
  std::uint32_t page_objects = 250;
  std::size_t max_objects = 200'000;
  std::size_t max_event_bytes = 16U << 20;
  /// Drops what is never read before an object is kept. On the informer's thread.
  std::function<void(Json&)> transform{};
  /// The server is asked to end each watch after a random time between these.
  std::chrono::seconds shortest_watch{300};
  std::chrono::seconds longest_watch{600};
  std::chrono::milliseconds first_backoff{800};
  std::chrono::milliseconds last_backoff{30'000};
};

/// Removes metadata.managedFields, often the greater half of an object: the default transform.
void drop_managed_fields(Json& object);

/// Keeps a cache of one resource equal to the API server's, on a thread of its own.
///
///   list in pages ──▶ cache ──▶ watch from the list's version ──▶ cache …
///        ▲                            │ ends in time: watch again from the last version seen
///        └──── 410, or too old ◀──────┘ fails: the same, after a backoff
///
/// A version is opaque: it is handed back, never compared. The cache is never emptied by an error:
/// it shows the last state known. Handlers are called on the informer's thread, after the cache has
/// changed, and must not wait: they put keys into a work queue.
class Informer {
 public:
  /// `now` null: it was deleted. What is passed outlives the informer.
  using Handler =
      std::function<void(const ObjectKey& key, const Object& before, const Object& now)>;

  Informer(Client& client, InformerOptions options, telemetry::Logger& log, RequestMetrics& metrics,
           std::uint64_t seed);
  /// Stops.
  ~Informer();
  Informer(const Informer&) = delete;
  Informer& operator=(const Informer&) = delete;

  /// Before start() only.
  void add_handler(Handler handler) { handlers_.push_back(std::move(handler)); }
  void start();
  /// Ends the watch and joins the thread; within the connect timeout at worst. Idempotent.
  void stop();

  const Cache& cache() const { return cache_; }
  /// Whether the first list is in the cache. Never false again.
  bool has_synced() const { return synced_.load(std::memory_order_acquire); }
  /// When the API server was last heard of in this watch: a list, an event, a bookmark or a watch
  /// begun. For health checks.
  std::chrono::steady_clock::time_point last_heard() const { return last_heard_.load(); }
  const Resource& resource() const { return options_.resource; }

 private:
  void run();
  absl::Status list();
  absl::Status watch();
  absl::Status take_line(std::string_view line);
  void take_event(WatchEvent event);
  void notify(const ObjectKey& key, const Object& before, const Object& now);
  Object keep(Json object) const;
  void mark_heard() { last_heard_.store(std::chrono::steady_clock::now()); }

  Client& client_;
  const InformerOptions options_;
  telemetry::Logger& log_;
  RequestMetrics& metrics_;
  telemetry::Gauge& cached_objects_;
  const std::string name_;
  std::vector<Handler> handlers_;

  Cache cache_;
  std::atomic<bool> synced_{false};
  std::atomic<std::chrono::steady_clock::time_point> last_heard_{};
  Cancellation cancellation_;
  std::thread thread_;

  // The thread's own.
  Prng prng_;
  Backoff backoff_;
  std::string version_;  // empty: list first
  bool version_refused_ = false;
  int failed_watches_ = 0;  // in a row, without an event
};

/// Waits until all have synced, the deadline (false) or the cancellation (false).
bool wait_for_sync(const std::vector<const Informer*>& informers,
                   std::chrono::steady_clock::time_point deadline,
                   const Cancellation& cancellation);

}  // namespace holdfast::kube
