#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "datastore/net/timer_wheel.h"

namespace holdfast::net {

/// Told when a watched file descriptor is ready. It must outlive the turn in which it was removed.
class IoHandler {
 public:
  virtual ~IoHandler() = default;
  /// `events` is epoll's set: EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP.
  virtual void on_io(std::uint32_t events) = 0;
};

/// Told once per turn, after everything that could give it work, that it should write.
class Flushable {
 public:
  virtual ~Flushable() = default;
  virtual void flush() = 0;

 private:
  friend class EventLoop;
  bool flush_requested_ = false;
};

/// One thread's epoll loop. A turn is: wait; ready descriptors; posted tasks; due timers; the
/// turn-end hooks; flushes; deferred tasks. Whatever a turn produces for a connection is therefore
/// written at once, at its end.
///
/// Only post(), stop() and index() may be called from other threads. The loop owns none of the
/// handlers, flushables and timers it refers to. It never waits for a lock longer than it takes to
/// append to a vector.
class EventLoop {
 public:
  using Task = absl::AnyInvocable<void()>;
  using Clock = std::chrono::steady_clock;

  explicit EventLoop(int index = 0);
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  /// Turns until stop(). The calling thread is the loop's thread from here on.
  void run();
  /// One turn, waiting at most `max_wait` for something to do.
  void run_turn(std::chrono::milliseconds max_wait);
  /// Makes run() return after its present turn. Any thread.
  void stop();

  /// Runs `task` on the loop's thread, in the order of posting. Any thread; never runs it inline.
  /// Tasks still queued when the loop is closed or destroyed are destroyed unrun.
  void post(Task task);
  /// After run() has returned: destroys what is queued, and from now on whatever is posted. A task
  /// may hold what keeps the loop alive; without this neither would ever go.
  void close();
  /// Runs `task` after this turn's flushes: for destroying what may still be on the stack.
  void defer(Task task) { deferred_.push_back(std::move(task)); }
  /// Calls `hook` at the end of every turn, before flushes; for ever. Hooks run in order of
  /// arrival.
  void on_turn_end(Task hook) { turn_end_hooks_.push_back(std::move(hook)); }
  /// Calls target.flush() at the end of this turn, once however often requested; a request made
  /// while flushing counts for the next turn, which then follows at once.
  void request_flush(Flushable& target);
  /// The same while flushing, for one that has had its share: in the next turn it comes after those
  /// that asked in this one.
  void request_flush_last(Flushable& target);
  /// Forgets a request for `target`, which is about to go.
  void cancel_flush(Flushable& target);

  /// Watches `fd` (level-triggered) for `events`. Errors are our bugs or the kernel's exhaustion;
  /// false in the second case.
  bool add(int fd, std::uint32_t events, IoHandler& handler);
  void modify(int fd, std::uint32_t events, IoHandler& handler);
  void remove(int fd);

  /// Fires `timer` after `delay`, rounded up to a millisecond.
  void arm(Timer& timer, std::chrono::nanoseconds delay);

  /// The time this turn began: a turn sees one instant.
  Clock::time_point now() const { return now_; }
  int index() const { return index_; }
  bool in_loop_thread() const {
    return thread_.load(std::memory_order_relaxed) == std::this_thread::get_id();
  }

  /// Scratch for reading from sockets, shared by all connections of the loop.
  char* read_buffer() { return read_buffer_.get(); }
  static constexpr std::size_t kReadBufferBytes = 128 * 1024;

 private:
  class WakeHandler final : public IoHandler {
   public:
    void on_io(std::uint32_t) override;
    int fd = -1;
  };

  int wait_milliseconds(std::chrono::milliseconds max_wait) const;
  void run_posted();
  void run_flushes();
  void wake();
  std::uint64_t ticks(Clock::time_point at) const;

  const int index_;
  int epoll_fd_ = -1;
  WakeHandler wake_handler_;
  std::atomic<std::thread::id> thread_{};
  std::atomic<bool> stopping_{false};
  std::atomic<bool> wake_pending_{false};
  Clock::time_point start_;
  Clock::time_point now_;
  TimerWheel timers_;
  std::vector<Task> turn_end_hooks_;
  std::vector<Flushable*> flushes_;
  std::vector<Flushable*> flushing_;
  std::vector<Flushable*> flush_last_;
  std::vector<Task> deferred_;
  std::unique_ptr<char[]> read_buffer_;

  std::mutex posted_mutex_;
  std::vector<Task> posted_;  // guarded by posted_mutex_
  bool closed_ = false;       // guarded by posted_mutex_
  std::vector<Task> running_;
};

}  // namespace holdfast::net
