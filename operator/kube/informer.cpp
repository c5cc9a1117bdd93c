#include "operator/kube/informer.h"

#include <algorithm>
#include <utility>

#include "operator/kube/text.h"

namespace holdfast::kube {
namespace {

constexpr std::uint64_t kJitterPercent = 100;
constexpr std::chrono::milliseconds kSyncPoll{20};
/// Then the version itself is in doubt: a restored store, for one, does not know it.
constexpr int kMaxFailedWatches = 5;

}  // namespace

void drop_managed_fields(Json& object) {
  const auto metadata = object.find("metadata");
  if (metadata != object.end() && metadata->is_object()) {
    metadata->erase("managedFields");
  }
}

Informer::Informer(Client& client, InformerOptions options, telemetry::Logger& log,
                   RequestMetrics& metrics, std::uint64_t seed)
    : client_(client),
      options_(std::move(options)),
      log_(log),
      metrics_(metrics),
      cached_objects_(metrics.cached_objects(qualified_name(options_.resource))),
      name_(qualified_name(options_.resource)),
      prng_(seed),
      backoff_(options_.first_backoff, options_.last_backoff, kJitterPercent, prng_.next()) {
}

Informer::~Informer() {
  stop();
}

void Informer::start() {
  if (!thread_.joinable()) {
    thread_ = std::thread([this] { run(); });
  }
}

void Informer::stop() {
  cancellation_.cancel();
  if (thread_.joinable()) {
    thread_.join();
  }
}

void Informer::run() {
  while (!cancellation_.cancelled()) {
    const bool listing = version_.empty();
    const absl::Status status = listing ? list() : watch();
    if (cancellation_.cancelled()) {
      return;
    }
    if (status.ok()) {
      if (!listing) {
        metrics_.count_watch_restart(name_, "timeout");
      }
      continue;
    }
    if (!listing) {
      metrics_.count_watch_restart(name_, is_expired(status) ? "expired" : "error");
    }
    if (!listing &&
        (version_refused_ || is_expired(status) || ++failed_watches_ >= kMaxFailedWatches)) {
      version_.clear();
      failed_watches_ = 0;
    }
    const auto wait = backoff_.next();
    log_.warn(listing ? "cannot list; trying again" : "a watch ended; beginning it again",
              {{"resource", name_}, {"after", wait}, telemetry::Field(status)});
    cancellation_.sleep_for(wait);
  }
}

Object Informer::keep(Json object) const {
  if (options_.transform) {
    options_.transform(object);
  } else {
    drop_managed_fields(object);
  }
  return std::make_shared<const Json>(std::move(object));
}

absl::Status Informer::list() {
  metrics_.count_list(name_);
  std::map<ObjectKey, Object> objects;
  ListOptions page_options{.ns = options_.ns,
                           .label_selector = options_.label_selector,
                           .field_selector = options_.field_selector,
                           .limit = options_.page_objects};
  page_options.call.cancellation = &cancellation_;
  std::string version;
  do {
    absl::StatusOr<ListPage> page = client_.list_page(options_.resource, page_options);
    if (!page.ok()) {
      return page.status();
    }
    mark_heard();
    for (Json& item : page->items) {
      ObjectKey key = key_of(item);
      objects.insert_or_assign(std::move(key), keep(std::move(item)));
    }
    if (objects.size() > options_.max_objects) {
      return absl::ResourceExhaustedError(
          concat("more than ", options_.max_objects, " ", name_, "; narrow the selector"));
    }
    version = page->resource_version;
    page_options.continue_token = page->continue_token;
  } while (!page_options.continue_token.empty());
  if (version.empty()) {
    return absl::InternalError("the list has no resourceVersion");
  }
  const std::vector<Cache::Change> changes = cache_.replace(std::move(objects));
  cached_objects_.set(static_cast<double>(cache_.size()));
  version_ = std::move(version);
  synced_.store(true, std::memory_order_release);
  for (const Cache::Change& change : changes) {
    notify(change.key, change.before, change.now);
  }
  return absl::OkStatus();
}

absl::Status Informer::watch() {
  const auto spread =
      static_cast<std::uint64_t>((options_.longest_watch - options_.shortest_watch).count());
  const WatchOptions watch_options{
      .ns = options_.ns,
      .label_selector = options_.label_selector,
      .field_selector = options_.field_selector,
      .resource_version = version_,
      .timeout = options_.shortest_watch + std::chrono::seconds(prng_.below(spread + 1)),
      .cancellation = &cancellation_};
  const auto began = std::chrono::steady_clock::now();
  version_refused_ = false;
  LineSplitter lines(options_.max_event_bytes);
  absl::Status problem;
  absl::Status ended = client_.watch(options_.resource, watch_options, [&](std::string_view piece) {
    mark_heard();
    problem = lines.add(piece, [this](std::string_view line) { return take_line(line); });
    return problem.ok();
  });
  if (!problem.ok()) {
    return problem;
  }
  if (!ended.ok()) {
    return ended;
  }
  mark_heard();
  // A server that ends every watch at once, or within a line, must not be asked without pause.
  if (lines.pending_bytes() > 0) {
    return absl::UnavailableError("the watch ended within an event");
  }
  if (std::chrono::steady_clock::now() - began < options_.first_backoff) {
    return absl::UnavailableError("the server ended the watch at once");
  }
  return absl::OkStatus();
}

absl::Status Informer::take_line(std::string_view line) {
  if (cancellation_.cancelled()) {
    return absl::CancelledError("stopped");
  }
  absl::StatusOr<WatchEvent> event = parse_watch_event(line);
  if (!event.ok()) {
    // An ERROR event, whatever its code, means that the server cannot go on from this version.
    version_refused_ = api_error(event.status()).has_value();
    return event.status();
  }
  std::string version(resource_version_of(event->object));
  if (version.empty()) {
    return absl::InternalError("watch: an event without a resourceVersion");
  }
  take_event(*std::move(event));
  // Only now: an event that was not taken is asked for again.
  version_ = std::move(version);
  backoff_.reset();
  failed_watches_ = 0;
  return absl::OkStatus();
}

void Informer::take_event(WatchEvent event) {
  if (event.type == WatchEvent::Type::kBookmark) {
    return;
  }
  const ObjectKey key = key_of(event.object);
  if (event.type == WatchEvent::Type::kDeleted) {
    const Object before = cache_.erase(key);
    cached_objects_.set(static_cast<double>(cache_.size()));
    notify(key, before == nullptr ? keep(std::move(event.object)) : before, nullptr);
    return;
  }
  const Object now = keep(std::move(event.object));
  const Object before = cache_.put(key, now);
  cached_objects_.set(static_cast<double>(cache_.size()));
  notify(key, before, now);
}

void Informer::notify(const ObjectKey& key, const Object& before, const Object& now) {
  for (const Handler& handler : handlers_) {
    handler(key, before, now);
  }
}

bool wait_for_sync(const std::vector<const Informer*>& informers,
                   std::chrono::steady_clock::time_point deadline,
                   const Cancellation& cancellation) {
  const auto synced = [&informers] {
    return std::all_of(informers.begin(), informers.end(),
                       [](const Informer* informer) { return informer->has_synced(); });
  };
  while (!synced()) {
    if (std::chrono::steady_clock::now() >= deadline || !cancellation.sleep_for(kSyncPoll)) {
      return false;
    }
  }
  return true;
}

}  // namespace holdfast::kube
