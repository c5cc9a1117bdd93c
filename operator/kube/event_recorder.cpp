#include "operator/kube/event_recorder.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "operator/kube/text.h"

namespace holdfast::kube {
namespace {

const Resource kEvents{
    .group = "events.k8s.io", .version = "v1", .plural = "events", .namespaced = true};

// Source: the validation of events.k8s.io/v1.
constexpr std::size_t kMaxNoteBytes = 1024;
constexpr std::size_t kMaxWordBytes = 128;
constexpr std::size_t kMaxNameBytes = 200;  // of 253; the rest makes it unique

constexpr std::chrono::seconds kStopTimeout{3};
constexpr std::chrono::milliseconds kCallTimeout{10'000};
constexpr std::size_t kMaxAllowances = 4'096;

/// At most `bytes`, never within a character of UTF-8.
std::string cut(std::string_view text, std::size_t bytes) {
  if (text.size() > bytes) {
    while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0U) == 0x80U) {
      --bytes;
    }
    text = text.substr(0, bytes);
  }
  return std::string(text);
}

Json reference_to(const Json& object) {
  Json reference = {{"apiVersion", text_at(object, {"apiVersion"})},
                    {"kind", text_at(object, {"kind"})},
                    {"name", name_of(object)}};
  for (const auto& [field, value] :
       {std::pair{"namespace", namespace_of(object)}, std::pair{"uid", uid_of(object)}}) {
    if (!value.empty()) {
      reference[field] = value;
    }
  }
  return reference;
}

}  // namespace

EventRecorder::EventRecorder(Client& client, EventRecorderOptions options, telemetry::Logger& log,
                             std::uint64_t seed, const Clock& clock)
    : client_(client), options_(std::move(options)), log_(log), clock_(clock), prng_(seed) {
}

EventRecorder::~EventRecorder() {
  stop();
}

void EventRecorder::record(const Json& regarding, Type type, std::string_view reason,
                           std::string_view action, std::string_view note) {
  Entry entry{.regarding = reference_to(regarding),
              .type = type,
              .reason = cut(reason, kMaxWordBytes),
              .action = cut(action, kMaxWordBytes),
              .note = cut(note, kMaxNoteBytes),
              .at = clock_.wall()};
  {
    const std::lock_guard lock(mutex_);
    if (!stopping_ && queue_.size() < options_.max_queued) {
      queue_.push_back(std::move(entry));
      changed_.notify_one();
      return;
    }
  }
  drop("the queue is full");
}

void EventRecorder::drop(std::string_view why) {
  {
    const std::lock_guard lock(mutex_);
    ++dropped_;
  }
  log_.warn(drops_logged_, "an Event was dropped", {{"why", why}});
}

std::uint64_t EventRecorder::dropped() const {
  const std::lock_guard lock(mutex_);
  return dropped_;
}

void EventRecorder::start() {
  if (!thread_.joinable()) {
    thread_ = std::thread([this] { run(); });
  }
}

void EventRecorder::stop() {
  {
    const std::lock_guard lock(mutex_);
    if (!stopping_) {
      stopping_ = true;
      stop_by_ = std::chrono::steady_clock::now() + kStopTimeout;
    }
    changed_.notify_all();
  }
  if (thread_.joinable()) {
    thread_.join();
  }
}

void EventRecorder::run() {
  std::unique_lock lock(mutex_);
  bool unwritten = false;
  while (true) {
    if (queue_.empty() && stopping_) {
      lock.unlock();
      write_due(true);
      return;
    }
    if (queue_.empty()) {
      const auto pause = unwritten ? options_.series_write_interval : options_.series_window;
      clock_.wait_until(changed_, lock, clock_.now() + pause);
    }
    if (stopping_ && std::chrono::steady_clock::now() >= stop_by_) {
      dropped_ += queue_.size();
      return;
    }
    std::deque<Entry> batch = std::exchange(queue_, {});
    lock.unlock();
    for (const Entry& entry : batch) {
      process(entry);
    }
    unwritten = write_due(false);
    lock.lock();
  }
}

CallOptions EventRecorder::call() {
  CallOptions options{.timeout = kCallTimeout, .cancellation = &cancellation_};
  const std::lock_guard lock(mutex_);
  if (stopping_) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        stop_by_ - std::chrono::steady_clock::now());
    options.timeout = std::max(left, std::chrono::milliseconds(1));
  }
  return options;
}

void EventRecorder::process(const Entry& entry) {
  const SeriesKey key = concat(to_text(entry.regarding), "\n", static_cast<int>(entry.type), "\n",
                               entry.reason, "\n", entry.action, "\n", entry.note);
  const auto found = series_.find(key);
  if (found == series_.end() || clock_.now() - found->second.seen_at > options_.series_window) {
    create(key, entry);
    return;
  }
  Series& series = found->second;
  ++series.count;
  series.last = entry.at;
  series.seen_at = clock_.now();
  series.unwritten = true;
}

bool EventRecorder::allows(const Entry& entry) {
  if (allowances_.size() >= kMaxAllowances) {
    allowances_.clear();  // everyone starts afresh: rare, and better than growing
  }
  const double per_second = 1.0 / static_cast<double>(options_.spacing_per_object.count());
  const auto [allowance, is_new] =
      allowances_.try_emplace(std::string(text_at(entry.regarding, {"uid"})), per_second,
                              options_.burst_per_object, clock_.now());
  return allowance->second.try_take(clock_.now());
}

void EventRecorder::create(const SeriesKey& key, const Entry& entry) {
  if (!allows(entry)) {
    drop("the object has had too many");
    return;
  }
  std::string ns(text_at(entry.regarding, {"namespace"}));
  const ObjectKey event{.ns = ns.empty() ? "default" : std::move(ns),
                        .name = concat(cut(text_at(entry.regarding, {"name"}), kMaxNameBytes), ".",
                                       absl::Hex(prng_.next(), absl::kZeroPad16))};
  const absl::StatusOr<Json> created =
      client_.create(kEvents, event_of(entry, event), {.call = call()});
  if (!created.ok() && fate_of(created.status()) != Fate::kUnknown) {
    drop(from_absl(created.status().message()));
    return;
  }
  make_room();
  const Clock::TimePoint now = clock_.now();
  series_[key] = {.event = event, .last = entry.at, .seen_at = now, .written_at = now};
}

void EventRecorder::make_room() {
  const Clock::TimePoint oldest = clock_.now() - options_.series_window;
  std::erase_if(series_, [oldest](const auto& entry) {
    return entry.second.seen_at < oldest && !entry.second.unwritten;
  });
  while (series_.size() >= options_.max_series) {
    series_.erase(std::min_element(
        series_.begin(), series_.end(),
        [](const auto& a, const auto& b) { return a.second.seen_at < b.second.seen_at; }));
  }
}

Json EventRecorder::event_of(const Entry& entry, const ObjectKey& key) const {
  return {{"apiVersion", "events.k8s.io/v1"},
          {"kind", "Event"},
          {"metadata", {{"name", key.name}, {"namespace", key.ns}}},
          {"eventTime", rfc3339_micro(entry.at)},
          {"reportingController", options_.controller},
          {"reportingInstance", cut(options_.instance, kMaxWordBytes)},
          {"type", entry.type == Type::kWarning ? "Warning" : "Normal"},
          {"reason", entry.reason},
          {"action", entry.action},
          {"note", entry.note},
          {"regarding", entry.regarding}};
}

void EventRecorder::write_series(Series& series) {
  series.unwritten = false;
  series.written_at = clock_.now();
  const Json patch = {
      {"series", {{"count", series.count}, {"lastObservedTime", rfc3339_micro(series.last)}}}};
  const absl::StatusOr<Json> written =
      client_.merge_patch(kEvents, series.event, patch, {.call = call()});
  if (absl::IsNotFound(written.status())) {
    // It has expired: the next repeat is a new Event.
    series.seen_at = clock_.now() - 2 * options_.series_window;
  } else if (!written.ok()) {
    drop(from_absl(written.status().message()));
  }
}

bool EventRecorder::write_due(bool all) {
  bool left = false;
  for (auto& [key, series] : series_) {
    if (!series.unwritten) {
      continue;
    }
    if (all || clock_.now() - series.written_at >= options_.series_write_interval) {
      write_series(series);
    } else {
      left = true;
    }
  }
  return left;
}

}  // namespace holdfast::kube
