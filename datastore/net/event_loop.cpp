#include "datastore/net/event_loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "datastore/base/check.h"

namespace holdfast::net {
namespace {

constexpr int kEventsPerTurn = 256;

}  // namespace

void EventLoop::WakeHandler::on_io(std::uint32_t) {
  std::uint64_t count;
  // A short read can't happen on an eventfd; EAGAIN means somebody else's wake was enough.
  [[maybe_unused]] const ssize_t n = ::read(fd, &count, sizeof count);
}

EventLoop::EventLoop(int index)
    : index_(index), start_(Clock::now()), now_(start_), read_buffer_(new char[kReadBufferBytes]) {
  epoll_fd_ = ::epoll_create1(EPOLL_CLOEXEC);
  HOLDFAST_CHECK(epoll_fd_ >= 0);
  wake_handler_.fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  HOLDFAST_CHECK(wake_handler_.fd >= 0);
  HOLDFAST_CHECK(add(wake_handler_.fd, EPOLLIN, wake_handler_));
}

EventLoop::~EventLoop() {
  ::close(wake_handler_.fd);
  ::close(epoll_fd_);
}

void EventLoop::run() {
  thread_.store(std::this_thread::get_id(), std::memory_order_relaxed);
  while (!stopping_.load(std::memory_order_acquire)) run_turn(std::chrono::hours(1));
}

void EventLoop::run_turn(std::chrono::milliseconds max_wait) {
  thread_.store(std::this_thread::get_id(), std::memory_order_relaxed);
  std::array<epoll_event, kEventsPerTurn> events;
  const int count =
      ::epoll_wait(epoll_fd_, events.data(), kEventsPerTurn, wait_milliseconds(max_wait));
  HOLDFAST_CHECK(count >= 0 || errno == EINTR);
  now_ = Clock::now();
  for (int i = 0; i < count; ++i) {
    static_cast<IoHandler*>(events[i].data.ptr)->on_io(events[i].events);
  }
  run_posted();
  timers_.advance(ticks(now_));
  for (Task& hook : turn_end_hooks_) hook();
  run_flushes();
  // A deferred task may defer another: that one runs in the next turn.
  std::vector<Task> deferred = std::move(deferred_);
  deferred_.clear();
  for (Task& task : deferred) task();
}

int EventLoop::wait_milliseconds(std::chrono::milliseconds max_wait) const {
  if (!deferred_.empty() || !flushes_.empty()) return 0;
  std::int64_t wait = max_wait.count();
  if (const std::optional<std::uint64_t> next = timers_.next_tick()) {
    const std::uint64_t present = ticks(Clock::now());
    // One more than the difference: the present tick is rounded down.
    const std::int64_t until = *next > present ? static_cast<std::int64_t>(*next - present) + 1 : 0;
    wait = std::min(wait, until);
  }
  constexpr std::int64_t kLongestWaitMs = 3'600'000;
  return static_cast<int>(std::clamp<std::int64_t>(wait, 0, kLongestWaitMs));
}

void EventLoop::run_posted() {
  // Cleared before the swap: a post that comes after it wakes the next turn.
  wake_pending_.store(false, std::memory_order_seq_cst);
  {
    const std::lock_guard<std::mutex> lock(posted_mutex_);
    running_.swap(posted_);
  }
  for (Task& task : running_) task();
  running_.clear();
}

void EventLoop::run_flushes() {
  flushing_.swap(flushes_);
  // By index: a flush may take another target off the list.
  for (std::size_t i = 0; i < flushing_.size(); ++i) {
    Flushable* target = flushing_[i];
    if (target == nullptr) continue;
    target->flush_requested_ = false;
    target->flush();
  }
  flushing_.clear();
  flushes_.insert(flushes_.end(), flush_last_.begin(), flush_last_.end());
  flush_last_.clear();
}

void EventLoop::request_flush(Flushable& target) {
  if (target.flush_requested_) return;
  target.flush_requested_ = true;
  flushes_.push_back(&target);
}

void EventLoop::request_flush_last(Flushable& target) {
  if (target.flush_requested_) return;
  target.flush_requested_ = true;
  flush_last_.push_back(&target);
}

void EventLoop::cancel_flush(Flushable& target) {
  if (!target.flush_requested_) return;
  target.flush_requested_ = false;
  for (std::vector<Flushable*>* list : {&flushes_, &flushing_, &flush_last_}) {
    std::replace(list->begin(), list->end(), &target, static_cast<Flushable*>(nullptr));
  }
}

void EventLoop::stop() {
  stopping_.store(true, std::memory_order_release);
  wake();
}

void EventLoop::post(Task task) {
  {
    const std::lock_guard<std::mutex> lock(posted_mutex_);
    if (closed_) return;  // the caller's task goes when the lock has
    posted_.push_back(std::move(task));
  }
  if (!wake_pending_.exchange(true, std::memory_order_seq_cst)) wake();
}

void EventLoop::close() {
  std::vector<Task> doomed;
  {
    const std::lock_guard<std::mutex> lock(posted_mutex_);
    closed_ = true;
    doomed.swap(posted_);
  }
  doomed.clear();  // may post: in vain
  std::vector<Task>(std::move(deferred_)).clear();
  deferred_.clear();
}

void EventLoop::wake() {
  const std::uint64_t one = 1;
  // EAGAIN means the counter is full, so the loop will wake anyway.
  [[maybe_unused]] const ssize_t n = ::write(wake_handler_.fd, &one, sizeof one);
}

bool EventLoop::add(int fd, std::uint32_t events, IoHandler& handler) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &handler;
  if (::epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) == 0) return true;
  HOLDFAST_CHECK(errno == ENOSPC || errno == ENOMEM);
  return false;
}

void EventLoop::modify(int fd, std::uint32_t events, IoHandler& handler) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &handler;
  HOLDFAST_CHECK(::epoll_ctl(epoll_fd_, EPOLL_CTL_MOD, fd, &event) == 0);
}

void EventLoop::remove(int fd) {
  HOLDFAST_CHECK(::epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, fd, nullptr) == 0);
}

void EventLoop::arm(Timer& timer, std::chrono::nanoseconds delay) {
  const auto rounded = std::chrono::ceil<std::chrono::milliseconds>(std::clamp(
      delay, std::chrono::nanoseconds(0), std::chrono::nanoseconds(std::chrono::hours(876000))));
  timers_.arm(timer, ticks(now_) + static_cast<std::uint64_t>(rounded.count()) + 1);
}

std::uint64_t EventLoop::ticks(Clock::time_point at) const {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(at - start_).count());
}

}  // namespace holdfast::net
