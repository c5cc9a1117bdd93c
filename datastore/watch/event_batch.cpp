#include "datastore/watch/event_batch.h"

#include <utility>

#include "datastore/base/check.h"

namespace holdfast::watch {
namespace {

// mvccpb.Event: 1 type, 2 kv, 3 prev_kv. mvccpb.KeyValue: 1 key, 3 mod_revision.
constexpr char kEventsTag = 11 << 3 | 2;  // in etcdserverpb.WatchResponse
constexpr char kTypeTag = 1 << 3 | 0;
constexpr char kKvTag = 2 << 3 | 2;
constexpr char kPreviousTag = 3 << 3 | 2;
constexpr char kKeyTag = 1 << 3 | 2;
constexpr char kModRevisionTag = 3 << 3 | 0;

std::size_t varint_size(std::uint64_t number) {
  std::size_t size = 1;
  for (; number >= 0x80; number >>= 7) ++size;
  return size;
}

void append_varint(Bytes& out, std::uint64_t number) {
  for (; number >= 0x80; number >>= 7) out.push_back(static_cast<char>(number | 0x80));
  out.push_back(static_cast<char>(number));
}

/// Tag, length and bytes of a length-delimited field.
std::size_t field_size(std::size_t size) {
  return 1 + varint_size(size) + size;
}

void append_field_head(Bytes& out, char tag, std::size_t size) {
  out.push_back(tag);
  append_varint(out, size);
}

}  // namespace

void EventBatchBuilder::begin(EventType type, std::size_t message_size) {
  Pending& event = pending_.emplace_back();
  event.type = type;
  event.framed_begin = bytes_.size();
  append_field_head(bytes_, kEventsTag, message_size);
  event.message_begin = bytes_.size();
}

void EventBatchBuilder::add_put(Revision revision, std::int64_t sub, BytesView key, BytesView kv,
                                bool created) {
  begin(EventType::kPut, field_size(kv.size()));
  append_field_head(bytes_, kKvTag, kv.size());
  HOLDFAST_CHECK(key.empty() || (key.data() >= kv.data() && key.end() <= kv.end()));
  const auto key_offset = key.empty() ? 0 : static_cast<std::size_t>(key.data() - kv.data());
  const std::size_t key_begin = bytes_.size() + key_offset;
  bytes_.append(kv);
  Pending& event = pending_.back();
  event.created = created;
  event.revision = revision;
  event.sub = sub;
  event.key_begin = key_begin;
  event.key_size = key.size();
  event.end = bytes_.size();
}

void EventBatchBuilder::add_delete(Revision revision, std::int64_t sub, BytesView key) {
  const auto mod_revision = static_cast<std::uint64_t>(revision.value);
  const std::size_t kv_size = field_size(key.size()) + 1 + varint_size(mod_revision);
  begin(EventType::kDelete, 2 + field_size(kv_size));
  bytes_.push_back(kTypeTag);
  bytes_.push_back(static_cast<char>(EventType::kDelete));
  append_field_head(bytes_, kKvTag, kv_size);
  append_field_head(bytes_, kKeyTag, key.size());
  const std::size_t key_begin = bytes_.size();
  bytes_.append(key);
  bytes_.push_back(kModRevisionTag);
  append_varint(bytes_, mod_revision);
  Pending& event = pending_.back();
  event.created = false;
  event.revision = revision;
  event.sub = sub;
  event.key_begin = key_begin;
  event.key_size = key.size();
  event.end = bytes_.size();
}

std::shared_ptr<const EventBatch> EventBatchBuilder::build() {
  std::shared_ptr<EventBatch> batch(new EventBatch());
  batch->bytes_ = std::exchange(bytes_, Bytes());
  const BytesView bytes = batch->bytes_;
  batch->events_.reserve(pending_.size());
  for (const Pending& event : pending_) {
    batch->events_.push_back({
        .type = event.type,
        .created = event.created,
        .revision = event.revision,
        .sub = event.sub,
        .key = bytes.substr(event.key_begin, event.key_size),
        .framed = bytes.substr(event.framed_begin, event.end - event.framed_begin),
        .message = bytes.substr(event.message_begin, event.end - event.message_begin),
    });
  }
  pending_.clear();
  return batch;
}

void append_framed_with_previous(const Event& event, BytesView prev_kv, Bytes& out) {
  append_field_head(out, kEventsTag, event.message.size() + field_size(prev_kv.size()));
  out.append(event.message);
  append_field_head(out, kPreviousTag, prev_kv.size());
  out.append(prev_kv);
}

}  // namespace holdfast::watch
