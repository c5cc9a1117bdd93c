#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "datastore/base/bytes.h"
#include "datastore/base/ids.h"

/// The events of one applied batch, encoded once for every watcher of every event loop.
namespace holdfast::watch {

enum class EventType : std::uint8_t { kPut = 0, kDelete = 1 };

/// One change. The views point into the batch.
struct Event {
  EventType type = EventType::kPut;
  /// A put that made its key: it has no previous value to look for.
  bool created = false;
  Revision revision;
  /// The change's place in its revision, from 0.
  std::int64_t sub = 0;
  BytesView key;
  /// mvccpb.Event without prev_kv, as field 11 of a WatchResponse: tag, length, message. Those of
  /// neighbouring events are neighbours in memory.
  BytesView framed;
  /// The message alone; the end of `framed`.
  BytesView message;
};

/// Immutable once built; shared by all loops, freed with the last frame that refers to it.
class EventBatch {
 public:
  std::size_t size() const { return events_.size(); }
  bool empty() const { return events_.empty(); }
  /// `index` in [0, size()); revisions ascend, within one in the order of execution.
  const Event& operator[](std::size_t index) const { return events_[index]; }
  const std::vector<Event>& events() const { return events_; }
  /// Of the first and last event. Not of an empty batch.
  Revision first_revision() const { return events_.front().revision; }
  Revision last_revision() const { return events_.back().revision; }
  std::size_t size_bytes() const { return bytes_.size(); }

 private:
  friend class EventBatchBuilder;
  EventBatch() = default;
  Bytes bytes_;
  std::vector<Event> events_;
};

/// Collects events in revision order. One thread; reusable after build().
class EventBatchBuilder {
 public:
  /// `kv` is the whole wire-encoded KeyValue; `key`, its key, points into it.
  void add_put(Revision revision, std::int64_t sub, BytesView key, BytesView kv, bool created);
  /// The event's KeyValue has the key and `revision` as mod_revision, nothing else, as etcd's.
  void add_delete(Revision revision, std::int64_t sub, BytesView key);

  bool empty() const { return pending_.empty(); }
  std::size_t size() const { return pending_.size(); }
  std::size_t size_bytes() const { return bytes_.size(); }

  /// Hands out what was added, and starts anew.
  std::shared_ptr<const EventBatch> build();

 private:
  struct Pending {
    EventType type;
    bool created;
    Revision revision;
    std::int64_t sub;
    std::size_t framed_begin;
    std::size_t message_begin;
    std::size_t key_begin;
    std::size_t key_size;
    std::size_t end;
  };
  void begin(EventType type, std::size_t message_size);

  Bytes bytes_;
  std::vector<Pending> pending_;
};

/// Appends `event` framed as field 11 of a WatchResponse, with `prev_kv`, a wire-encoded KeyValue,
/// as the message's field 3.
void append_framed_with_previous(const Event& event, BytesView prev_kv, Bytes& out);

}  // namespace holdfast::watch
