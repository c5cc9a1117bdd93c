#include "datastore/simulation/watch_hub.h"

#include <algorithm>
#include <utility>

#include "datastore/base/errors.h"
#include "datastore/mvcc/history_scan.h"
#include "datastore/mvcc/key_value.h"

namespace holdfast::simulation {

namespace {

constexpr std::int64_t kRevisionsPerSlice = 50;
constexpr std::size_t kNoLimit = ~std::size_t{0};

std::vector<WatchedEvent> wanted_events(const mvcc::HistoryScan::Step& step,
                                        const watch::Interest& interest) {
  std::vector<WatchedEvent> events;
  for (const mvcc::HistoryEvent& event : step.events) {
    const auto kv = mvcc::parse_key_value(event.kv);
    if (kv && interest.contains(kv->key)) {
      events.push_back({event.revision.main, event.tombstone, Bytes(kv->key)});
    }
  }
  return events;
}

}  // namespace

void WatchHub::started(Revision revision, const mvcc::ViewSource& views) {
  if (set_) return set_->jump_to(revision);
  set_.emplace(revision);
  reader_.emplace(views);
}

std::uint64_t WatchHub::add(const Bytes& key, const Bytes& range_end, std::int64_t start_revision,
                            WatchSink& sink) {
  const std::uint64_t cookie = next_cookie_++;
  Revision current = set_->revision();
  if (reader_->refresh().ok()) current = std::max(current, reader_->view().revision);
  reader_->release();
  const watch::WatcherId id = set_->add({.interest = {.key = key, .range_end = range_end},
                                         .start_revision = Revision(start_revision),
                                         .cookie = cookie},
                                        current);
  watches_.emplace(cookie, Watch{id, &sink});
  return cookie;
}

void WatchHub::remove(std::uint64_t watch) {
  const auto found = watches_.find(watch);
  if (found == watches_.end()) return;
  set_->remove(found->second.id);
  watches_.erase(found);
}

void WatchHub::on_batch(const watch::EventBatch& batch) {
  set_->deliver(batch, [&](const watch::Delivery& delivery) {
    std::vector<WatchedEvent> events;
    for (const std::uint32_t place : delivery.events) {
      const watch::Event& event = batch[place];
      events.push_back(
          {event.revision.value, event.type == watch::EventType::kDelete, Bytes(event.key)});
    }
    for (const watch::Subscriber& subscriber : delivery.subscribers) {
      watches_.at(subscriber.cookie).sink->on_events(events);
    }
  });
}

bool WatchHub::catch_up() {
  std::optional<watch::CatchUp> work = set_->next_catch_up();
  if (!work) return false;
  if (absl::Status status = reader_->refresh(); !status.ok()) {
    for (const watch::Subscriber& s : work->subscribers) {
      set_->advance(s.id, work->next_revision, false);
    }
    return false;
  }
  // Slices end between revisions: one is told whole or not at all.
  const Revision target = std::min({set_->revision(), reader_->view().revision,
                                    Revision(work->next_revision.value + kRevisionsPerSlice - 1)});
  const Revision compacted = reader_->view().compact_revision;
  mvcc::HistoryScan scan(Revision(work->next_revision.value - 1), target);
  const auto step = scan.next(*reader_, kNoLimit, kNoLimit);
  std::vector<WatchedEvent> events;
  if (step.ok()) events = wanted_events(*step, work->interest);
  for (const watch::Subscriber& subscriber : work->subscribers) {
    const auto found = watches_.find(subscriber.cookie);
    if (found == watches_.end()) continue;
    WatchSink& sink = *found->second.sink;
    if (!step.ok()) {
      set_->remove(found->second.id);
      watches_.erase(found);
      sink.on_end(step.status(), compacted);
      continue;
    }
    if (!events.empty()) sink.on_events(events);
    set_->advance(subscriber.id, target.next(), !events.empty());
  }
  reader_->release();
  return true;
}

}  // namespace holdfast::simulation
