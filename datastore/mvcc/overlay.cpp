#include "datastore/mvcc/overlay.h"

#include <algorithm>

#include "datastore/base/check.h"

namespace holdfast::mvcc {

OverlaySegment::OverlaySegment(std::uint64_t number, std::size_t first_bytes)
    : number_(number),
      chunk_bytes_(std::max(kChunkBytes, first_bytes + kTombstoneKeyBytes)),
      chunk_(std::make_unique_for_overwrite<char[]>(chunk_bytes_)),
      records_(std::make_unique_for_overwrite<OverlayRecord[]>(kMaxRecords)) {
}

std::size_t OverlaySegment::lower_bound(BucketRevision revision) const {
  const OverlayRecord* first = records_.get();
  return static_cast<std::size_t>(
      std::lower_bound(first, first + size(), revision,
                       [](const OverlayRecord& record, const BucketRevision& wanted) {
                         return record.revision() < wanted;
                       }) -
      first);
}

char* OverlaySegment::reserve(std::size_t value_size) {
  const std::size_t bytes = kTombstoneKeyBytes + value_size;
  if (size_.load(std::memory_order_relaxed) == kMaxRecords || chunk_bytes_ - chunk_used_ < bytes) {
    return nullptr;
  }
  return chunk_.get() + chunk_used_;
}

const OverlayRecord& OverlaySegment::publish(char* room, const BucketKey& key,
                                             std::size_t value_size) {
  if (encode_bucket_key(key, room) == kRevisionKeyBytes) room[kRevisionKeyBytes] = '\0';
  const std::size_t index = size_.load(std::memory_order_relaxed);
  records_[index] = {key.revision.main, room, static_cast<std::uint32_t>(key.revision.sub),
                     static_cast<std::uint32_t>(value_size)};
  chunk_used_ += kTombstoneKeyBytes + value_size;
  size_.store(index + 1, std::memory_order_release);
  return records_[index];
}

std::size_t OverlayList::segment_of(BucketRevision revision) const {
  auto after = std::upper_bound(
      segments_.begin(), segments_.end(), revision,
      [](const BucketRevision& wanted, const std::shared_ptr<OverlaySegment>& segment) {
        // A segment gets its first record together with its place in the list.
        return segment->size() == 0 || wanted < segment->record(0).revision();
      });
  return after == segments_.begin() ? 0 : static_cast<std::size_t>(after - segments_.begin()) - 1;
}

const OverlayRecord* OverlayList::find(BucketRevision revision) const {
  if (segments_.empty()) return nullptr;
  const OverlaySegment& segment = *segments_[segment_of(revision)];
  const std::size_t index = segment.lower_bound(revision);
  if (index == segment.size() || segment.record(index).revision() != revision) return nullptr;
  return &segment.record(index);
}

OverlayList::Walk::Walk(const OverlayList& list, BucketRevision from) : list_(list) {
  if (list_.segments_.empty()) return;
  segment_ = list_.segment_of(from);
  index_ = list_.segments_[segment_]->lower_bound(from);
  settle();
}

void OverlayList::Walk::next() {
  ++index_;
  settle();
}

void OverlayList::Walk::settle() {
  while (valid() && index_ >= list_.segments_[segment_]->size()) {
    ++segment_;
    index_ = 0;
  }
}

Overlay::Overlay() : list_(std::make_shared<OverlayList>()) {
}

Overlay::Room Overlay::reserve(std::size_t value_size) {
  HOLDFAST_CHECK(value_size <= UINT32_MAX);
  if (!segments_.empty()) {
    if (char* room = segments_.back()->reserve(value_size); room != nullptr) {
      return {room, segments_.back().get()};
    }
  }
  segments_.push_back(std::make_shared<OverlaySegment>(next_number_++, value_size));
  list_ = nullptr;
  return {segments_.back()->reserve(value_size), segments_.back().get()};
}

OverlayPosition Overlay::end() const {
  if (segments_.empty()) return {next_number_ - 1, OverlaySegment::kMaxRecords};
  return {segments_.back()->number(), segments_.back()->size()};
}

void Overlay::drop_before(const OverlayPosition& position) {
  auto keep = std::find_if(segments_.begin(), segments_.end(), [&](const auto& segment) {
    return segment->number() > position.segment_number ||
           (segment->number() == position.segment_number && segment->size() > position.records);
  });
  // The newest one still takes records.
  if (keep == segments_.end() && keep != segments_.begin()) --keep;
  if (keep == segments_.begin()) return;
  segments_.erase(segments_.begin(), keep);
  list_ = nullptr;
}

std::shared_ptr<const OverlayList> Overlay::list() {
  if (list_ == nullptr) list_ = std::make_shared<OverlayList>(segments_);
  return list_;
}

}  // namespace holdfast::mvcc
