#include "datastore/simulation/scheduler.h"

#include <algorithm>

#include "datastore/base/crc32c.h"

namespace holdfast::simulation {

void Digest::add(BytesView bytes) {
  add((std::uint64_t{bytes.size()} << 32) | crc32c(0, bytes));
}

void Scheduler::after(Time delay, Work work) {
  heap_.push_back({now_ + std::max(delay, Time(0)), orders_++, std::move(work)});
  std::push_heap(heap_.begin(), heap_.end(), Later());
}

bool Scheduler::step() {
  if (heap_.empty()) return false;
  std::pop_heap(heap_.begin(), heap_.end(), Later());
  Item item = std::move(heap_.back());
  heap_.pop_back();
  now_ = item.at;
  ++steps_;
  digest_.add(static_cast<std::uint64_t>(now_.count()));
  item.work();
  return true;
}

}  // namespace holdfast::simulation
