#include "datastore/net/byte_queue.h"

#include <algorithm>

namespace holdfast::net {

void ByteQueue::append(BytesView bytes) {
  if (bytes.empty()) return;
  // Reclaim what was read before the string would grow.
  if (flat_read_ > 0 && flat_.size() + bytes.size() > flat_.capacity()) {
    flat_.erase(0, flat_read_);
    flat_read_ = 0;
  }
  flat_.append(bytes);
  size_bytes_ += bytes.size();
  if (first_run_ < runs_.size() && runs_.back().flat_bytes > 0) {
    runs_.back().flat_bytes += bytes.size();
  } else {
    runs_.push_back(Run{bytes.size(), {}});
  }
}

void ByteQueue::append(Slice slice) {
  if (slice.bytes.size() < kCopyBytes) {
    append(slice.bytes);
    return;
  }
  size_bytes_ += slice.bytes.size();
  runs_.push_back(Run{0, std::move(slice)});
}

void ByteQueue::drop_first_run() {
  runs_[first_run_] = Run{};
  ++first_run_;
  constexpr std::size_t kCompactRuns = 64;
  if (first_run_ >= kCompactRuns && first_run_ * 2 >= runs_.size()) {
    runs_.erase(runs_.begin(), runs_.begin() + static_cast<std::ptrdiff_t>(first_run_));
    first_run_ = 0;
  }
}

void ByteQueue::clear() {
  constexpr std::size_t kKeptBytes = 4096;
  constexpr std::size_t kKeptRuns = 16;
  if (flat_.capacity() > kKeptBytes) {
    Bytes().swap(flat_);
  } else {
    flat_.clear();
  }
  if (runs_.capacity() > kKeptRuns) {
    std::vector<Run>().swap(runs_);
  } else {
    runs_.clear();
  }
  flat_read_ = 0;
  first_run_ = 0;
  size_bytes_ = 0;
}

}  // namespace holdfast::net
